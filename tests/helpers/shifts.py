"""Toy classifiers whose blocks each add one known vector to the scores, so that every plan can be computed by hand."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.slim.planning import job
from reslab.slim.planning.table import Table
from reslab.slim.record import Plan, Timing
from reslab.slim.surgery import Passing

Shift = Sequence[float]


class Shifts(nn.Module):
    """x + shift: a linear layer without weights, whose bias is the shift."""

    def __init__(self, shift: Shift) -> None:
        super().__init__()
        self.f = nn.Linear(len(shift), len(shift))
        with torch.no_grad():
            self.f.weight.zero_()
            self.f.bias.copy_(torch.tensor(shift))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def shifting(*shifts: Shift) -> nn.Sequential:
    """The scores are the input plus all shifts."""
    width = len(shifts[0])
    first = nn.Linear(width, width, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.eye(width))
    return nn.Sequential(first, nn.Sequential(*map(Shifts, shifts)))


def losses(x: Tensor, labels: Tensor, shifts: Sequence[Shift], without: Sequence[int] = ()) -> Tensor:
    """The loss of each sample without some of the blocks."""
    total = sum((torch.tensor(shift) for i, shift in enumerate(shifts) if i not in without), torch.zeros(x.shape[-1]))
    return F.cross_entropy(x + total, labels, reduction="none")


def greedy(x: Tensor, labels: Tensor, shifts: Sequence[Shift], steps: int) -> list[int]:
    """The naive loop; one block always stays."""
    gone: list[int] = []
    for _ in range(steps):
        left = [i for i in range(len(shifts)) if i not in gone]
        gone.append(min(left, key=lambda i: float(losses(x, labels, shifts, [*gone, i]).mean())))
    return gone


def problem(n: int, blocks: int, *, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, list[Shift]]:
    """Samples, labels and shifts at random, but sorted by class, as folders of images are."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) * classes // n
    x = torch.randn(n, classes, generator=draw) + 2 * F.one_hot(labels, classes)
    shifts: Any = (torch.randn(blocks, classes, generator=draw) * torch.linspace(0.1, 1, blocks)[:, None]).tolist()
    return x, labels, shifts


def order(found: Plan) -> list[int]:
    """The blocks in the order in which they go."""
    return [step.block for step in found.steps[1:] if step.block is not None]


def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is timed: a pass takes 10 ms, each block 1 ms."""
    monkeypatch.setattr(job, "table_of", lambda intact, a, b, paths, *_, **__: table(dict.fromkeys(paths, 1.0)))
    monkeypatch.setattr(job, "in_turn", lambda models, *_, **__: [[10.0] * 9, [10.0 - gone(*models)] * 9])


def table(blocks: dict[int, float]) -> Table:
    timing = Timing(milliseconds=10, low=10, high=10, n=9, batch=32, device="cpu", threads=1)
    return Table(timing=timing, blocks=blocks, low=blocks, high=blocks)


def gone(before: nn.Module, after: nn.Module) -> int:
    """How many blocks of the first model are not in the second: modules that pass on, or branches that are lost."""

    def branches(model: nn.Module) -> int:
        return sum(name.endswith((".f", ".branch")) for name, _ in model.named_modules())

    def passing(model: nn.Module) -> int:
        return sum(isinstance(module, Passing) for module in model.modules())

    return max(passing(after) - passing(before), branches(before) - branches(after))
