"""From the columns of a table to X (N, F, E): each family of columns is one batched operation."""

from collections.abc import Sequence
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError


def small(*shape: int) -> nn.Parameter:
    """As embeddings begin: normal, std 0.02 (published)."""
    return nn.Parameter(torch.empty(shape).normal_(std=0.02))


class LinearNumbers(nn.Module):
    """e = x d + a of each view of a number by itself: (N, Fn, 2) to (N, 2 Fn, E), a column's two views in turn.

    A missing value, NaN, is a learned vector of its own, in place of e.
    """

    def __init__(self, columns: int, embedding: int) -> None:
        super().__init__()
        self.direction, self.anchor, self.missing = (small(columns, 2, embedding) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        absent = x.isnan()
        e = x.masked_fill(absent, 0)[..., None] * self.direction + self.anchor
        return torch.where(absent[..., None], self.missing, e).flatten(1, 2)


class PiecewiseNumbers(nn.Module):
    """e = W [c; z] + a, c the piecewise-linear encoding of the first view, z the second: (N, Fn, 2) to (N, Fn, E).

    c_t is 0 below bin t, 1 above it, linear inside; the first and the last bin go on beyond their outer edges
    (Gorishniy et al. 2022, section 3.2). No ReLU follows. Where we differ: the first view is a rank on the normal
    scale, so all columns share their edges. A missing value, NaN, is a learned vector in place of e.
    """

    left: Tensor
    width: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, columns: int, embedding: int, bins: int) -> None:
        super().__init__()
        self.weight = small(columns, bins + 1, embedding)
        self.anchor, self.missing = small(columns, embedding), small(columns, embedding)
        edges, free = torch.tensor(normal_edges(bins)), torch.tensor([float("inf")])
        self.register_buffer("left", edges[:-1], persistent=False)
        self.register_buffer("width", edges.diff(), persistent=False)
        self.register_buffer("low", torch.cat([-free, torch.zeros(bins - 1)]), persistent=False)
        self.register_buffer("high", torch.cat([torch.ones(bins - 1), free]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        absent = x.isnan().any(dim=2)
        rank, z = x.masked_fill(absent[..., None], 0).split(1, dim=2)
        c = ((rank - self.left) / self.width).clamp(self.low, self.high)  # (N, Fn, bins)
        e = torch.einsum("nfb,fbe->nfe", torch.cat([c, z], dim=2), self.weight) + self.anchor
        return torch.where(absent[..., None], self.missing, e)


def normal_edges(bins: int) -> list[float]:
    """Edges of bins equally probable under N(0, 1). An outer bin has no end: its edge leaves out a 100th of it."""
    normal = NormalDist()
    end = normal.inv_cdf(0.01 / bins)
    return [end, *(normal.inv_cdf(i / bins) for i in range(1, bins)), -end]


class Categories(nn.Module):
    """e = Table[code], one table for all columns: (N, Fc) to (N, Fc, E)."""

    starts: Tensor

    def __init__(self, sizes: Sequence[int], embedding: int) -> None:
        super().__init__()
        self.table = small(sum(sizes), embedding)
        self.register_buffer("starts", starts(sizes), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        return F.embedding(codes + self.starts, self.table)


class Bags(nn.Module):
    """e = the weighted sum of the vectors in a bag, one table for all columns: to (N, Fb, E). An empty bag is 0.

    ids and weights (T,) of all bags one after the other, offsets (N * Fb,) where each begins, row by row.
    """

    starts: Tensor

    def __init__(self, sizes: Sequence[int], embedding: int) -> None:
        super().__init__()
        self.table = small(sum(sizes), embedding)
        self.register_buffer("starts", starts(sizes), persistent=False)

    def forward(self, ids: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        n, columns = len(offsets) // len(self.starts), len(self.starts)
        if columns > 1:  # each index is within its own column's vocabulary
            lengths = F.pad(offsets, (0, 1), value=len(ids)).diff()
            ids = ids + self.starts.repeat(n).repeat_interleave(lengths, output_size=len(ids))
        e = F.embedding_bag(ids, self.table, offsets, mode="sum", per_sample_weights=weights)
        return e.view(n, columns, self.table.shape[1])


def starts(sizes: Sequence[int]) -> Tensor:
    """Where each column's part of the common table begins."""
    return torch.tensor([0, *sizes[:-1]]).cumsum(0)


class Vectors(nn.Module):
    """e = W v of each column's vector: (N, sum of widths) to (N, Fv, E); one product where all widths are equal.

    A missing vector, with a NaN in it, is a learned vector in place of e.
    """

    def __init__(self, widths: Sequence[int], embedding: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.weights = nn.ParameterList(nn.Linear(width, embedding, bias=False).weight for width in widths)
        self.missing = small(len(widths), embedding)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.widths, dim=1)
        absent = torch.stack([v.isnan().any(dim=1) for v in parts], dim=1)
        if len(set(self.widths)) == 1:
            v = torch.stack(parts, dim=1).masked_fill(absent[..., None], 0)
            e = torch.einsum("nfw,few->nfe", v, torch.stack(list(self.weights)))
        else:
            e = torch.stack([F.linear(v.nan_to_num(0), w) for v, w in zip(parts, self.weights, strict=True)], dim=1)
        return torch.where(absent[..., None], self.missing, e)


class Columns(nn.Module):
    """All columns of a batch as X (N, F, E), in the order numbers, categories, bags, vectors; then Dropout.

    `number_embedding` "linear" gives two columns of X a number, "piecewise" one. owners (F,): of each column of X
    the column of the table it belongs to, counted in that order.
    """

    owners: Tensor

    def __init__(
        self, numbers: int, categories: Sequence[int], bags: Sequence[int], vectors: Sequence[int], *, embedding: int,
        number_embedding: str, bins: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        linear = number_embedding == "linear"
        self.families = nn.ModuleDict()
        if numbers:
            self.families["numbers"] = (
                LinearNumbers(numbers, embedding) if linear else PiecewiseNumbers(numbers, embedding, bins)
            )
        if categories:
            self.families["codes"] = Categories(categories, embedding)
        if bags:
            self.families["bags"] = Bags(bags, embedding)
        if vectors:
            self.families["vectors"] = Vectors(vectors, embedding)
        self.dropout = nn.Dropout(dropout)
        owners = torch.arange(numbers).repeat_interleave(2 if linear else 1)
        rest = torch.arange(numbers, numbers + len(categories) + len(bags) + len(vectors))
        self.register_buffer("owners", torch.cat([owners, rest]), persistent=False)
        self.shapes = {"numbers": (numbers, 2), "codes": (len(categories),), "vectors": (sum(vectors),)}

    def forward(
        self, numbers: Tensor | None = None, codes: Tensor | None = None, bag_ids: Tensor | None = None,
        bag_weights: Tensor | None = None, bag_offsets: Tensor | None = None, vectors: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Raises UsageError where the batch lacks a family of columns, or has one that the net was not built with."""
        given = {"numbers": [numbers], "codes": [codes], "bags": [bag_ids, bag_weights, bag_offsets]}
        parts = []
        for name, batch in {**given, "vectors": [vectors]}.items():
            found = [tensor for tensor in batch if tensor is not None]
            if name not in self.families:
                if found:
                    raise UsageError(f"the batch holds {name}, but the net was built for a table without")
                continue
            if len(found) < len(batch):
                raise UsageError(f"the batch lacks {name}, but the net was built for a table with them")
            shape = self.shapes.get(name)
            if shape is not None and found[0].shape[1:] != shape:
                asked, got = (", ".join(map(str, each)) for each in (("N", *shape), found[0].shape))
                raise UsageError(f"{name} must be of shape ({asked}) for this net, got ({got})")
            parts.append(self.families[name](*found))
        if len({len(part) for part in parts}) > 1:
            raise UsageError(f"the families of the batch have {', '.join(str(len(part)) for part in parts)} rows")
        return self.dropout(torch.cat(parts, dim=1))
