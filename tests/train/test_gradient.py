"""Gradients of a batch's parts add up to the batch's; what a BatchNorm of one number says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.images.losses import Loss
from reslab.run import Run
from reslab.train.batch import Batch
from reslab.train.gradient import add_gradients, cut
from reslab.train.recipe import Recipe, change
from reslab.train.training import Training
from reslab.train.tune import Choice

WEIGHTS = torch.tensor([0.2, 1.0, 5.0])


class Weighed:
    """Scores of three classes; the loss is H's, with or without class weights."""

    unit, device, examples, validates = "rows", torch.device("cpu"), 20, False

    def __init__(self, **options: Any) -> None:
        self.loss = Loss(**options)

    def weight(self, y: torch.Tensor) -> torch.Tensor:
        return self.loss.weight(y)

    def wrong(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.loss.wrong(out, y)

    def batches(self, start: int, stop: int) -> Any:
        for t in range(start, stop):
            g = torch.Generator().manual_seed(t)
            yield Batch(x=torch.randn(10, 6, generator=g), y=torch.randint(0, 3, (10,), generator=g),
                        index=torch.arange(10), iteration=t)  # fmt: skip


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize("parts", [2, 3, 10, 99])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"weights": WEIGHTS, "smoothing": 0.1}, {"kind": "sigmoid", "weights": WEIGHTS}]
)
def test_the_parts_gradients_are_the_batchs(parts: int, soft: bool, options: dict[str, Any]) -> None:
    (batch,) = Weighed().batches(0, 1)
    if soft:
        batch = replace(batch, y=F.softmax(torch.randn(10, 3), dim=1))
    found = []
    for k in (1, parts):
        module = net()
        loss, wrong = add_gradients(Weighed(**options), module, batch, choice=Choice(), parts=k)
        found.append([loss, wrong, *(p.grad for p in module.parameters())])
    for whole, added in zip(*found, strict=True):
        torch.testing.assert_close(added, whole, rtol=1e-5, atol=1e-6)


def test_an_update_in_parts_is_the_update(tmp_path: Path) -> None:
    """With momentum, clipping and an average of the weights, and class weights: after three updates, equal to 1e-6."""
    nets = []
    for parts in (1, 4):
        recipe = change(Recipe(iterations=3, batch=10, lr=0.5, precision="fp32", memory_format="NCHW", compile="off"),
                        accumulate=parts, clip=0.5, ema=0.5)  # fmt: skip
        run = Run(tmp_path / str(parts))
        run.make()
        training = Training(Weighed(weights=WEIGHTS), net(), recipe=recipe, run=run)
        for batch in training.task.batches(0, 3):
            training.step(batch)
        nets.append(training)
    for pair in zip(nets[0].kept.parameters(), nets[1].kept.parameters(), strict=True):
        torch.testing.assert_close(*pair, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(nets[0].sums, nets[1].sums, rtol=1e-6, atol=1e-6)


def test_parts_differ_by_one_and_no_part_is_empty() -> None:
    x, y = torch.arange(10.0), torch.arange(10)
    assert [len(part) for _, part in cut(x, y, 4)] == [2, 3, 2, 3]
    assert [len(part) for _, part in cut(x[:3], y[:3], 8)] == [1, 1, 1]
    assert torch.cat([part for part, _ in cut(x, y, 3)]).equal(x)
    named = list(cut({"a": x, "b": x}, y, 2))
    assert all(part["b"].equal(y.float()) for part, y in named)


def test_a_batchnorm_of_one_number(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3))
    (batch,) = Weighed().batches(0, 1)
    with pytest.raises(ReslabError, match=r"one number per channel.*use a larger batch, fewer parts \(accumulate=1\)"):
        add_gradients(Weighed(), module, batch, choice=Choice(), parts=10)
    with pytest.raises(UsageError, match="accumulate must be at most the batch of 4, got 8"):
        change(Recipe(epochs=1, batch=4), accumulate=8)
