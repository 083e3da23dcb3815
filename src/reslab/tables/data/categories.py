"""Encode categories as indices, and lists of categories as bags."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reslab.tables.data.alike import Alike
from reslab.tables.data.bags import Bags, rows_of
from reslab.tables.data.cells import text_of
from reslab.tables.data.lists import guesses, split
from reslab.tables.data.written import number_of


class Unseen(NamedTuple):
    """Values that are not in the vocabulary: number of rows, and an example; the same of values likely in it."""

    rows: int = 0
    example: str | None = None
    likely: int = 0  # rows whose value differs from a known one in case or form alone
    pair: tuple[str, str] | None = None  # such a value, and the known one that it is read as


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Values by decreasing frequency. Index 0: unknown, or rare in training; 1: missing, if training had any.

    Values are compared as stripped text, numbers by value: 3, 3.0 and, if training had numbers, "3.0" are equal. A
    value that is not known is compared in its other spellings, too (see Alike).
    """

    values: tuple[str, ...]
    missing: bool
    numeric: bool = False  # training had numbers

    @classmethod
    def fit(cls, column: np.ndarray, *, rare: int) -> "Vocabulary":
        """Fit on a column of float64, or of str or None; values in fewer than `rare` rows count as unknown."""
        counts = _counts(column)
        gone = counts.pop(None, 0)
        kept = _frequent(counts, rare)
        return cls(values=kept, missing=gone > 0, numeric=column.dtype.kind == "f")

    @property
    def size(self) -> int:
        return 1 + self.missing + len(self.values)

    def lookup(self) -> dict[str | None, int]:
        """The index of each value, and of None."""
        first = 1 + self.missing
        return {None: int(self.missing), **{value: first + k for k, value in enumerate(self.values)}}

    def encode(self, column: np.ndarray) -> tuple[np.ndarray, Unseen]:
        """Indices, int32 (N,), and the unknown values."""
        known = self.lookup()
        row, distinct = _distinct(column)
        texts, pairs = self._known([self._text(value) for value in distinct], known)
        index = np.array([known.get(text, 0) for text in texts], np.int32)
        strange = np.array([text not in known for text in texts], bool)
        example = next((text for text in texts if text not in known), None)
        likely = np.array([place in pairs for place in range(len(texts))], bool)
        return index[row], Unseen(
            int(strange[row].sum()), example, int(likely[row].sum()), next(iter(pairs.values()), None)
        )

    def _known(
        self, texts: list[str | None], known: dict[str | None, int]
    ) -> tuple[list[str | None], dict[int, tuple[str, str]]]:
        """The texts, other spellings replaced by known values; by place, the pairs that are likely the same."""
        if all(text is None or text in known for text in texts):
            return texts, {}
        alike, found, pairs = Alike(self.values), list(texts), {}
        for place, text in enumerate(texts):
            if text is not None and text not in known and (other := alike.find(text)) is not None:
                found[place] = other
                if alike.folded(text, other):
                    pairs[place] = (text, other)
        return found, pairs

    def _text(self, value: Any) -> str | None:
        if value is None or value != value:
            return None
        if self.numeric and isinstance(value, str):
            number = number_of(value)
            value = value if number is None else number
        return text_of(value)


@dataclass(frozen=True, kw_only=True)
class ListCode:
    """Lists of values as bags: each of n different values has the weight 1 / n. Indices as in Vocabulary.

    A missing list is the bag of index 1 (0 if training had no missing lists); an empty list is an empty bag.
    """

    values: tuple[str, ...]
    missing: bool
    mark: str  # separator of lists stored as strings; "": none

    @classmethod
    def fit(cls, column: np.ndarray, *, rare: int, mark: str) -> "ListCode":
        """Fit on a column of str, tuple of str, or None. A value counts once per row."""
        counts: Counter[Any] = Counter()
        for value, n in Counter(column).items():
            for part in _parts(value, mark):
                counts[part] += n
        gone = any(value is None for value in column)
        return cls(values=_frequent(counts, rare), missing=gone, mark=mark)

    @property
    def size(self) -> int:
        return 1 + self.missing + len(self.values)

    def encode(self, column: np.ndarray) -> tuple[np.ndarray, Bags, Unseen]:
        """Index of each row's bag (N,), the bags of the distinct lists, and the unknown values."""
        vocabulary = Vocabulary(values=self.values, missing=self.missing)
        known, alike = vocabulary.lookup(), Alike(self.values)
        row, distinct = rows_of(column)
        lists: list[tuple[str | None, ...]] = [
            (None,) if value is None else self._list(value, known, alike) for value in distinct
        ]
        ids = [known.get(part, 0) for parts in lists for part in parts]
        lengths = np.array([len(parts) for parts in lists], np.int64)
        weights = np.repeat(1 / lengths.clip(1), lengths)
        strange = np.array([any(part not in known for part in parts) for parts in lists], bool)
        example = next((str(part) for parts in lists for part in parts if part not in known), None)
        return row, Bags.of(ids, weights, lengths), Unseen(int(strange[row].sum()), example)

    def _list(self, value: Any, known: Container[str | None], alike: Alike) -> tuple[str, ...]:
        """The parts of a list; a string without a known part is tried with the marks of other lists."""

        def found(parts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys(part if part in known else alike.find(part) or part for part in parts))

        parts = found(_parts(value, self.mark))
        if isinstance(value, str) and not any(part in known for part in parts):
            for other in map(found, guesses(value)):
                if any(part in known for part in other):
                    return other
        return parts


def _parts(value: str | tuple[str, ...] | None, mark: str) -> tuple[str, ...]:
    """The different values of a list, in order; empty for None."""
    if value is None:
        return ()
    parts = value if isinstance(value, tuple) else split(value, mark)
    return tuple(dict.fromkeys(part for part in map(str.strip, parts) if part))


def _frequent(counts: "Counter[Any]", rare: int) -> tuple[str, ...]:
    return tuple(sorted((value for value, n in counts.items() if n >= rare), key=lambda value: (-counts[value], value)))


def _distinct(column: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    if column.dtype == object:
        return rows_of(column)
    distinct, row = np.unique(column, return_inverse=True)
    return row, distinct.tolist()


def _counts(column: np.ndarray) -> "Counter[Any]":
    """Number of rows per text; None: missing."""
    counts: Counter[Any] = Counter()
    row, distinct = _distinct(column)
    for value, n in zip(distinct, np.bincount(row, minlength=len(distinct)).tolist(), strict=True):
        counts[None if value is None or value != value else text_of(value)] += n
    return counts
