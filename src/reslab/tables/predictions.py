"""Write predictions to a file: CSV, or parquet if pyarrow is installed."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, UsageError, arg
from reslab.extras import need
from reslab.stored.files import named, read_text
from reslab.stored.write import explained, write_aside
from reslab.tables.data.cells import LISTS
from reslab.tables.data.target import Target

OUTPUT = re.compile(r"(true|predicted)( .*)?|p\(.*\)", re.DOTALL)  # a column after "row" in a file of predictions


def table_of(
    target: Target, scores: np.ndarray, *, known: Any = None, rows: np.ndarray | None = None,
    columns: Sequence[str] = (),
) -> dict[str, list[Any]]:  # fmt: skip
    """Columns: row number in the file, true value if known, prediction, probability of each class.

    columns: names of several target columns.
    """
    decoded = target.decode(scores)
    found: dict[str, list[Any]] = {"row": (np.arange(len(scores)) if rows is None else rows).tolist()}
    each = columns if decoded.ndim == 2 and len(columns) == decoded.shape[1] else several(target, scores.shape[1])
    names = [""] if decoded.ndim == 1 else [f" {name}" for name in each]
    if known is not None:
        found |= by_name("true", names, np.asarray(known))
    found |= by_name("predicted", names, decoded)
    if target.kind != "numbers":
        found |= {f"p({name})": scores[:, k].tolist() for k, name in enumerate(several(target, scores.shape[1]))}
    return found


def several(target: Target, many: int) -> list[str]:
    return [str(name) for name in (range(many) if target.classes is None else target.classes.tolist())]


def by_name(what: str, names: list[str], values: np.ndarray) -> dict[str, list[Any]]:
    if values.ndim == 1 and len(names) == 1:
        return {what: values.tolist()}
    if values.ndim == 1:  # lists of labels
        return {what: ["|".join(map(str, one)) for one in values]}
    return {f"{what}{name}": values[:, k].tolist() for k, name in enumerate(names)}


def cell(value: Any) -> Any:
    """The value for a CSV cell; a list becomes a joined string, which is read as a list again."""
    return "|".join(map(str, value)) if isinstance(value, LISTS) else value


def write_predictions(
    path: Path, target: Target, scores: np.ndarray, *, known: Any = None, rows: np.ndarray | None = None,
    columns: Sequence[str] = (), kept: Mapping[str, list[Any]] | None = None,
) -> Path:  # fmt: skip
    """Write the predictions atomically, after the columns `kept`.

    Raises UsageError for a file that is neither .csv nor .parquet, or if a kept column has the name of an output.
    """
    found = table_of(target, scores, known=known, rows=rows, columns=columns)
    if twice := [name for name in kept or {} if name in found]:
        raise UsageError(f"column {twice[0]!r} cannot be kept: predictions have a column with the same name")
    found = {**(kept or {}), **found}
    if path.suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(found)
        writer.writerows([cell(value) for value in row] for row in zip(*found.values(), strict=True))
        return write_aside(path, lambda file: file.write(text.getvalue().encode()))
    if path.suffix != ".parquet":
        raise UsageError(f"predictions are written as .csv or .parquet, got {path.name!r}")
    pa, pq = (need(name, extra="data", why="writing parquet") for name in ("pyarrow", "pyarrow.parquet"))
    sink = io.BytesIO()
    with explained(path):
        pq.write_table(pa.table(found), sink)
    return write_aside(path, lambda file: file.write(sink.getbuffer()))


def replaces(path: Path) -> bool:
    """Whether there is an older file of predictions at `path`. Raises UsageError if something else is there.

    An empty file holds nothing that could be lost: it counts as none.
    """
    if not os.path.isfile(path) or not os.path.getsize(path):
        return False
    if not is_ours(header(path)):
        raise UsageError(f"{named(path)} exists and does not look like predictions; choose another file with ",
                         arg("out"))  # fmt: skip
    return True


def header(path: Path) -> list[str]:
    """The names of a file's columns; [] if it cannot be read as a table."""
    parquet = need("pyarrow.parquet", extra="data", why="writing parquet") if path.suffix == ".parquet" else None
    try:
        if parquet:
            return list(parquet.read_schema(path).names)
        return next(csv.reader(io.StringIO(read_text(path), newline="")), [])
    except (ReslabError, csv.Error, ValueError, OSError):  # ArrowInvalid is a ValueError
        return []


def is_ours(names: Sequence[str]) -> bool:
    """Whether the columns are those of `table_of`, after any that were kept."""
    if "row" not in names:
        return False
    made = list(names)[len(names) - list(names)[::-1].index("row") :]  # those after the last "row"
    return any(one.startswith("predicted") for one in made) and all(map(OUTPUT.fullmatch, made))
