"""Read a folder's files as typed records; every fault is one sentence that names file, field and value."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.stored.digest import FIELD, changed, digest_of, without
from reslab.stored.files import RESTORE, named, parse_json, parse_toml, read_bytes, read_text
from reslab.stored.typed import Mistyped, typed

COMMENT = f"# {FIELD} "  # the last line of a run folder's recipe.toml starts so


def read_json(path: Path | str, kind: Any = dict[str, Any], *, needs: Sequence[str] = ()) -> Any:
    """The content of a JSON file as a `kind` (records.py), an object with all keys in `needs`.

    Raises MissingFile, or ReslabError for a damaged file and for one that does not match its digest.
    """
    content = parse_json(read_text(path), named(path))
    found = without(content) if isinstance(content, dict) else content
    held(dict[str, Any] if needs else kind, found, path)
    if lacking := [key for key in needs if key not in found]:
        raise ReslabError(f"{named(path)} is damaged: it lacks {', '.join(lacking)}; {RESTORE}")
    found = held(kind, found, path)
    if changed(content):
        raise ReslabError(f"{named(path)} was changed after reslab wrote it: its content does not match its digest; "
                          f"{RESTORE}, or remove the key {FIELD!r} to accept the change")  # fmt: skip
    return found


def read_toml(path: Path | str) -> dict[str, Any]:
    """The content of a TOML file. Raises as `read_json` does."""
    return parse_toml(read_bytes(path), named(path))


def read_recipe(path: Path | str) -> dict[str, Any]:
    """The content of a run folder's recipe.toml. Raises as `read_json` does."""
    content = read_toml(path)
    last = read_text(path).rstrip().rpartition("\n")[2]
    if last.startswith(COMMENT) and last.removeprefix(COMMENT) != digest_of(content):
        raise ReslabError(f"{named(path)} was changed after reslab wrote it: its content does not match its digest; "
                          f"{RESTORE}, or give the file to a new run: a run keeps its recipe")  # fmt: skip
    return content


def held(kind: Any, value: Any, path: Path | str) -> Any:
    """The value as a `kind`. Raises ReslabError, which says that the file is damaged."""
    try:
        return typed(kind, value)
    except Mistyped as error:
        raise ReslabError(f"{named(path)} is damaged: {error}; {RESTORE}") from error


def warn_if_cut(path: Path | str, events: list[dict[str, Any]], iterations: int | None) -> None:
    """Warn if a finished run's log ends before its last iteration; `iterations`: of its result, None if unknown."""
    last = max((event.get("iteration", 0) for event in events), default=0)
    if iterations is not None and last < iterations:
        warnings.warn(f"{named(path)} ends at iteration {last:,} of {iterations:,}; the curves are incomplete",
                      stacklevel=3)  # fmt: skip


def read_events(path: Path | str) -> list[dict[str, Any]]:
    """Every complete line of a metrics.jsonl, in order; damaged lines are skipped with a warning.

    A last line truncated by a crash is skipped silently. Raises MissingFile, or ReslabError if the file cannot be
    read.
    """
    from reslab.stored.folders import Event

    lines = read_bytes(path).decode("utf-8", errors="replace").split("\n")
    events = []
    for number, line in enumerate(lines, 1):
        try:
            if line or number < len(lines):
                event = typed(Event, parse_json(line, f"line {number}", cure=""))
                if changed(event):
                    raise ReslabError(f"line {number} is damaged: it does not match its digest")
                events.append(without(event))
        except ReslabError as error:
            if number < len(lines):
                why = str(error).removeprefix(f"line {number} is damaged: ").rstrip("; ")
                warnings.warn(f"{named(path)}: line {number} is damaged and skipped ({why})", stacklevel=3)
    return events
