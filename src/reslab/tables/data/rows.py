"""An encoded table as arrays, without torch; `table.Table` holds the same as tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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

    def longest(self) -> np.ndarray:
        """The number of values in each row's longest bag, int64 (N,); 0 without bags."""
        if self.bags is None or self.starts is None:
            return np.zeros(self.rows, np.int64)
        found: np.ndarray = np.diff(self.starts)[self.bags].max(axis=1)
        return found

    def padded(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The rows with these indices (B,), in order, as an exported net's inputs: the first axis of each is the batch.

        numbers (B, Fn, 2), codes int64 (B, Fc), bag_ids int64 and bag_weights float32 (B, Fb, M): every bag is padded
        to the M values of the longest one, at least 1, with index 0 of weight 0; only those that the table has.
        """
        found: dict[str, np.ndarray] = {}
        if self.numbers is not None:
            found["numbers"] = self.numbers[rows]
        if self.codes is not None:
            found["codes"] = self.codes[rows].astype(np.int64)
        if self.bags is not None and self.ids is not None and self.weights is not None and self.starts is not None:
            place = self.bags[rows]  # (B, Fb)
            start = self.starts[place]
            lengths = self.starts[place + 1] - start
            within = np.arange(max(1, int(lengths.max(initial=0))))
            real = within < lengths[..., None]  # (B, Fb, M)
            taken = (start[..., None] + within)[real]
            ids, weights = np.zeros(real.shape, np.int64), np.zeros(real.shape, np.float32)
            ids[real], weights[real] = self.ids[taken], self.weights[taken]
            found |= {"bag_ids": ids, "bag_weights": weights}
        return found


def pooled(columns: list[tuple[np.ndarray, Bags]]) -> dict[str, np.ndarray | None]:
    """Columns of bags, each with row indices (N,), as one pool: a table's bags, ids, weights and starts."""
    if not columns:
        return dict.fromkeys(("bags", "ids", "weights", "starts"))
    first = np.cumsum([0, *(len(bags) for _, bags in columns)])
    places = np.stack([row + first[k] for k, (row, _) in enumerate(columns)], axis=1).astype(np.int32)
    pool = Bags.joined([bags for _, bags in columns])
    return {"bags": places, "ids": pool.ids, "weights": pool.weights, "starts": pool.starts}
