"""An encoded table: its arrays, and batches of its rows as a net's keyword arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.tables.data.rows import Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The rows of a table as tensors, on one device; None if it has no such columns.

    numbers float32 (N, Fn, 2): Gaussian rank and z-score, NaN if missing. codes int32 (N, Fc).
    bags int32 (N, Fb): index of each bag in the pool of bags, stored in `ids`, `weights` and `starts`.
    vectors float32 (N, sum of widths), NaN if missing.
    sizes: `numbers`, `categories`, `bags`, `vectors` and `columns`, as a TableSpec takes them. owners: the frame's
    column that each of these columns was made of.
    """

    rows: int
    numbers: Tensor | None
    codes: Tensor | None
    bags: Tensor | None
    ids: Tensor | None
    weights: Tensor | None
    starts: Tensor | None
    vectors: Tensor | None = None
    sizes: Mapping[str, Any]
    owners: tuple[str, ...]

    @classmethod
    def of(cls, rows: Rows) -> "Table":
        """The same rows as tensors on the CPU, which share the arrays' memory."""
        arrays = {name: getattr(rows, name) for name in ("numbers", "codes", "bags", "ids", "weights", "starts")}
        tensors = {name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()}
        return cls(rows=len(rows), sizes=rows.sizes, owners=rows.owners, **tensors)

    def __len__(self) -> int:
        return self.rows

    @property
    def device(self) -> torch.device:
        return next(one.device for one in self._tensors().values())

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> "Table":
        """The same table on a device, where batches are then gathered."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})  # type: ignore[arg-type]

    def batch(self, rows: Any, device: torch.device | str | None = None) -> dict[str, Tensor]:
        """The rows with these indices (B,), in order, as a net's arguments; `device`: by default the table's.

        numbers (B, Fn, 2), codes int64 (B, Fc), bag_ids int64 (T,), bag_weights (T,), bag_offsets int64 (B * Fb,) row
        by row, vectors (B, widths); only those that the table has.
        """
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        found: dict[str, Tensor] = {}
        if self.numbers is not None:
            found["numbers"] = self.numbers[rows]
        if self.codes is not None:
            found["codes"] = self.codes[rows].long()
        if self.bags is not None and self.ids is not None and self.weights is not None and self.starts is not None:
            place = self.bags[rows].flatten().long()
            start = self.starts[place]
            lengths = self.starts[place + 1] - start
            offsets = lengths.cumsum(0) - lengths
            taken = torch.repeat_interleave(start - offsets, lengths)
            taken += torch.arange(len(taken), device=taken.device)
            found |= {"bag_ids": self.ids[taken].long(), "bag_weights": self.weights[taken], "bag_offsets": offsets}
        if self.vectors is not None:
            found["vectors"] = self.vectors[rows]
        return found if device is None else {name: tensor.to(device) for name, tensor in found.items()}

    def shuffled(self, owner: str, order: Any) -> "Table":
        """The table with all columns made of the frame's column `owner` permuted: row k is from order[k]."""
        rows = torch.as_tensor(order, dtype=torch.int64, device=self.device)
        sizes, changed, first = self.sizes, {}, 0
        widths = {"numbers": [1] * sizes["numbers"], "codes": [1] * len(sizes["categories"]),
                  "bags": [1] * len(sizes["bags"]), "vectors": sizes["vectors"]}  # fmt: skip
        for name, each in widths.items():
            owned = [one == owner for one in self.owners[first : first + len(each)]]
            first += len(each)
            array = getattr(self, name)
            if any(owned):
                places = np.repeat(owned, each).nonzero()[0]
                changed[name] = array.clone()
                changed[name][:, places] = array[:, places][rows]
        return replace(self, **changed)

    def with_vectors(self, columns: Mapping[str, np.ndarray]) -> "Table":
        """The table with additional frozen vectors (N, width), by the name of the column they were made of.

        Raises UsageError if their number differs from the rows.
        """
        vectors = [] if self.vectors is None else [self.vectors]
        for name, array in columns.items():
            if array.ndim != 2 or len(array) != len(self):
                raise UsageError(f"the vectors of column {name!r} must be ({len(self)}, width), got {array.shape}")
            vectors.append(torch.as_tensor(array, dtype=torch.float32, device=self.device))
        sizes = dict(self.sizes)
        sizes["vectors"] += tuple(array.shape[1] for array in columns.values())
        sizes["columns"] += tuple(f"{name}: vector" for name in columns)
        return replace(self, vectors=torch.cat(vectors, dim=1), sizes=sizes, owners=self.owners + tuple(columns))
