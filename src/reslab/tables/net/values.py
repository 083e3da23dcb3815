"""Embed categories and bags as vectors, with one table of vectors per family for all columns."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACE, VARIANCE = 7.0, 3.0  # of the direct path: scale of its learning rate, and variance of its prior


def normal(*shape: int, std: float) -> nn.Parameter:
    """Parameters with normal initialization."""
    return nn.Parameter(torch.empty(shape).normal_(std=std))


def starts(sizes: Sequence[int]) -> Tensor:
    """The start of each column in the common table."""
    return torch.tensor([0, *sizes[:-1]]).cumsum(0)


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

    ids and weights (T,) of all bags, concatenated; offsets (N * Fb,): the start of each, row by row.
    decay: L2 regularization of each column's vectors; in training decay * vectors is added to their gradient.
    """

    starts: Tensor
    decay: Tensor

    def __init__(self, sizes: Sequence[int], embedding: int, *, std: float, decay: Sequence[float] = ()) -> None:
        super().__init__()
        self.table = normal(sum(sizes), embedding, std=std)
        self.register_buffer("starts", starts(sizes), persistent=False)
        repeats = torch.tensor(sizes)
        each = torch.tensor(decay or [0.0] * len(sizes)).repeat_interleave(repeats, output_size=sum(sizes))
        self.register_buffer("decay", each[:, None], persistent=False)
        self.decays = any(decay)

    def forward(self, ids: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        n, columns = len(offsets) // len(self.starts), len(self.starts)
        if columns > 1:  # each index refers to its column's vocabulary
            lengths = F.pad(offsets, (0, 1), value=len(ids)).diff()
            ids = ids + self.starts.repeat(n).repeat_interleave(lengths, output_size=len(ids))
        table = L2.apply(self.table, self.decay) if self.training and self.decays else self.table
        e = F.embedding_bag(ids, table, offsets, mode="sum", per_sample_weights=weights)
        return e.view(n, columns, self.table.shape[1])


class L2(torch.autograd.Function):
    """The identity on weights; it adds decay * weights to their gradient, like decay / 2 * their squares in the loss.

    In the module, since each column has its own decay, and AdamW's decay is not balanced against the gradient.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, decay: Tensor) -> Tensor:
        ctx.save_for_backward(weights, decay)
        return weights.view_as(weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        weights, decay = ctx.saved_tensors
        return torch.addcmul(grads[0], weights, decay), None


class Direct(nn.Module):
    """The direct effect of values in bags: the weighted sum of one number per value and output, (N, outputs).

    The numbers start at 0, and a normal prior with VARIANCE, given `rows` training rows, keeps them small, as in
    logistic or ridge regression. The parameters are 1 / PACE of them, so that one learning rate suits both them and the
    net: a word's class weight may need to reach 3, while weights of the net change by hundredths.
    """

    def __init__(self, sizes: Sequence[int], outputs: int, *, rows: int) -> None:
        super().__init__()
        decay = PACE**2 / (VARIANCE * rows) if rows else 0.0
        self.bags = Bags(sizes, outputs, std=0.0, decay=[decay] * len(sizes))

    def forward(self, ids: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        return PACE * self.bags(ids, weights, offsets).sum(dim=1)
