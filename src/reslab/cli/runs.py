"""reslab runs: the runs below a folder, newest first."""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.found import Found
from reslab.cli.found import runs as found_below
from reslab.cli.options import Json, whole
from reslab.errors import ReslabError, UsageError, one_line
from reslab.run import Run
from reslab.stored.read import read_toml
from reslab.train.recipe import Recipe

COMPARED = 8  # runs side by side
SPANS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # seconds


def runs(
    folder: Annotated[Path, Parameter(help="Folder to search.")] = Path("runs"),
    /,
    *,
    data: Annotated[str | None, Parameter(help="Only runs whose data's name holds this text.")] = None,
    net: Annotated[str | None, Parameter(help="Only runs whose net's name holds this text.")] = None,
    recipe: Annotated[str | None, Parameter(help="Only runs whose recipe's name holds this text.")] = None,
    finished: Annotated[
        bool | None, Parameter(help="Only finished runs; --no-finished: only the others.")
    ] = None,
    since: Annotated[
        str | None, Parameter(help="Only runs since a date (2026-07-01), or of the last 30m, 12h, 3d or 2w.")
    ] = None,
    sort: Annotated[Literal["when", "error"], Parameter(
        help="Newest first, or the lowest error first among the runs of each data set and measure.")] = "when",
    limit: Annotated[int | None, Parameter(help="List at most this many.", converter=whole)] = None,
    compare: Annotated[
        bool, Parameter(help=f"Also show the settings in which they differ (at most {COMPARED} runs).", negative=())
    ] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """List the runs below a folder: net, data, recipe, error, when they were finished or how far they are, seconds."""
    if limit is not None and limit < 1:
        raise UsageError(f"--limit must be positive, got {limit}")
    begin = None if since is None else moment(since)
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}; `reslab train` makes runs/")
    wanted = {"data": data, "net": net, "recipe": recipe}
    every = list(found_below(folder))
    kept = [one for one in every if holds(one, wanted, finished, begin)]
    kept.sort(key=lambda one: (-one.when, one.folder))
    if sort == "error":
        groups = list(dict.fromkeys(one.group for one in kept if one.error is not None))  # the newest first
        kept.sort(key=lambda one: (one.error is None, 0 if one.error is None else groups.index(one.group),
                                   one.error or 0.0))  # fmt: skip
    kept = kept[:limit]
    if compare and len(kept) > COMPARED:
        raise UsageError(f"--compare shows at most {COMPARED} runs side by side, and these are {len(kept):,}: "
                         f"add --limit {COMPARED} or a filter")  # fmt: skip
    differ = settings([one for one in kept if comparable(one)]) if compare else {}
    if json:
        rows = [one.as_dict() for one in kept]
        say.as_json({"runs": rows, "differ": differ} if compare else rows)
        return
    if not kept:
        print(f"no runs below {one_line(folder)}" + (f" match; it holds {len(every):,}" if every else ""))
        return
    listed(kept)
    if compare:
        compared(kept, differ)


def holds(one: Found, wanted: dict[str, str | None], finished: bool | None, begin: float | None) -> bool:
    """Whether a run passes the filters. Nothing is known of a damaged one but its folder and time."""
    if finished is not None and finished != (one.state == "finished"):
        return False
    if begin is not None and one.when < begin:
        return False
    return all(text is None or text.casefold() in getattr(one, key).casefold() for key, text in wanted.items())


def moment(text: str) -> float:
    """A date, or how long ago, as seconds since 1970. Raises UsageError."""
    if match := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return time.time() - int(match[1]) * SPANS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--since must be a date such as 2026-07-01, or 30m, 12h, 3d or 2w, got {text!r}") from None


def listed(found: Sequence[Found]) -> None:
    """Print the runs as a table."""
    rows = [row(one) for one in found]
    columns = ["run", "net", "data", "recipe", "test", "validation", "when", "seconds"]
    say.fitting(columns, rows, left=7, least=["seconds", "recipe", "validation", "data"])
    for one in found:
        if one.state == "damaged":
            print(one_line(f"damaged: {one.fault}"))


def row(one: Found) -> tuple[str, ...]:
    """The cells of a run."""
    if one.state == "damaged":
        return (one.folder, "", "", "", "damaged", "", "", "")
    validation = "–" if one.validation_error is None else f"{one.validation_error:.2f} %"
    seconds = "–" if one.seconds is None else f"{one.seconds:,.0f}"
    return (one.folder, one.net, one.data, one.recipe or "–", one.score or "–", validation, one.status, seconds)


def settings(found: Sequence[Found]) -> dict[str, list[Any]]:
    """The settings in which the runs differ, in the order of the runs: of net, recipe and data; None where not set."""
    every = [flat(one) for one in found]
    keys = list(dict.fromkeys(key for one in every for key in one))
    columns = {key: [one.get(key) for one in every] for key in keys}
    return {key: values for key, values in columns.items() if any(value != values[0] for value in values)}


def flat(one: Found) -> dict[str, Any]:
    """The settings of a run by name: net.depth, lr, data.size."""
    run = Run(one.folder)
    known: dict[str, Any] = {}
    try:
        if run.has("spec.json"):
            spec = run.read_json("spec.json")
            known |= {f"net.{key}": value for key, value in spec.items() if key not in ("family", "digest")}
        if run.has("recipe.toml"):
            known |= asdict(Recipe()) | read_toml(run.path("recipe.toml"))  # keys that an older version had not
        if run.has("data.json"):
            data = run.read_json("data.json")
            for part in ("options", "reading"):
                known |= {f"data.{key}": value for key, value in (data.get(part) or {}).items()}
            known |= {f"data.{key}": data.get(key) for key in ("name", "train", "test", "fingerprint", "start")}
    except ReslabError:  # damaged: the rest is compared
        pass
    return {key: list(value) if isinstance(value, tuple) else value for key, value in known.items()}


def comparable(one: Found) -> bool:
    """Whether it is one run, whose settings are known."""
    return one.state != "damaged" and not one.several


def compared(found: Sequence[Found], differ: dict[str, list[Any]]) -> None:
    """Print the differing settings, a column for each run."""
    whole_runs = [one for one in found if comparable(one)]
    if len(whole_runs) < 2:
        print("there are no two runs to compare")
        return
    for k, one in enumerate(whole_runs, start=1):
        print(one_line(f"{k}: {one.folder}"))
    cells = [(key, *map(shown, values)) for key, values in differ.items()]
    if cells:
        say.fitting(["setting", *map(str, range(1, len(whole_runs) + 1))], cells)
    else:
        print("their settings are the same")
    print(f"next:   reslab report {' '.join(quote(one.folder) for one in whole_runs)}")


def shown(value: Any) -> str:
    """A value in a cell."""
    text = "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"
