"""Words that stand for a missing value."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from reslab.errors import UsageError
from reslab.tables.data.cells import objects
from reslab.tables.data.report import Report
from reslab.tables.data.written import number_of

# As UCI's tables, R, pandas, SQL, Excel and people write them. "none" and "unknown" are values more often than not.
USUAL = ("?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "NaT", "NULL", "null", "None", "\\N", "-", "--",
         ".", "-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#N/A N/A", "#NULL!", "#DIV/0!", "#VALUE!",
         "#REF!", "#NAME?", "#NUM!")  # fmt: skip
SHOWN = 3  # words named in a sentence


def words_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """The words to take for missing; None: the usual ones; [""]: none. Raises UsageError for other types."""
    if given is None:
        return USUAL
    if isinstance(given, str) or not all(isinstance(word, str) for word in given):
        raise UsageError(f"the words of missing values must be a list of strings, got {given!r}")
    return tuple(dict.fromkeys(word.strip() for word in given))


def without_words(
    columns: Mapping[str, np.ndarray], words: Collection[str], report: Report | None = None
) -> dict[str, np.ndarray]:
    """The columns of a frame that have some of these words, without them; each is reported, with counts."""
    found: dict[str, np.ndarray] = {}
    read = {word: number_of(word) for word in words}
    numbers = {number: word for word, number in read.items() if number is not None and number == number}  # as -999
    for name, column in columns.items():
        if column.dtype == np.float64 and numbers:
            gone_rows = np.isin(column, list(numbers))
            if gone_rows.any():
                found[name] = np.where(gone_rows, np.nan, column)
                if report is not None:
                    counts = Counter({word: int((column == number).sum()) for number, word in numbers.items()})
                    counted(name, +counts, len(column), report)
        if column.dtype != object:
            continue
        gone = {text for text in set(column) if isinstance(text, str) and text.strip() in words}
        if gone:
            found[name] = objects(None if text in gone else text for text in column)
            if report is not None:
                counted(name, Counter(text.strip() for text in column if text in gone), len(column), report)
    return found


def counted(name: str, counts: "Counter[str]", rows: int, report: Report) -> None:
    """Report the words for missing values of a column."""
    report.add("missing", name, _sentence(counts, rows))
    report.words.append(dict(counts))


def _sentence(counts: "Counter[str]", rows: int) -> str:
    each = [f"{word!r} in {n:,}" for word, n in counts.most_common(SHOWN)]
    more = f" and {len(counts) - SHOWN} other words" if len(counts) > SHOWN else ""
    n = counts.total()
    return f"{', '.join(each)}{more} of {rows:,} rows {'is' if n == 1 else 'are'} read as missing"
