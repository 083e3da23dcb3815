"""From the columns of a table to X (N, F, E): each family of columns is one batched operation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.tables.net.numbers import LinearNumbers, PiecewiseNumbers
from reslab.tables.net.values import Bags, Categories, normal, starts

BAG_STD = 0.001  # untrained words have almost no effect; at 0.3 rare words would be memorized


class Vectors(nn.Module):
    """e = W v of each column's vector: (N, sum of widths) to (N, Fv, E); one product if all widths are equal.

    A missing vector (NaN) is replaced by a learned vector of its column.
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

    `normalize`: BatchNorm of the numbers' and the categories' e. Not of the others: an untrained bag is near zero and
    should stay there.

    `number_embedding` "linear" gives two columns of X per number, "piecewise" one. owners (F,): the table's
    column that each column of X belongs to, counted in that order.
    """

    owners: Tensor

    def __init__(
        self, numbers: int, categories: Sequence[int], bags: Sequence[int], vectors: Sequence[int], *, embedding: int,
        number_embedding: str, bins: int, std: float, dropout: float, normalize: bool = False,
        bag_decay: Sequence[float] = (),
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
            self.families["bags"] = Bags(bags, embedding, std=BAG_STD, decay=bag_decay)
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
        """Raises UsageError if the batch lacks a family of columns, or has one that the net was not built for."""
        given = {"numbers": [numbers], "codes": [codes], "bags": [bag_ids, bag_weights, bag_offsets]}
        parts = []
        for name, batch in {**given, "vectors": [vectors]}.items():
            found = [tensor for tensor in batch if tensor is not None]
            if name not in self.families:
                if found:
                    raise UsageError(f"the batch has {name}, but the net was built for a table without them")
                continue
            if len(found) < len(batch):
                raise UsageError(f"the batch lacks {name}, but the net was built for a table with them")
            shape = self.shapes.get(name)
            if shape is not None and found[0].shape[1:] != shape:
                asked, got = (", ".join(map(str, each)) for each in (("N", *shape), found[0].shape))
                raise UsageError(f"{name} must be of shape ({asked}) for this net, got ({got})")
            parts.append(self.families[name](*found))
        if any(part.shape[0] != parts[0].shape[0] for part in parts):  # len() would fix the batch in torch.export
            raise UsageError(f"the families of the batch have {', '.join(str(len(part)) for part in parts)} rows")
        if self.norm is not None:
            first = sum(name in self.families for name in ("numbers", "codes"))
            known = joined(parts[:first])
            parts = [self.norm(known.flatten(1)).view_as(known), *parts[first:]]
        return self.dropout(joined(parts))


def joined(parts: list[Tensor]) -> Tensor:
    """(N, F1, E), (N, F2, E), ... as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
