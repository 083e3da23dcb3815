"""Columns of categories and of bags as vectors: one table of vectors a family, whatever the number of columns."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACE, VARIANCE = 7.0, 3.0  # of what speaks straight to the outputs: of learning it, and of its prior


def normal(*shape: int, std: float) -> nn.Parameter:
    """As embeddings begin: normal."""
    return nn.Parameter(torch.empty(shape).normal_(std=std))


def starts(sizes: Sequence[int]) -> Tensor:
    """Where each column's part of the common table begins."""
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

    ids and weights (T,) of all bags one after the other, offsets (N * Fb,) where each begins, row by row.
    decay: of each column how hard its vectors are pulled to 0; in training its product with them is added to their
    gradient, as L2 regularization does.
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
        if columns > 1:  # each index is within its own column's vocabulary
            lengths = F.pad(offsets, (0, 1), value=len(ids)).diff()
            ids = ids + self.starts.repeat(n).repeat_interleave(lengths, output_size=len(ids))
        table = L2.apply(self.table, self.decay) if self.training and self.decays else self.table
        e = F.embedding_bag(ids, table, offsets, mode="sum", per_sample_weights=weights)
        return e.view(n, columns, self.table.shape[1])


class L2(torch.autograd.Function):
    """The weights as they are; their gradient gains decay * weights, as if decay / 2 * their squares were in the loss.

    In the module, as its strength is the column's own, and AdamW's decay would not be weighed against the gradient.
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
    """What the values in bags say by themselves: the weighted sum of a number per value and output, (N, outputs).

    They begin at 0, and after `rows` of training a normal prior of their VARIANCE keeps them small, as in logistic or
    ridge regression. What is learnt is 1 / PACE of them, so that one rate suits them and the net beside them: a word's
    say in a class may have to grow to 3, where a weight of the net moves by hundredths.
    """

    def __init__(self, sizes: Sequence[int], outputs: int, *, rows: int) -> None:
        super().__init__()
        decay = PACE**2 / (VARIANCE * rows) if rows else 0.0
        self.bags = Bags(sizes, outputs, std=0.0, decay=[decay] * len(sizes))

    def forward(self, ids: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        return PACE * self.bags(ids, weights, offsets).sum(dim=1)
