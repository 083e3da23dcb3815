"""Embed numbers as vectors, linearly or piecewise linearly."""

import itertools
from statistics import NormalDist

import torch
from torch import Tensor, nn

from reslab.tables.net.values import normal

FREE = 1e30  # no bound; averaging weights would turn infinities into NaN


class LinearNumbers(nn.Module):
    """e = x d + a for each view of a number separately: (N, Fn, 2) to (N, 2 Fn, E), a column's two views in turn.

    `weight` holds d, a and a learned vector that replaces e if the value is missing (NaN).
    """

    def __init__(self, columns: int, embedding: int, *, std: float) -> None:
        super().__init__()
        self.weight = normal(2 * columns, 3, embedding, std=std)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[..., None]
        absent = x.isnan().to(x)  # the next-to-last row is added for known values, the last for missing ones
        return torch.einsum("nfk,fke->nfe", torch.cat([x.nan_to_num(0), 1 - absent, absent], dim=2), self.weight)


class PiecewiseNumbers(nn.Module):
    """e = W c + z d + a, c the piecewise-linear encoding of the first view, z the second: (N, Fn, 2) to (N, Fn, E).

    c_t is 0 below bin t, 1 above it, linear inside; the first and the last bin extend beyond their outer edges
    (Gorishniy et al. 2022, "On Embeddings for Numerical Features", section 3.2). No ReLU follows. Differences: the
    first view is a rank on the normal scale, so all columns share their edges; and z is added.
    `weight` holds W, d, a and a learned vector that replaces e if the value is missing (NaN).
    """

    scale: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, columns: int, embedding: int, *, bins: int, std: float) -> None:
        super().__init__()
        self.weight = normal(columns, bins + 3, embedding, std=std)
        edges, inner = normal_edges(bins), bins - 1
        bounds = list(itertools.pairwise(edges))
        rows: dict[str, list[float]] = {  # of c, of z, of known values, of missing values
            "scale": [*(1 / (right - left) for left, right in bounds), 0, 0, 0],
            "shift": [*(left / (left - right) for left, right in bounds), 0, 0, 0],
            "low": [-FREE, *[0] * inner, -FREE, 1, 0], "high": [*[1] * inner, FREE, FREE, 1, 0],
        }  # fmt: skip
        for name, row in rows.items():
            self.register_buffer(name, torch.tensor(row, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Few passes over (N, Fn, bins + 3): c, z, then 1 and 0 for a known value, 0 and 1 for a missing one."""
        absent = x.isnan().any(dim=2, keepdim=True)
        rank, z = x.split(1, dim=2)
        features = torch.addcmul(self.shift, rank, self.scale)
        features[..., -3:-2] = z
        features = features.clamp(self.low, self.high).masked_fill_(absent, 0)
        features[..., -1:] = absent.to(features)
        return torch.einsum("nfk,fke->nfe", features, self.weight)


def normal_edges(bins: int) -> list[float]:
    """Edges of bins that are equally probable under N(0, 1). The outer edges exclude 1/100 of the outer bins."""
    quantile = NormalDist().inv_cdf
    end = quantile(0.01 / bins)
    return [end, *(quantile(i / bins) for i in range(1, bins)), -end]
