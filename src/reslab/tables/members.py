"""An ensemble: nets from several seeds in one folder, whose predictions are averaged."""

import contextlib
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, arg
from reslab.progress import Rows, quiet
from reslab.run import MEMBERS, Locked, Run
from reslab.tables.metrics import MAIN
from reslab.tables.model import load, members_of, read_table_spec
from reslab.tables.reading import Reading
from reslab.tables.train import FILES, TableData, prepare, stored_data, train, weigh
from reslab.train.folder import DONE, finished, first_comment
from reslab.train.recipe import Recipe, change
from reslab.train.session import is_fresh, withdraw


def prepare_members(
    folder: Path | str, *, members: int, word: str, reading: Reading, data: TableData, preset: str, recipe: Recipe,
    command: str = "",
) -> Run:  # fmt: skip
    """Make the folders FOLDER/s0, FOLDER/s1, ... of the recipe's seed and those after it, or find the same ones.

    Raises UsageError if the folder holds something else.
    """
    run = Run(folder)
    if members < 1:
        raise UsageError(f"members must be at least 1, got {members}")
    names = [f"s{k}" for k in range(members)]
    if run.has(MEMBERS):
        there = members_of(run)
        if [member.folder.name for member in there] != names:
            raise UsageError(f"{run.folder} already contains {len(there)} members, not {members}; choose another ",
                             arg("folder"))  # fmt: skip
    elif run.folder.is_dir() and not all(path.name in (*names, "results") for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} contains something other than {members} members; choose another ",
                         arg("folder"))  # fmt: skip
    made = []  # by this call
    try:
        for k, name in enumerate(names):
            seeded, there_before = change(recipe, seed=recipe.seed + k), Run(run.path(name)).has("spec.json")
            member = prepare(run.path(name), word=word, reading=reading, data=data, preset=preset, recipe=seeded,
                    command=command)  # fmt: skip
            made += [] if there_before else [member]
        run.make()
        if not run.has(MEMBERS):
            run.write_json(MEMBERS, {"members": names})
    except BaseException:
        if made:
            withdraw_members(run, made)
        raise
    return run


def done(folder: Path | str) -> bool:
    """Whether a run, or all members and their average, are finished."""
    run = Run(folder)
    return run.has(DONE) and all(finished(member.folder) for member in members_of(run))


def train_members(
    folder: Path | str, *, data: TableData | None = None, device: str = "auto", rows: Rows = quiet,
    command: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Train the prepared members that are not finished, resuming where one was stopped; the averaged model's result.

    `rows`: from a member's name to the progress of its training.
    """
    run = Run(folder)
    if done(folder):
        return run.read_json(DONE, "net", "data", "test")
    runs = members_of(run)
    if data is None:
        data = stored_data(runs[0])
    each = []
    try:
        for member in runs:
            progress = rows(f"{run.folder.name}/{member.folder.name}")
            each.append(train(member.folder, data=data, device=device, progress=progress, command=command))
    except Locked:  # the folders are that process's
        raise
    except BaseException:  # Ctrl-C, too
        withdraw_members(run, runs)
        raise
    model = load(run.folder, device=device)
    kind = model.target.kind
    scores = weigh(model, data, run, progress=rows(run.folder.name))
    result = {
        "net": read_table_spec(runs[0]).name, "data": each[0]["data"], "kind": kind, "main": MAIN[kind], **scores,
        "members": [one_line(member, result) for member, result in zip(runs, each, strict=True)],
        **{key: sum(result[key] for result in each) for key in ("parameters", "iterations", "seconds")},
        "batch": each[0]["batch"], "choice": each[0]["choice"], "seed": each[0]["seed"],
        "problems": list(dict.fromkeys(data.report.lines())), "command": command or first_comment(runs[0]),
    }  # fmt: skip
    run.write_json(DONE, result)
    return result


def one_line(member: Run, result: dict[str, Any]) -> dict[str, Any]:
    """A member's line in the ensemble's result."""
    main, test = result["main"], result["test"]
    kept = {key: result.get(key) for key in ("seed", "epochs", "iterations", "validation_error", "seconds")}
    return {"folder": member.folder.name, main: test[main], "interval": test["intervals"].get(main), **kept}


def withdraw_members(run: Run, runs: list[Run]) -> None:
    """Remove the folders if no training has started in any, so that the corrected command can reuse them.

    If another process trains in one of them, all stay.
    """
    with contextlib.ExitStack() as stack:
        try:
            for member in runs:
                if member.folder.is_dir():
                    stack.enter_context(member.lock())
        except ReslabError:
            return
        if not all(map(is_fresh, runs)):
            return
        for member in runs:
            withdraw(member, FILES)
        run.path(MEMBERS).unlink(missing_ok=True)
        for folder in (run.path("results"), run.folder):
            with contextlib.suppress(OSError):
                folder.rmdir()
