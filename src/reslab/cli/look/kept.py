"""Where the results of `reslab look` are stored: look.json, results/look-VERB.json, the page."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from reslab.cli.say import words
from reslab.errors import ReslabError, UsageError
from reslab.nets.words import Loaded
from reslab.run import Run, command_line


def folder(loaded: Loaded, out: Path | None, several: bool) -> Run:
    """The folder for the results. Raises UsageError if it holds something else."""
    own = loaded.run if not loaded.initial else None
    if out is not None:
        run = Run(out / loaded.name if several else out)
    else:
        run = own or Run(Path("runs") / f"look-{loaded.name}")
    if not run.folder.exists() or (own is not None and run.folder.resolve() == own.folder.resolve()):
        return run
    if not run.folder.is_dir():
        raise UsageError(f"{run.folder} is a file; choose a folder with --out")
    if not run.has("look.json"):
        if any(run.folder.iterdir()):
            raise UsageError(
                f"{run.folder} is not empty and has no results of `reslab look`; choose another folder with --out"
            )
        return run
    unlike = differing(run.read_json("look.json", "model")["model"], loaded.describe())
    if unlike:
        raise UsageError(f"{run.folder} holds results of another model ({unlike}); choose another folder with --out")
    return run


def differing(there: dict[str, Any], now: dict[str, Any]) -> str:
    """How two models differ, in words; "" if they do not."""
    if there.get("spec") and now["spec"]:
        there, now = {**there, **there["spec"], "spec": None}, {**now, **now["spec"], "spec": None}
    keys = [key for key in now if key not in ("name", "notes") and list_of(there.get(key)) != list_of(now[key])]
    return "; ".join(f"{key} {there.get(key)} there, {now[key]} now" for key in keys[:2])


def list_of(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value  # as JSON has it


def keep(subject: Any, verb: str, found: Any, *, seconds: float, **settings: Any) -> str:
    """Store a result in results/look-VERB.json and its model in look.json; returns a line that names the file."""
    run, name = subject.run, f"results/look-{verb}.json"
    known = run.read_json("look.json") if run.has("look.json") else {}
    before = known.get("seen", {}).get(verb)
    entry = {"n": subject.inputs.n, "data": subject.inputs.data, "settings": {**subject.settings, **settings},
            "seconds": round(seconds, 2), "when": datetime.now().isoformat(timespec="seconds"),
            "command": command_line()}  # fmt: skip
    run.write_json("results/look-merges.json", subject.merges.as_dict())
    run.write_json(name, asdict(found))
    run.write_json("look.json", {"model": subject.loaded.describe(), "seen": {**known.get("seen", {}), verb: entry}})
    if not before:
        return f"results: {run.path(name)}"
    of = f" (n = {before['n']})" if before.get("n") else ""
    return f"results: {run.path(name)} (replaces those of {before.get('when', 'an earlier run').replace('T', ' ')}{of})"


def draw(runs: Sequence[Run], out: Path | None = None) -> str | None:
    """Write the page of one folder, or of several side by side; its path, or None, with a warning, if it fails."""
    from reslab.report import look as pages

    try:
        return str(pages.write([run.folder for run in runs], out=out))
    except ReslabError as error:  # the results are stored anyway
        warnings.warn(f"the page was not written: {words(error).partition(';')[0]}", stacklevel=2)
        return None
