"""Separate a table from its target, and report columns that give the target away."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from reslab.errors import Sentence, UsageError, arg
from reslab.tables.data.convert import missing, written_numbers
from reslab.tables.data.frame import EXACT, Frame, Report
from reslab.tables.data.gaps import USUAL
from reslab.tables.data.lists import separator_of, split
from reslab.tables.data.target import TargetKind, find_target_kind

MISSING_CLASSES = frozenset(USUAL) - {"-", "--", ".", "None"}
APART = Sentence(arg("kind", "labels"), " separates them")


def split_target(
    frame: Frame, target: Sequence[str], word: str, kind: TargetKind | None = None
) -> tuple[Frame, np.ndarray]:
    """The frame without its target, and the target's values: (N,) of one column, (N, K) of several.

    Numbers written like 1,234 are numbers; with kind "labels", strings like red|blue are several labels, and an empty
    cell has none. Raises UsageError for a missing column or a missing value.
    """
    try:
        columns, rest = [frame[name] for name in target], frame.without(*target)
    except UsageError as error:
        raise UsageError(f"{word}: ", error) from error
    if not rest.names:
        raise UsageError(f"{word} has no columns besides the target")
    if kind == "labels" and len(columns) == 1 and any(isinstance(value, str) for value in columns[0]):
        return rest, joined(columns[0])
    for name, column in zip(target, columns, strict=True):
        refuse(f"the target {name!r} has no value in", missing(column), word)
        if column.dtype == np.float64:
            refuse(f"the target {name!r} is infinite in", np.isinf(column), word)
    whole = [as_given(column) for column in columns]
    return rest, whole[0] if len(whole) == 1 else np.stack(whole, axis=1)


def refuse(what: str, rows: np.ndarray, word: str) -> None:
    """Raise UsageError if any of the rows, bool (N,), is marked, naming the first."""
    where = np.flatnonzero(rows)
    if len(where):
        more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
        raise UsageError(f"{what} row {where[0]} of {word}{more}; remove such rows")


def joined(column: np.ndarray) -> np.ndarray:
    """The labels of each string, as an object array of tuples; none for an empty cell."""
    texts = ["" if value is None else str(value) for value in column]
    mark = separator_of(texts)
    labels = np.empty(len(column), dtype=object)
    labels[:] = [split(text, mark) for text in texts]
    return labels


def tell_joined(values: np.ndarray, name: str, report: Report, *, cure: str | Sentence = APART) -> None:
    """Report a target whose classes look like several joined labels."""
    texts = values.tolist() if values.dtype == object else []
    if all(isinstance(value, str) for value in texts) and (mark := separator_of(texts, sure=True)):
        report.add("joined", name, Sentence(f"its classes look like several labels joined by {mark}: ",
                   cure))  # fmt: skip


def tell_missing_class(values: np.ndarray, name: str, report: Report) -> None:
    """Report a class that is a word for missing values; - may as well be the sign of a class."""
    if values.ndim == 1 and values.dtype.kind in "OU":
        counts = Counter(str(value).strip() for value in values.tolist() if isinstance(value, str))
        for word in sorted(MISSING_CLASSES & set(counts)):
            report.add("class", name, f"its class {word!r} ({counts[word]:,} of {len(values):,} rows) usually means a "
                       "missing value; remove such rows if it does")  # fmt: skip


def as_given(column: np.ndarray) -> np.ndarray:
    """Whole numbers as int64, and strings that represent numbers as numbers."""
    if column.dtype == object and isinstance(column[0], str):
        numbers = written_numbers(column)
        column = column if numbers is None else numbers
    whole = column.dtype == np.float64 and (column % 1 == 0).all() and np.abs(column).max() < EXACT
    return column.astype(np.int64) if whole else column


def groups_of(values: np.ndarray, kind: TargetKind | None) -> np.ndarray | None:
    """Each row's class as a number, for a target of classes; otherwise None."""
    if (kind or find_target_kind(values)) != "classes":
        return None
    if values.dtype == np.float64 and np.abs(values).max() >= EXACT:
        raise UsageError("the target has whole numbers of 2**53 or more, which are read to 16 digits; convert them to "
                         "strings if they are classes, otherwise use ", arg("kind", "numbers"))  # fmt: skip
    return np.unique(values.astype(str), return_inverse=True)[1]


def tell_copies(frame: Frame, values: np.ndarray, groups: np.ndarray | None, report: Report) -> None:
    """Report columns that duplicate the target: one value per class and vice versa, or a linear function of it.

    Only if classes have two rows or more on average; otherwise any column of ids would be reported.
    """
    if groups is None and (values.ndim > 1 or values.dtype.kind not in "fi" or np.ptp(values) == 0):
        return
    if groups is not None and 2 * (groups.max() + 1) > len(groups):
        return
    for name, column in frame.columns.items():
        if same_classes(column, groups) if groups is not None else same_numbers(column, values):
            report.add("copy", name, Sentence("it has the same information as the target; if it is not known before "
                       "the target, leave it out with ", arg("kinds", {name: "skip"})))  # fmt: skip


def same_classes(column: np.ndarray, groups: np.ndarray) -> bool:
    """Whether values and classes correspond one to one."""
    known: dict[object, int] = {}
    of: dict[int, object] = {}
    return all(known.setdefault(value, group) == group and of.setdefault(group, value) == value
               for value, group in zip(column.tolist(), groups.tolist(), strict=True))  # fmt: skip


def same_numbers(column: np.ndarray, values: np.ndarray) -> bool:
    """Whether one is a linear function of the other."""
    if column.dtype != np.float64 or len(column) < 4 or not np.isfinite(column).all():
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = column - column[0], values - values[0]
        k = int(np.abs(x).argmax())
        return bool(x[k] != 0 and np.allclose(x / x[k] * y[k], y, rtol=1e-9, atol=1e-9 * np.abs(y).max()))
