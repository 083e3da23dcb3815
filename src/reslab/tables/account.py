"""The account of a table on one line, shown before training and evaluation."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from reslab.errors import tell
from reslab.tables.data.target import Target

if TYPE_CHECKING:
    from reslab.tables.train import TableData

SHOWN = 5  # names of classes and columns
PARTS = ("train", "validation", "test")


def line(data: "TableData", kinds: Mapping[str, str]) -> str:
    """`classes of let: no, yes; 96 + 24 rows (train, test); 5 columns: 3 number, 2 category; left out: id`"""
    parts = [part for part in PARTS if part in data.frames]
    rows = " + ".join(f"{len(data.frames[part]):,}" for part in parts)
    counts = Counter(kind for kind in kinds.values() if kind != "skip")
    out = [name for name, kind in kinds.items() if kind == "skip"]
    told = [what(data.target, data.names), f"{rows} rows ({', '.join(parts)})",
            f"{counts.total():,} column{'s' * (counts.total() != 1)}: "
            + ", ".join(f"{n:,} {kind}" for kind, n in counts.most_common())]  # fmt: skip
    return "; ".join([*told, *([f"left out: {some(out)}"] if out else [])])


def line_of(rows: int, columns: int) -> str:
    """The same for rows to evaluate on."""
    return f"{rows:,} row{'s' * (rows != 1)}, {columns:,} column{'s' * (columns != 1)}"


def what(target: Target, names: tuple[str, ...]) -> str:
    """What is predicted."""
    of = some(list(names))
    if target.kind == "numbers":
        return f"numbers: {of}"
    known = list(map(str, target.classes.tolist())) if target.classes is not None else []
    return f"{len(known):,} {target.kind} of {of}: {some(known)}"


def some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN:,} more" * (len(names) > SHOWN)


def announce(name: str, data: "TableData", kinds: Mapping[str, str]) -> None:
    """Log the line; the command line shows it."""
    tell("%s: %s", name, line(data, kinds))
