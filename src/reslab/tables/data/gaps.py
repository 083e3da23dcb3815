"""Words that stand for a missing value."""

from collections import Counter
from collections.abc import Sequence

from reslab.errors import UsageError
from reslab.tables.data.cells import objects
from reslab.tables.data.frame import Frame, Report

# As UCI's tables, R, pandas, SQL, Excel and people write them. "none" and "unknown" are values more often than not.
USUAL = ("?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NaN", "nan", "NaT", "NULL", "null", "None", "\\N", "-", "--",
         ".", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!")  # fmt: skip
SHOWN = 3  # words named in a sentence


def words_of(given: Sequence[str] | None) -> tuple[str, ...]:
    """The words to take for missing; None: the usual ones. Raises UsageError for anything but a list of strings."""
    if given is None:
        return USUAL
    if isinstance(given, str) or not all(isinstance(word, str) for word in given):
        raise UsageError(f"the words of missing values must be a list of strings, got {given!r}")
    return tuple(dict.fromkeys(word.strip() for word in given if word.strip()))


def without_words(frame: Frame, words: Sequence[str], report: Report | None = None) -> tuple[Frame, frozenset[str]]:
    """The frame with these words as missing values, and the columns that had some; each is reported with counts."""
    known, changed = set(words), {}
    for name, column in frame.columns.items():
        if column.dtype != object or not known:
            continue
        gone = {text for text in set(column) if isinstance(text, str) and text.strip() in known}
        if gone:
            changed[name] = objects(None if text in gone else text for text in column)
            if report is not None:
                report.add(
                    "missing", name, _sentence(Counter(text.strip() for text in column if text in gone), len(column))
                )
    return frame.with_columns(changed), frozenset(changed)


def _sentence(counts: "Counter[str]", rows: int) -> str:
    each = [f"{word!r} in {n:,}" for word, n in counts.most_common(SHOWN)]
    more = f" and {len(counts) - SHOWN} other words" if len(counts) > SHOWN else ""
    n = counts.total()
    return f"{', '.join(each)}{more} of {rows:,} rows {'is' if n == 1 else 'are'} read as missing"
