"""Weighted bags of indices, concatenated in flat arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Bags:
    """Bag k is ids[starts[k] : starts[k + 1]] with the weights at the same positions."""

    ids: np.ndarray  # int32 (T,)
    weights: np.ndarray  # float32 (T,)
    starts: np.ndarray  # int64 (bags + 1,)

    @classmethod
    def of(cls, ids: Any, weights: Any, lengths: Any) -> "Bags":
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.asarray(ids, np.int32), np.asarray(weights, np.float32), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def joined(cls, parts: list["Bags"]) -> "Bags":
        """The bags of all parts, concatenated."""
        lengths = [np.diff(part.starts) for part in parts]
        return cls.of(*(np.concatenate(arrays) for arrays in
                        ([part.ids for part in parts], [part.weights for part in parts], lengths)))  # fmt: skip


def rows_of(column: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """The index (N,) of each row's value among the distinct values, and these in order of appearance."""
    distinct = list(dict.fromkeys(column))
    place = {value: k for k, value in enumerate(distinct)}
    return np.fromiter(map(place.__getitem__, column), np.int64, len(column)), distinct
