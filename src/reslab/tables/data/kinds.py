"""The kinds of a table's columns: number, category, categories (several per row), date, text, or skip."""

import re
from collections import Counter
from collections.abc import Container, Mapping
from typing import Any, Literal, get_args

import numpy as np

from reslab.errors import Sentence, UsageError, arg, nearest
from reslab.tables.data.cells import objects, text_of
from reslab.tables.data.convert import Spelling, missing, read_as, written_numbers
from reslab.tables.data.dates import date_of, order_of
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.lists import NEARLY, separator_of
from reslab.tables.data.words import count_words
from reslab.tables.data.written import decimal_mark, number_of

Kind = Literal["number", "category", "categories", "date", "text", "skip"]
FEW = 25  # largest number of distinct values of a numeric category, or of one with long values
LOOK = 2_000  # distinct strings are enough to recognize texts and lists
HALF = 0.5  # from this share of numbers or dates on, a column of strings is reported
DATE = re.compile(r"\s*(\d{4}([/.-])\d{1,2}\2\d{1,2}|\d{1,2}([/.-])\d{1,2}\3(\d{4}|\d\d))(?![\d./-])")  # any order


def find_kinds(
    frame: Frame, kinds: Mapping[str, str] | None = None, *, report: Report | None = None,
    gaps: Container[str] = (), decimal: str | None = None,
) -> dict[str, Kind]:  # fmt: skip
    """The kind of each column, from `kinds` or by its values.

    Numbers: `number` if there are more than 25 distinct values, if not all are whole, or if values hardly repeat
    (fewer than two rows per value); otherwise `category`. Strings: `date` if at least 95 % are dates, `categories`
    if they hold lists, treated as numbers if all are written like 1,234 or 1.000,05 or 12 % or $5, `text` with
    more than 25 distinct values of 4 or more words on average (2 if they hardly repeat); otherwise `category`.
    Constant and empty columns: `skip`, and reported. gaps: columns that had words for missing values; plain numbers
    beside these are numbers. decimal: mark of numbers that can be read in two ways (`decimal_mark`).
    Raises UsageError if `kinds` names an unknown column or kind, or one that the values do not allow.
    """
    given: dict[str, Kind] = {}
    for name, kind in (kinds or {}).items():
        if kind not in get_args(Kind):
            raise UsageError(f"column {name!r} cannot be {kind!r}; the kinds are {', '.join(get_args(Kind))}"
                             f"{nearest(kind, get_args(Kind))}")  # fmt: skip
        given[frame.name_of(name)] = kind  # type: ignore[assignment]
    found: dict[str, Kind] = {}
    for name, column in frame.columns.items():
        found[name] = given[name] if name in given else _kind(name, column, report, name in gaps, decimal)
        if name in given:
            read_as(found[name], name, column, spelling=Spelling(decimal=decimal))
    return found


def _kind(name: str, column: np.ndarray, report: Report | None, gaps: bool, decimal: str | None) -> Kind:
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
    return _kind_of_strings(name, Counter(present), report, gaps, decimal)


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


def _kind_of_strings(name: str, counts: "Counter[Any]", report: Report | None, gaps: bool, decimal: str | None) -> Kind:
    distinct = list(counts)
    if isinstance(distinct[0], tuple):
        return "categories"
    some = distinct[:LOOK]
    order = order_of(some)
    strange = [text for text in some if date_of(text, order) is None]
    if _share(strange, some, counts) <= 1 - NEARLY:
        return "date"
    if separator_of(some, sure=True):
        return "categories"
    numbers = written_numbers(objects(distinct), decimal)
    plain = plain_numbers(distinct) if gaps and numbers is None else None
    read = plain if numbers is None else numbers
    if read is not None:
        kind = _kind_of_numbers(np.unique(read), counts.total())
        if report is not None and kind == "number" and read is not plain:
            _tell_written(name, distinct, read, report, decimal)
        return kind
    words = sum(map(count_words, some)) / len(some)
    many = len(distinct) > FEW
    text = many and (words >= 4 or (words >= 2 and 2 * len(distinct) > counts.total()))
    kind = "text" if text else "category"
    if report is not None and not _tell_dates(name, some, strange, kind, counts, report):
        _tell_numbers(name, distinct, kind, counts, report, decimal)
    return kind


def plain_numbers(texts: list[str]) -> np.ndarray | None:
    """Strings as numbers; None if not all are numbers.

    A column of such strings was meant to be one of strings, unless a word for a missing value made it one.
    """
    found = [number_of(text) for text in texts]
    return None if None in found else np.array(found, np.float64)


def _tell_written(name: str, texts: list[str], numbers: np.ndarray, report: Report, decimal: str | None) -> None:
    mark = decimal_mark(texts, decimal)
    if mark is None or not mark.sure:  # `read_as` reports these
        return
    place = next((k for k, text in enumerate(texts) if mark.mark == "," and "," in text), 0)
    parts: list[Any] = [f"{texts[place]!r} and the like are read as {numbers[place]:.16g}"]
    if mark.mark == "," and decimal is None:
        parts += ["; if they are lists, say so with ", arg("kinds", {name: "categories"})]
    report.add("written numbers", name, Sentence(*parts))


def _share(of: list[str], some: list[str], counts: "Counter[Any]") -> float:
    """The share of the rows with one of `some` strings that hold one of these."""
    return sum(counts[text] for text in of) / sum(counts[text] for text in some)


def _tell_dates(
    name: str, some: list[str], strange: list[str], kind: str, counts: "Counter[Any]", report: Report
) -> bool:
    """Report a column of strings that are mostly dates; whether they are."""
    share = _share([text for text in some if DATE.match(text) or text not in set(strange)], some, counts)
    dates = 1 - _share(strange, some, counts)
    if dates > HALF:
        but = f"{_percent(dates)} of the values are dates, but {strange[0][:40]!r} is not; treated as a {kind}; "
        report.add("dates", name, Sentence(but, arg("kinds", {name: "date"}), " makes them dates, and others missing"))
    elif share >= NEARLY:
        either = "may be day and month or month and day" if date_of(strange[0], "dmy") else "are not recognized"
        report.add("dates", name, f"dates such as {strange[0][:40]!r} {either}; treated as a {kind}; "
                   "write dates like 2024-02-29")  # fmt: skip
    return dates > HALF or share >= NEARLY


def _tell_numbers(
    name: str, distinct: list[str], kind: str, counts: "Counter[Any]", report: Report, decimal: str | None
) -> None:
    """Report a column of strings that are mostly numbers with many values."""
    mark = decimal_mark(distinct, decimal)
    known = {text: number_of(text, mark.mark if mark else ".") for text in distinct}
    others = [text for text, number in known.items() if number is None]
    share = 1 - _share(others, distinct, counts)
    numbers = np.array([number for number in known.values() if number is not None])
    if share <= HALF or _kind_of_numbers(np.unique(numbers), round(share * counts.total())) != "number":
        return
    if not others and len(distinct) <= FEW:
        return
    many = f" and {_percent(1 - share)} of the values are" if len(others) > 1 else " is"
    but = f", but {others[0][:40]!r}{many} not" if others else ""
    cells = ", and such cells missing" if others else ""
    report.add("numbers as strings", name, Sentence(f"strings that are numbers{but}; treated as a {kind}; ",
               arg("kinds", {name: "number"}), f" makes them numbers{cells}"))  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
