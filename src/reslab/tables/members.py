"""An ensemble: nets from several seeds in one folder, whose predictions are averaged."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.errors import OtherSettings, ReslabError, UsageError, arg
from reslab.progress import Progress, Rows, quiet
from reslab.run import MEMBERS, Locked, Run
from reslab.tables.calibrate import Calibration, write_calibration
from reslab.tables.defaults import FOLDS, LEAST, is_small
from reslab.tables.held_out import calibrated
from reslab.tables.metrics import MAIN
from reslab.tables.model import TableModel, load, members_of, read_table_spec
from reslab.tables.reading import Reading, read_reading
from reslab.tables.train import FILES, TableData, parts_of, prepare, stored_data, train, weigh
from reslab.tables.train import load as load_data
from reslab.train.folder import DONE, finished, first_comment
from reslab.train.recipe import Recipe, change
from reslab.train.session import is_fresh, withdraw
from reslab.train.world import ALONE, World


def prepare_members(
    folder: Path | str, *, members: int, word: str, reading: Reading, data: TableData, preset: str, recipe: Recipe,
    command: str = "", folds: bool = False,
) -> Run:  # fmt: skip
    """Make the folders FOLDER/s0, FOLDER/s1, ... of the recipe's seed and those after it, or find the same ones.

    folds: if the table is small, each member sets aside another fold of the training rows for validation.

    Raises UsageError if the folder holds something else.
    """
    run = Run(folder)
    if members < 1:
        raise UsageError(f"members must be at least 1, got {members}")
    names = [f"s{k}" for k in range(members)]
    if run.has(MEMBERS):
        there = members_of(run)
        if [member.folder.name for member in there] != names:
            raise OtherSettings(f"{run.folder} already contains {len(there)} members, not {members}; choose another ",
                                arg("folder"))  # fmt: skip
    elif run.has("spec.json"):
        raise OtherSettings(f"{run.folder} already contains one net, not {members} members; choose another ",
                            arg("folder"))  # fmt: skip
    elif run.folder.is_dir() and not all(path.name in (*names, "results") for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} contains something other than {members} members; choose another ",
                         arg("folder"))  # fmt: skip
    each = [(reading, data)] * members
    if folds:
        each = in_folds(word, reading, data, recipe, members) or each
    made = []  # by this call
    try:
        for k, (name, (cut, part)) in enumerate(zip(names, each, strict=True)):
            seeded, there_before = change(recipe, seed=recipe.seed + k), Run(run.path(name)).has("spec.json")
            member = prepare(run.path(name), word=word, reading=cut, data=part, preset=preset, recipe=seeded,
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


def in_folds(
    word: str, reading: Reading, data: TableData, recipe: Recipe, members: int
) -> list[tuple[Reading, TableData]]:
    """Of each member how the table is read, with its fold set aside, and the table; [] if it is not small."""
    rows = sum(len(frame) for part, frame in data.frames.items() if part != "test")
    if not is_small(rows) or rows < LEAST or reading.defaults == 1 or not recipe.validation or members < 2:
        return []
    kinds = parts_of(data, reading, reads=False).encoder.kinds  # so that the members agree about them
    cuts = [replace(reading, shared_kinds=dict(kinds), fold=k, folds=max(FOLDS, members)) for k in range(members)]
    found = [(cut, load_data(word, cut, recipe)) for cut in cuts]
    return found if all(len(part.frames["validation"]) for _, part in found) else []


def done(folder: Path | str) -> bool:
    """Whether a run, or all members and their average, are finished."""
    run = Run(folder)
    return run.has(DONE) and all(finished(member.folder) for member in members_of(run))


def train_members(
    folder: Path | str, *, data: TableData | None = None, device: str = "auto", rows: Rows = quiet,
    command: str = "", world: World = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """Train the prepared members that are not finished, resuming where one was stopped; the averaged model's result.

    `rows`: from a member's name to the progress of its training.
    """
    run = Run(folder)
    if world.first(lambda: done(folder)):
        return run.read_json(DONE, "net", "data", "test")
    runs = members_of(run)
    if data is None:
        data = stored_data(runs[0])
    each = []
    try:
        for member in runs:
            progress = rows(f"{run.folder.name}/{member.folder.name}")
            table = data if read_reading(member)[1].fold is None else None  # else it reads its own
            each.append(train(member.folder, data=table, device=device, progress=progress, command=command,
                              world=world))  # fmt: skip
    except Locked:  # the folders are that process's
        raise
    except BaseException:  # Ctrl-C, too
        if world.leads:
            withdraw_members(run, runs)
        raise
    place, progress = str(world.device(device)), rows(run.folder.name)
    result: dict[str, Any] = world.first(lambda: averaged(run, runs, each, data, device=place, progress=progress,
                                                          command=command))  # fmt: skip
    return result


def averaged(
    run: Run, runs: list[Run], each: list[dict[str, Any]], data: TableData, *, device: str, progress: Progress,
    command: str,
) -> dict[str, Any]:  # fmt: skip
    """The result of the average of trained members, which is written."""
    model = load(run.folder, device=device)
    kind = model.target.kind
    model.calibration = calibration_of(model, runs, data)
    write_calibration(run, model.calibration)
    scores = weigh(model, data, run, progress=progress)
    result = {
        "net": read_table_spec(runs[0]).name, "data": each[0]["data"], "kind": kind, "main": MAIN[kind], **scores,
        "members": [one_line(member, result) for member, result in zip(runs, each, strict=True)],
        **{key: sum(result[key] for result in each) for key in ("parameters", "iterations", "seconds")},
        "batch": each[0]["batch"], "choice": each[0]["choice"], "seed": each[0]["seed"],
        "problems": list(dict.fromkeys(data.report.lines())), "command": command or first_comment(runs[0]),
    }  # fmt: skip
    run.write_json(DONE, result)
    return result


def calibration_of(model: TableModel, runs: list[Run], data: TableData) -> Calibration | None:
    """The calibration of a model whose members were trained in these runs; None if the table is not small."""
    readings = [read_reading(run)[1] for run in runs]
    if readings[0].defaults == 1:
        return None
    singles = [TableModel([member], model.target, device=model.device, choice=model.choice) for member in model.members]
    tables = [data if reading.fold is None else stored_data(run) for run, reading in zip(runs, readings, strict=True)]
    parts = [parts_of(table, reading, device=model.device) for table, reading in zip(tables, readings, strict=True)]
    return calibrated(singles, parts)


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
