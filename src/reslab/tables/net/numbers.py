"""Columns of numbers as vectors: linear, or piecewise linear."""

import itertools
from statistics import NormalDist

import torch
from torch import Tensor, nn

from reslab.tables.net.values import normal

FREE = 1e30  # no bound; averaging weights along training would make NaN of infinities


class LinearNumbers(nn.Module):
    """e = x d + a of each view of a number by itself: (N, Fn, 2) to (N, 2 Fn, E), a column's two views in turn.

    `weight` holds d, a and, in place of e where the value is missing (NaN), a learned vector.
    """

    def __init__(self, columns: int, embedding: int, *, std: float) -> None:
        super().__init__()
        self.weight = normal(2 * columns, 3, embedding, std=std)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)[..., None]
        absent = x.isnan().to(x)  # the next to last row is added where the value is known, the last where it is absent
        return torch.einsum("nfk,fke->nfe", torch.cat([x.nan_to_num(0), 1 - absent, absent], dim=2), self.weight)


class PiecewiseNumbers(nn.Module):
    """e = W c + z d + a, c the piecewise-linear encoding of the first view, z the second: (N, Fn, 2) to (N, Fn, E).

    c_t is 0 below bin t, 1 above it, linear inside; the first and the last bin go on beyond their outer edges
    (Gorishniy et al. 2022, "On Embeddings for Numerical Features", section 3.2). No ReLU follows. Where we differ: the
    first view is a rank on the normal scale, so all columns share their edges; and z goes beside it.
    `weight` holds W, d, a and, in place of e where the value is missing (NaN), a learned vector.
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
        rows: dict[str, list[float]] = {  # of c, of z, of where the value is known, of where it is not
            "scale": [*(1 / (right - left) for left, right in bounds), 0, 0, 0],
            "shift": [*(left / (left - right) for left, right in bounds), 0, 0, 0],
            "low": [-FREE, *[0] * inner, -FREE, 1, 0], "high": [*[1] * inner, FREE, FREE, 1, 0],
        }  # fmt: skip
        for name, row in rows.items():
            self.register_buffer(name, torch.tensor(row, dtype=torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Few passes over (N, Fn, bins + 3): c, z, and 1 and 0 where the value is known, 0 and 1 where it is not."""
        absent = x.isnan().any(dim=2, keepdim=True)
        rank, z = x.split(1, dim=2)
        features = torch.addcmul(self.shift, rank, self.scale)
        features[..., -3:-2] = z
        features = features.clamp(self.low, self.high).masked_fill_(absent, 0)
        features[..., -1:] = absent.to(features)
        return torch.einsum("nfk,fke->nfe", features, self.weight)


def normal_edges(bins: int) -> list[float]:
    """Edges of bins equally probable under N(0, 1). An outer bin has no end: its edge leaves out a 100th of it."""
    quantile = NormalDist().inv_cdf
    end = quantile(0.01 / bins)
    return [end, *(quantile(i / bins) for i in range(1, bins)), -end]
