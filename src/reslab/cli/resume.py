"""--resume, for the three `train` commands."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.errors import UsageError
from reslab.nets.specs import FAMILIES
from reslab.run import MEMBERS, Run

Resume = Annotated[bool, Parameter(help="Resume the newest unfinished run, or the one in --out.", negative=())]


def to_resume(use: str, out: Path | None, settings: Mapping[str, Any]) -> Run:
    """The run folder to resume: `out`, or the newest unfinished one of a net for "images", "questions" or "tables".

    `settings`: the other options by name, None if not given. Raises UsageError if any was given, or if there is no
    such run.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    names = ["the file"] if given.pop("FILE", None) is not None else []
    if names := names + [word for word in say.flags(given) if word.startswith("--")]:
        raise UsageError(f"--resume uses the settings stored in the run folder; leave out {', '.join(names)}")
    run = Run(out) if out else newest(use)
    if not (run.has("spec.json") or (use == "tables" and run.has(MEMBERS))):
        raise UsageError(f"{run.folder} is not a run folder: nothing to resume")
    return run


def newest(use: str) -> Run:
    """The newest unfinished run of such a net under runs/; for a member of an ensemble, the ensemble's folder."""
    from reslab.train.folder import finished

    found = [spec.parent for spec in Path("runs").glob("**/spec.json") if not finished(spec.parent)]
    found = [folder for folder in found if use_of(folder) == use]
    if not found:
        raise UsageError("there is no unfinished run under runs/")
    run = Run(max(found, key=lambda folder: folder.stat().st_mtime))
    above = Run(run.folder.parent)
    return above if above.has(MEMBERS) else run


def use_of(folder: Path) -> str:
    """What the net of a run folder is for; an unknown family is left to the images command, which reports it."""
    return FAMILIES.get(Run(folder).read_json("spec.json").get("family", ""), "images")
