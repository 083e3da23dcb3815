"""A frame's column as the array that its kind is read from: numbers, dates, strings, lists."""

from typing import Any

import numpy as np

from reslab.errors import Sentence, UsageError, arg
from reslab.tables.data.alike import plain_truth
from reslab.tables.data.cells import objects, text_of
from reslab.tables.data.dates import date_of, order_of
from reslab.tables.data.frame import Report
from reslab.tables.data.spelling import Spelling
from reslab.tables.data.written import decimal_mark, number_of


def missing(column: np.ndarray) -> np.ndarray:
    """bool (N,): the rows in which a column of a Frame has no value."""
    if column.dtype == object:
        return np.equal(column, np.array(None, dtype=object)).astype(bool)
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)


def read_as(
    kind: str, name: str, column: np.ndarray, report: Report | None = None, spelling: Spelling | None = None
) -> np.ndarray:
    """A frame's column converted for its kind. Raises UsageError naming the first row that cannot be converted.

    number: float64. date: datetime64[us]. text: object of str or None. category: float64, or object of str or None.
    categories: object of str, tuple of str, or None. Words among numbers are missing values and reported, unless half
    of the values are words; cells that are no dates, unless none is a date.
    """
    empty = missing(column)
    if empty.all():  # an empty column has no type
        if kind in ("number", "date"):
            return np.full(len(column), np.nan if kind == "number" else np.datetime64("NaT", "us"))
        return objects([None] * len(column))
    row = int(np.argmin(empty))
    lists = column.dtype == object and isinstance(column[row], tuple)
    if kind in ("skip", "categories"):
        return column if column.dtype == object else as_strings(column)
    if lists:
        raise _wrong(kind, name, column, row)
    if kind == "category":
        return as_strings(column) if column.dtype.kind == "M" else column
    if kind == "text":
        return as_strings(column)
    if column.dtype.kind == ("f" if kind == "number" else "M"):
        return column
    if column.dtype != object:
        raise _wrong(kind, name, column, row)
    return (_numbers if kind == "number" else _dates)(name, column, report, spelling or Spelling(decimal=None))


def as_strings(column: np.ndarray) -> np.ndarray:
    """Numbers and dates as strings; None if missing."""
    if column.dtype == object:
        return column
    if column.dtype.kind == "M":
        return objects(None if value == "NaT" else value for value in np.datetime_as_string(column).tolist())
    distinct, inverse = np.unique(column, return_inverse=True)
    return objects(None if value != value else text_of(value) for value in distinct.tolist())[inverse]


def written_numbers(column: np.ndarray, hint: str | None = None) -> np.ndarray | None:
    """Strings like 1,234 or 1.000,05 or 12 % or $5 as float64; None if not all are numbers, or all are plain ones."""
    texts = [text for text in dict.fromkeys(column) if text is not None]
    mark = decimal_mark(texts, hint)
    if mark is None or number_of(next(iter(texts), ""), mark.mark) is None:
        return None
    known = {text: number_of(text, mark.mark) for text in texts}
    if None in known.values() or all(map(_is_plain, texts)):
        return None
    return np.array([np.nan if text is None else known[text] for text in column], np.float64)


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(name: str, column: np.ndarray, report: Report | None, spelling: Spelling) -> np.ndarray:
    texts = [text for text in dict.fromkeys(column) if text is not None]
    mark = decimal_mark(texts, spelling.decimal)
    point = spelling.decimal or "." if mark is None else mark.mark
    known: dict[Any, float | None] = {text: number_of(text, point) for text in texts}
    known = {text: plain_truth(text) if number is None else number for text, number in known.items()}
    bad = {text for text, number in known.items() if number is None}
    if bad:
        _leave_out(name, column, bad, report)
    if report is not None and mark is not None and not mark.sure:
        report.add("written numbers", name, Sentence(
            f"{mark.example!r} and the like are read as {number_of(mark.example, point):.16g}; ",
            arg("decimal", ","), f" reads {number_of(mark.example, ','):.16g}"))  # fmt: skip
    return np.array([np.nan if text is None or text in bad else known[text] for text in column], np.float64)


def _leave_out(name: str, column: np.ndarray, bad: set[str], report: Report | None) -> None:
    """Report words among numbers. Raises UsageError if they are half of the values or more."""
    rows = np.array([text in bad for text in column], bool)
    if 2 * rows.sum() >= (~missing(column)).sum():
        raise _wrong("number", name, column, int(np.argmax(rows)))
    if report is not None:
        n, example = int(rows.sum()), repr(min(bad)[:40])
        what = "is no number" if n == 1 else "are no numbers"
        report.add("no number", name, f"{n:,} of {len(column):,} values {what} (e.g. {example}); treated as missing")


def _dates(name: str, column: np.ndarray, report: Report | None, spelling: Spelling) -> np.ndarray:
    texts = [text for text in dict.fromkeys(column) if text is not None]
    order = spelling.orders.get(name) or order_of(texts)
    known: dict[Any, Any] = {None: None, **{text: date_of(text, order) for text in texts}}
    bad = {text for text in texts if known[text] is None}
    if len(bad) == len(texts):
        raise UsageError(_wrong("date", name, column, int(np.argmin(missing(column)))), "; write dates like 2024-02-29")
    if bad and report is not None:
        count = sum(text in bad for text in column)
        report.add("no date", name, f"{count} values are not ISO dates (e.g. {min(bad)[:40]!r}); treated as missing")
    return np.array([known[text] for text in column], dtype="datetime64[us]")


def _wrong(kind: str, name: str, column: np.ndarray, row: int) -> UsageError:
    value = column[row]
    shown = repr(value[:40]) if isinstance(value, str) else str(value)
    return UsageError(f"column {name!r} is of kind {kind!r}, but row {row} is {shown}")
