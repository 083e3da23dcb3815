"""The linear part of a net for small tables: a logistic or ridge regression of numbers and categories, not trained."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.tables.net.values import starts

VIEWS = 3  # of a number: rank and z-score, both 0 if it is missing, and whether it is missing


class Linear(nn.Module):
    """b + the sum over numbers of w . (rank, z-score, missing) + the sum over categories of w[code]: (N, outputs).

    All weights are buffers: tables/linear.py fits them before training, and the optimizer leaves them as they are.
    """

    starts: Tensor
    numbers: Tensor
    codes: Tensor
    bias: Tensor

    def __init__(self, numbers: int, categories: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.register_buffer("starts", starts(categories), persistent=False)
        self.register_buffer("numbers", torch.zeros(numbers * VIEWS, outputs))
        self.register_buffer("codes", torch.zeros(sum(categories), outputs))
        self.register_buffer("bias", torch.zeros(outputs))

    def forward(self, numbers: Tensor | None, codes: Tensor | None) -> Tensor:
        """numbers (N, Fn, 2), NaN if missing; codes (N, Fc); None if the table has none. At least one is given."""
        out = self.bias
        if numbers is not None:
            out = out + views(numbers) @ self.numbers
        if codes is not None:
            out = out + F.embedding(codes + self.starts, self.codes).sum(dim=1)
        return out


def views(numbers: Tensor) -> Tensor:
    """(N, Fn, 2) to (N, Fn * VIEWS)."""
    absent = numbers[..., :1].isnan()
    return torch.cat([numbers.nan_to_num(0), absent.to(numbers)], dim=-1).flatten(1)
