"""The kinds of a table's columns: number, category, categories (several per row), date, text, or skip."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np

from reslab.errors import Sentence, UsageError, arg, nearest
from reslab.tables.data.cells import objects, parse_numbers, text_of, utc
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.words import count_words

Kind = Literal["number", "category", "categories", "date", "text", "skip"]
FEW = 25  # largest number of distinct values of a numeric category, or of one with long values
NEARLY = 0.95  # the share that counts as nearly all
LOOK = 2_000  # distinct strings are enough to recognize texts and lists
MARKED = re.compile(r"[,%$€£¥]")  # characters that plain numbers do not have
DATE = re.compile(r"\s*(\d{4}([/.-])\d{1,2}\2\d{1,2}|\d{1,2}([/.-])\d{1,2}\3(\d{4}|\d\d))(?![\d./-])")  # any order
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE)


def find_kinds(
    frame: Frame, kinds: Mapping[str, str] | None = None, *, report: Report | None = None
) -> dict[str, Kind]:
    """The kind of each column, from `kinds` or by its values.

    Numbers: `number` if there are more than 25 distinct values, if not all are whole, or if values hardly repeat
    (fewer than two rows per value); otherwise `category`. Strings: `date` if at least 95 % are ISO dates, `categories`
    if they hold lists joined by | or ;, treated as numbers if all are written like 1,234 or 12 % or $5, `text` with
    more than 25 distinct values of 4 or more words on average (2 if they hardly repeat); otherwise `category`.
    Constant and empty columns: `skip`, and reported.
    Raises UsageError if `kinds` names an unknown column or kind, or one that the values do not allow.
    """
    for name, kind in (kinds or {}).items():
        frame[name]
        if kind not in get_args(Kind):
            raise UsageError(f"column {name!r} cannot be {kind!r}; the kinds are {', '.join(get_args(Kind))}"
                             f"{nearest(kind, get_args(Kind))}")  # fmt: skip
    found: dict[str, Kind] = {}
    for name, column in frame.columns.items():
        if kinds and name in kinds:
            found[name] = kinds[name]  # type: ignore[assignment]
            read_as(found[name], name, column)
            continue
        found[name] = _kind(name, column, report)
    return found


def missing(column: np.ndarray) -> np.ndarray:
    """bool (N,): the rows in which a column of a Frame has no value."""
    if column.dtype == object:
        return np.equal(column, np.array(None, dtype=object)).astype(bool)
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)


def _kind(name: str, column: np.ndarray, report: Report | None) -> Kind:
    present = column[~missing(column)]
    values = _some_distinct(present)
    if len(values) < 2 and (len(values) == 0 or len(present) == len(column)):
        what = "empty" if not len(values) else f"constant ({text_of(values[0])[:40]!r} in every row)"
        if report is not None:
            report.add("constant", name, f"{what}; ignored")
        return "skip"
    if column.dtype.kind == "M":
        return "date"
    if column.dtype.kind == "f":
        return _kind_of_numbers(values, len(present))
    return _kind_of_strings(name, Counter(present), report)


def _kind_of_numbers(values: np.ndarray, rows: int) -> Kind:
    """The kind of these distinct values in `rows` rows."""
    if len(values) > FEW or 2 * len(values) > rows:
        return "number"
    finite = values[np.isfinite(values)]
    return "category" if bool((finite == np.floor(finite)).all()) else "number"


def _some_distinct(present: np.ndarray) -> np.ndarray:
    """The distinct values, or some of them if there are many."""
    if present.dtype == object:
        return objects(set(present))
    some = np.unique(present[:10_000])
    return some if len(some) > FEW else np.unique(present)


def _kind_of_strings(name: str, counts: "Counter[Any]", report: Report | None) -> Kind:
    distinct = list(counts)
    if isinstance(distinct[0], tuple):
        return "categories"
    some = distinct[:LOOK]
    dates = sum(counts[text] for text in some if iso_date(text) is not None)
    if dates >= NEARLY * sum(counts[text] for text in some):
        return "date"
    if separator_of(some, sure=True):
        return "categories"
    numbers = written_numbers(objects(distinct))
    if numbers is not None:
        kind = _kind_of_numbers(np.unique(numbers), counts.total())
        if report is not None and kind == "number":
            report.add("written numbers", name, f"{distinct[0]!r} and the like are read as {numbers[0]:.16g}")
        return kind
    _tell_dates(name, some, report)
    words = sum(map(count_words, some)) / len(some)
    if len(distinct) > FEW and (words >= 4 or (words >= 2 and 2 * len(distinct) > counts.total())):
        return "text"
    others = [text for text in some if not _is_number(text)]
    if report is not None and len(distinct) > FEW and len(others) <= (1 - NEARLY) * len(some):
        but = f", but {others[0][:40]!r} is not" if others else ""
        cure = "with such cells empty, " if others else ""  # as a number, such a cell would be refused
        report.add("numbers as strings", name, Sentence(f"strings that are numbers{but}; treated as a category; {cure}",
                   arg("kinds", {name: "number"}), " makes them numbers"))  # fmt: skip
    return "category"


def _tell_dates(name: str, some: list[str], report: Report | None) -> None:
    if report is None or sum(bool(DATE.match(text)) for text in some) < NEARLY * len(some):
        return
    strange = next(text for text in some if iso_date(text) is None)
    report.add("dates", name, f"dates such as {strange[:40]!r} are not recognized; write dates like 2024-02-29")


def written_numbers(column: np.ndarray) -> np.ndarray | None:
    """Strings such as 1,234 or 12 % or $5 as float64; None if not all are such numbers."""
    first = next((text for text in column if text is not None), "")
    if not _is_number(first):
        return None
    numbers, wrong = parse_numbers(column)
    marked = any(MARKED.search(text) for text in column if text is not None)
    return numbers if wrong is None and marked else None


def _is_number(text: str) -> bool:
    return parse_numbers(objects([text]))[1] is None


def separator_of(texts: list[str], *, sure: bool = False) -> str:
    """The separator of lists in these strings: | or ; (or a comma, unless `sure`); "" for none.

    Sure: the parts are short, and nearly all strings have the separator or there are far fewer parts than strings.
    """
    for mark in "|;" if sure else "|;,":
        holding = [text for text in texts if mark in text]
        if not sure and holding:
            return mark
        parts = [part for text in texts for part in split(text, mark)]
        if len(holding) < max(2, 0.1 * len(texts)) or not parts or sum(map(count_words, parts)) > 3 * len(parts):
            continue
        if len(holding) >= NEARLY * len(texts) or 2 * len(set(parts)) < len(texts):
            return mark
    return ""


def split(text: str, mark: str) -> tuple[str, ...]:
    """The stripped non-empty parts of a joined list."""
    return tuple(part for part in map(str.strip, text.split(mark) if mark else [text]) if part)


def iso_date(text: str) -> datetime | None:
    """An ISO date or time (2024-02-29, 2024-02-29 12:30, 2024-02-29T12:30:00Z), in UTC if it has a time zone."""
    if not ISO.fullmatch(text.strip()):
        return None
    try:
        return utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        return None


def read_as(kind: Kind, name: str, column: np.ndarray, report: Report | None = None) -> np.ndarray:
    """A frame's column converted for its kind. Raises UsageError naming the first row that cannot be converted.

    number: float64. date: datetime64[us]. text: object of str or None. category: float64, or object of str or None.
    categories: object of str, tuple of str, or None.
    """
    empty = missing(column)
    if empty.all():  # an empty column has no type
        if kind in ("number", "date"):
            return np.full(len(column), np.nan if kind == "number" else np.datetime64("NaT", "us"))
        return objects([None] * len(column))
    row = int(np.argmin(empty))
    lists = column.dtype == object and isinstance(column[row], tuple)
    wrong = UsageError(f"column {name!r} is of kind {kind!r}, but row {row} is {_shown(column[row])}")
    if kind in ("skip", "categories"):
        return column if column.dtype == object else as_strings(column)
    if lists:
        raise wrong
    if kind == "category":
        return as_strings(column) if column.dtype.kind == "M" else column
    if kind == "text":
        return as_strings(column)
    if kind == "number":
        return _numbers(name, column, wrong)
    return _dates(name, column, wrong, report)


def as_strings(column: np.ndarray) -> np.ndarray:
    """Numbers and dates as strings; None if missing."""
    if column.dtype == object:
        return column
    if column.dtype.kind == "M":
        return objects(None if value == "NaT" else value for value in np.datetime_as_string(column).tolist())
    distinct, inverse = np.unique(column, return_inverse=True)
    return objects(None if value != value else text_of(value) for value in distinct.tolist())[inverse]


def _numbers(name: str, column: np.ndarray, wrong: UsageError) -> np.ndarray:
    if column.dtype.kind == "f":
        return column
    if column.dtype.kind == "M":
        raise wrong
    numbers, row = parse_numbers(column)
    if row is not None:
        raise UsageError(f"column {name!r} is of kind 'number', but row {row} is {_shown(column[row])}")
    return numbers


def _dates(name: str, column: np.ndarray, wrong: UsageError, report: Report | None) -> np.ndarray:
    if column.dtype.kind == "M":
        return column
    if column.dtype.kind == "f":
        raise wrong
    known = {text: None if text is None else iso_date(text) for text in set(column)}
    bad = {text for text, moment in known.items() if text is not None and moment is None}
    if len(bad) == sum(text is not None for text in known):
        raise UsageError(f"{wrong}; write dates like 2024-02-29") from None
    if bad and report is not None:
        count = sum(text in bad for text in column)
        report.add("no date", name, f"{count} values are not ISO dates (e.g. {min(bad)[:40]!r}); treated as missing")
    return np.array([known[text] for text in column], dtype="datetime64[us]")


def _shown(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else str(value)
