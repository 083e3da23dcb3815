"""An encoded table as arrays, without torch; `table.Table` holds the same as tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from reslab.tables.data.bags import Bags


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The rows of a table; None if it has no such columns. Fields as in `Table`, which says what they mean."""

    rows: int
    numbers: np.ndarray | None  # float32 (N, Fn, 2)
    codes: np.ndarray | None  # int32 (N, Fc)
    bags: np.ndarray | None  # int32 (N, Fb)
    ids: np.ndarray | None
    weights: np.ndarray | None
    starts: np.ndarray | None
    sizes: Mapping[str, Any]
    owners: tuple[str, ...]

    def __len__(self) -> int:
        return self.rows

    def inputs(self, rows: np.ndarray, vectors: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The rows with these indices (B,), in order, as an exported net's inputs: the first axis of each is the batch.

        numbers (B, Fn, 2), codes int64 (B, Fc), bags float32 (B, Fb, E); only those that the table has. `vectors`
        (V, E): of the values of all bags' columns, one column after the other; `bags` are their weighted sums.
        """
        found: dict[str, np.ndarray] = {}
        if self.numbers is not None:
            found["numbers"] = self.numbers[rows]
        if self.codes is not None:
            found["codes"] = self.codes[rows].astype(np.int64)
        if vectors is not None:
            ids, weights, starts = self.flat(rows)
            first = np.cumsum([0, *self.sizes["bags"][:-1]], dtype=np.int64)
            ids += np.repeat(np.tile(first, len(rows)), np.diff(starts))
            sums = csr_array((weights, ids, starts), shape=(len(starts) - 1, len(vectors))) @ vectors
            found["bags"] = sums.reshape(len(rows), -1, vectors.shape[1])
        return found

    def flat(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(ids int64 (T,), weights (T,), starts int64 (B * Fb + 1,)) of the rows' bags, row by row."""
        assert self.bags is not None
        assert self.ids is not None
        assert self.weights is not None
        assert self.starts is not None
        place = self.bags[rows].ravel()
        first = self.starts[place]
        lengths = self.starts[place + 1] - first
        starts = np.concatenate([[0], np.cumsum(lengths)])
        taken = np.repeat(first - starts[:-1], lengths) + np.arange(starts[-1])
        return self.ids[taken].astype(np.int64), self.weights[taken], starts


def pooled(columns: list[tuple[np.ndarray, Bags]]) -> dict[str, np.ndarray | None]:
    """Columns of bags, each with row indices (N,), as one pool: a table's bags, ids, weights and starts."""
    if not columns:
        return dict.fromkeys(("bags", "ids", "weights", "starts"))
    first = np.cumsum([0, *(len(bags) for _, bags in columns)])
    places = np.stack([row + first[k] for k, (row, _) in enumerate(columns)], axis=1).astype(np.int32)
    pool = Bags.joined([bags for _, bags in columns])
    return {"bags": places, "ids": pool.ids, "weights": pool.weights, "starts": pool.starts}
