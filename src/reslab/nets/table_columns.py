"""From the columns of a table to X (N, F, E): each family of columns is one batched operation."""

from collections.abc import Sequence
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError


def normal(*shape: int, std: float) -> nn.Parameter:
    """As embeddings begin: normal."""
    return nn.Parameter(torch.empty(shape).normal_(std=std))


FREE = 1e30  # no bound; averaging weights along training would make NaN of infinities
BAG_STD = (
    0.001  # a word that no training row has taught says next to nothing; at 0.3 rare ones are noise to learn by heart
)


class LinearNumbers(nn.Module):
    """e = x d + a of each view of a number by itself: (N, Fn, 2) to (N, 2 Fn, E), a column's two views in turn.

    `weight` holds d, a and, in place of e where the value is missing (NaN), a learned vector.
    """

    def __init__(self, columns: int, embedding: int, *, std: float) -> None:
        super().__init__()
        self.weight = normal(2 * columns, 3, embedding, std=std)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[..., None]
        return known(x.nan_to_num(0), x.isnan(), self.weight)


class PiecewiseNumbers(nn.Module):
    """e = W c + z d + a, c the piecewise-linear encoding of the first view, z the second: (N, Fn, 2) to (N, Fn, E).

    c_t is 0 below bin t, 1 above it, linear inside; the first and the last bin go on beyond their outer edges
    (Gorishniy et al. 2022, "On Embeddings for Numerical Features", section 3.2). No ReLU follows. Where we differ: the
    first view is a rank on the normal scale, so all columns share their edges; and z goes beside it.
    `weight` holds W, d, a and, in place of e where the value is missing (NaN), a learned vector.
    """

    left: Tensor
    width: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, columns: int, embedding: int, *, bins: int, std: float) -> None:
        super().__init__()
        self.weight = normal(columns, bins + 3, embedding, std=std)
        edges, free = torch.tensor(normal_edges(bins)), torch.tensor([FREE])
        self.register_buffer("left", edges[:-1], persistent=False)
        self.register_buffer("width", edges.diff(), persistent=False)
        self.register_buffer("low", torch.cat([-free, torch.zeros(bins - 1)]), persistent=False)
        self.register_buffer("high", torch.cat([torch.ones(bins - 1), free]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        absent = x.isnan().any(dim=2, keepdim=True)
        rank, z = x.split(1, dim=2)
        c = ((rank - self.left) / self.width).clamp(self.low, self.high)  # (N, Fn, bins)
        return known(torch.cat([c, z], dim=2).masked_fill(absent, 0), absent, self.weight)


def known(features: Tensor, absent: Tensor, weight: Tensor) -> Tensor:
    """Features (N, F, k), zeros where absent (N, F, 1), times weight (F, k + 2, E), whose last rows are what is added.

    One product does it all: the next to last row is added where the value is known, the last where it is absent.
    """
    absent = absent.to(features)
    return torch.einsum("nfk,fke->nfe", torch.cat([features, 1 - absent, absent], dim=2), weight)


def normal_edges(bins: int) -> list[float]:
    """Edges of bins equally probable under N(0, 1). An outer bin has no end: its edge leaves out a 100th of it."""
    quantile = NormalDist().inv_cdf
    end = quantile(0.01 / bins)
    return [end, *(quantile(i / bins) for i in range(1, bins)), -end]


class Categories(nn.Module):
    """e = Table[code], one table for all columns: (N, Fc) to (N, Fc, E)."""

    starts: Tensor

    def __init__(self, sizes: Sequence[int], embedding: int, *, std: float) -> None:
        super().__init__()
        self.table = normal(sum(sizes), embedding, std=std)
        self.register_buffer("starts", starts(sizes), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        return F.embedding(codes + self.starts, self.table)


class Bags(nn.Module):
    """e = the weighted sum of the vectors in a bag, one table for all columns: to (N, Fb, E). An empty bag is 0.

    ids and weights (T,) of all bags one after the other, offsets (N * Fb,) where each begins, row by row.
    """

    starts: Tensor

    def __init__(self, sizes: Sequence[int], embedding: int, *, std: float) -> None:
        super().__init__()
        self.table = normal(sum(sizes), embedding, std=std)
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

    In place of a missing vector, of NaN, a vector of its column is learned.
    """

    firsts: Tensor

    def __init__(self, widths: Sequence[int], embedding: int, *, std: float) -> None:
        super().__init__()
        self.widths = list(widths)
        self.register_buffer("firsts", starts(widths), persistent=False)
        self.weights = nn.ParameterList(nn.Linear(width, embedding, bias=False).weight for width in widths)
        self.missing = normal(len(widths), embedding, std=std)

    def forward(self, x: Tensor) -> Tensor:
        known, widths = x.nan_to_num(0), self.widths
        if len(set(widths)) == 1:
            v = known.unflatten(1, (len(widths), widths[0]))
            e = torch.einsum("nfw,few->nfe", v, torch.stack(list(self.weights)))
        else:
            pairs = zip(known.split(widths, dim=1), self.weights, strict=True)
            e = torch.stack([F.linear(v, weight) for v, weight in pairs], dim=1)
        absent = x[:, self.firsts].isnan()
        return e + absent[..., None] * self.missing


class Columns(nn.Module):
    """All columns of a batch as X (N, F, E), in the order numbers, categories, bags, vectors; then Dropout.

    `normalize`: BatchNorm of every number of the numbers' and the categories' e. Not of the others': a bag that has
    taught nothing yet is near zero, and shall stay so.

    `number_embedding` "linear" gives two columns of X a number, "piecewise" one. owners (F,): of each column of X
    the column of the table it belongs to, counted in that order.
    """

    owners: Tensor

    def __init__(
        self, numbers: int, categories: Sequence[int], bags: Sequence[int], vectors: Sequence[int], *, embedding: int,
        number_embedding: str, bins: int, std: float, dropout: float, normalize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        linear = number_embedding == "linear"
        self.families = nn.ModuleDict()
        if numbers:
            self.families["numbers"] = (
                LinearNumbers(numbers, embedding, std=std)
                if linear
                else PiecewiseNumbers(numbers, embedding, bins=bins, std=std)
            )
        if categories:
            self.families["codes"] = Categories(categories, embedding, std=std)
        if bags:
            self.families["bags"] = Bags(bags, embedding, std=BAG_STD)
        if vectors:
            self.families["vectors"] = Vectors(vectors, embedding, std=std)
        many = (1 + linear) * numbers + len(categories)
        self.norm = nn.BatchNorm1d(many * embedding) if normalize and many else None
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
        if self.norm is not None:
            first = sum(name in self.families for name in ("numbers", "codes"))
            known = torch.cat(parts[:first], dim=1)
            parts = [self.norm(known.flatten(1)).view_as(known), *parts[first:]]
        return self.dropout(torch.cat(parts, dim=1))
