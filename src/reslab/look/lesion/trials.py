"""Measure changed models and the intact one: each trial is a change that lasts for one pass."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.look.graph.example import batch_size, scores
from reslab.look.graph.passes import call
from reslab.look.graph.state import Draws
from reslab.look.measure import IGNORED, METRICS, NEED_LABELS, Batch, Metric, chosen, mask_of, measure, unpadded

Progress = Callable[[int, int], None]
Values = dict[str, float]  # each metric's mean over the labelled items


@dataclass(frozen=True)
class Trial:
    """A change of the model (a context inside which it is changed), and its name in error messages."""

    name: str
    change: Callable[[], AbstractContextManager[Any]]


class MetricSums:
    """Each metric's mean over the labelled items, for the intact model (at 0) and every trial (from 1)."""

    def __init__(self, metrics: dict[str, Metric], names: Sequence[str]) -> None:
        self.metrics, self.names = metrics, ["the intact model", *names]
        self.sums: list[dict[str, Tensor]] = [{} for _ in self.names]
        self.squares: list[Values] = [{} for _ in self.names]  # of each item's difference from the intact model
        self.n = 0
        self.known: tuple[Tensor, dict[str, Tensor]] | None = None  # the intact model's scores, and its metrics

    def add(self, at: int, changed: Tensor, labels: Tensor | None, whole: Tensor, mask: Tensor | None = None) -> None:
        """Add the scores of some samples, of which `mask` says what is no padding.

        Raises ReslabError naming trial and metric if a value is not finite.
        """
        things = count(unpadded(whole, mask if labels is None else None), labels)
        self.n += 0 if at else things
        try:
            values = measure(self.metrics, changed, labels, whole, mask)
        except ReslabError as error:
            raise type(error)(f"{self.names[at]}: {error}") from error
        for name, found in values.items():
            if things:  # a metric may return one number for all items
                mean = (found if found.device.type == "mps" else found.double()).mean()
                self.sums[at][name] = self.sums[at].get(name, 0.0) + mean * things
            if at and things == len(found) and (intact := self.intact(name, labels, whole)) is not None:
                apart = (found - intact).cpu().double()  # in single precision equal differences would seem to spread
                self.squares[at][name] = self.squares[at].get(name, 0.0) + float(apart.square().sum())

    def means(self, at: int) -> Values:
        return {name: float(total) / self.n for name, total in self.sums[at].items()}

    def spreads(self, at: int) -> Values:
        """The sample standard deviation over the items of each metric's difference from the intact model.

        Only of our own metrics: a user's is called for the changed model alone.
        """
        ends, starts = self.means(at), self.means(0)
        apart = {name: total - self.n * (ends[name] - starts[name]) ** 2 for name, total in self.squares[at].items()}
        return {name: math.sqrt(max(0.0, rest) / (self.n - 1)) for name, rest in apart.items()} if self.n > 1 else {}

    def intact(self, name: str, labels: Tensor | None, whole: Tensor) -> Tensor | float | None:
        """A metric's values for the intact model's scores, computed once for the changes of one batch."""
        if self.metrics[name] is not METRICS.get(name):
            return None
        if name not in NEED_LABELS:
            return 0.0  # KL and drift measure the difference itself
        last = self.known[0] if self.known else None
        if last is None or (last.data_ptr(), last.shape) != (whole.data_ptr(), whole.shape):
            self.known = (whole, {})  # holding the scores keeps their memory from being used again
        assert self.known is not None
        values = self.known[1]
        if name not in values:
            values[name] = self.metrics[name](whole, labels, whole).float().reshape(-1)
        return values[name]


class Steps:
    """Reports progress; one step is one sample under one change."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, steps: int) -> None:
        self.done += steps
        if self.progress:
            self.progress(self.done, self.total)


def one_by_one(
    model: nn.Module, batches: Sequence[Batch], metrics: dict[str, Metric], trials: Sequence[Trial], steps: Steps
) -> MetricSums:
    """The naive loop: one pass per trial and batch. The caller sets eval mode and disables gradients.

    A model that draws random numbers draws the same in every pass over a batch.
    """
    sums = MetricSums(metrics, [trial.name for trial in trials])
    for example, labels in batches:
        before = Draws(model)
        whole = scores(call(model, example))
        after = Draws(model)
        sums.add(0, whole, labels, whole, mask_of(example))
        for i, trial in enumerate(trials, start=1):
            before.restore()
            with trial.change():
                changed = scores(call(model, example))
            sums.add(i, changed, labels, whole, mask_of(example))
            steps.add(batch_size(example))
        after.restore()
    return sums


def count(scores: Tensor, labels: Tensor | None) -> int:
    """The number of labelled items if the labels match the scores, else the number of rows of scores."""
    if labels is not None and scores.shape[:-1] == labels.shape:
        return int((labels != IGNORED).sum())
    return scores.numel() // scores.shape[-1] if scores.dim() > 1 else scores.numel()


def checked(batches: Sequence[Batch], metrics: Sequence[str | Metric] | None) -> dict[str, Metric]:
    """The metrics for these batches. Raises UsageError if there are no batches, or only some have labels."""
    if not batches:
        raise UsageError("there are no batches to measure on")
    if len({labels is None for _, labels in batches}) > 1:
        raise UsageError("some batches have labels and some have none; all or none must have them")
    if all(labels is not None and not torch.any(labels != IGNORED) for _, labels in batches):
        raise UsageError(f"there is no labelled item: every label is {IGNORED}")
    return chosen(metrics, batches[0][1])
