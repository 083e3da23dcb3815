"""The pass that finds merges: what it holds, and on which tensors it runs."""

import weakref

import torch
from torch import Tensor, nn

from reslab.look import find


class Counting(nn.Module):
    """Ten residual blocks; after each it counts how many of the branches so far are still alive."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(7, 7) for _ in range(10))

    def forward(self, x: Tensor) -> Tensor:
        branches = []
        for layer in self.layers:
            branch = layer(x).tanh()
            branches.append(weakref.ref(branch))
            x = x + branch
            ALIVE.append(sum(branch() is not None for branch in branches))
        return x


ALIVE: list[int] = []


def test_find_holds_no_tensor_longer_than_the_model_does() -> None:
    ALIVE.clear()
    assert len(find(Counting(), torch.ones(3, 7))) == 10
    assert ALIVE == [1] * 10 * 2  # one pass finds, one checks
