"""BatchNorm's statistics, measured again for a model whose later blocks are disabled."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.edit.edits import Edit, silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import call
from reslab.look.graph.state import Draws
from reslab.look.measure import Batch

BATCHNORM = nn.modules.batchnorm._BatchNorm
Statistics = dict[Any, tuple[Tensor, Tensor]]  # a BatchNorm's running mean and variance


class Moments:
    """Count, mean and sum of squared deviations of each channel over all batches (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, value: Tensor) -> None:
        """Add a BatchNorm's input, (N, C) or (N, C, ...)."""
        rows = value.detach().to(torch.float32 if value.device.type == "mps" else torch.float64)
        rows = rows.movedim(1, 0).flatten(1)  # (C, values)
        n, mean = rows.shape[1], rows.mean(dim=1)
        self.join(n, mean, (rows - mean[:, None]).square().sum(dim=1))

    def join(self, n: int, mean: Tensor, squares: Tensor) -> None:
        """Add the count, mean and sum of squared deviations of others."""
        delta, total = mean - self.mean.to(mean), self.n + n
        self.squares = self.squares.to(mean) + squares + delta.square() * (self.n * n / total)
        self.mean = self.mean.to(mean) + delta * (n / total)
        self.n = total


def renormed_statistics(
    model: nn.Module, merges: Sequence[Merge], batches: Sequence[Batch], later: Sequence[Merge]
) -> Statistics:
    """The statistics of the BatchNorms that run after the first of the `later` merges, with all of these disabled.

    They are those of one batch that holds all samples, however the samples are cut into batches. While they are
    measured, each BatchNorm normalizes by the statistics found so far; a round over all batches makes those of at
    least one more BatchNorm final, and the rounds end when no statistics change.
    """
    norms = [m for m in model.modules() if isinstance(m, BATCHNORM) and m.running_mean is not None]
    found: Statistics = {}
    draws = Draws(model)
    for _ in range(len(norms) + 1):
        draws.restore()
        with with_statistics(found):
            moments = measured_moments(model, merges, batches, later, norms)
        before, found = found, {norm: (each.mean, each.squares / each.n) for norm, each in moments.items()}
        if all(norm in before and close(before[norm], now) for norm, now in found.items()):
            break
    if few := [norm for norm, each in moments.items() if each.n < 2] if norms else []:
        raise UsageError(
            f"renorm needs more than 1 value per channel, but {type(few[0]).__name__} gets 1 from these batches"
        )
    return {norm: (each.mean, each.squares / (each.n - 1)) for norm, each in moments.items()} if norms else {}


def close(before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> bool:
    (mean, variance), (mean_now, variance_now) = before, now
    moved = (mean - mean_now).square() <= 1e-12 * variance_now
    return bool(moved.all()) and torch.allclose(variance, variance_now, rtol=1e-6, atol=0)


def measured_moments(
    model: nn.Module,
    merges: Sequence[Merge],
    batches: Sequence[Batch],
    later: Sequence[Merge],
    norms: Sequence[nn.Module],
) -> dict[Any, Moments]:
    """The moments of the inputs of the BatchNorms that run after the first disabled merge."""
    moments: dict[Any, Moments] = {}
    begun: list[bool] = []

    def begin(h: Tensor) -> Tensor:  # norms before this merge see the same values as ever and keep their statistics
        begun.append(True)
        return h

    def see(norm: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        if begun:
            moments.setdefault(norm, Moments()).add([*args, *kwargs.values()][0])

    edits = {merge.index: silence() for merge in later}
    edits[later[0].index] = Edit(branch=torch.zeros_like, out=begin)
    handles = [norm.register_forward_pre_hook(see, with_kwargs=True) for norm in norms]
    try:
        for example, _ in batches:
            begun.clear()
            with acting(model, merges, edits):
                call(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return moments


@contextlib.contextmanager
def with_statistics(found: Statistics) -> Iterator[None]:
    """Inside, the BatchNorms normalize by these statistics."""
    own = [(norm, norm.running_mean.clone(), norm.running_var.clone()) for norm in found]
    try:
        for norm, (mean, variance) in found.items():
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        yield
    finally:
        for norm, mean, variance in own:
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
