"""What was measured of one set of removed blocks: each metric, summed over the items of each sample."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from reslab.look.graph.example import Example
from reslab.look.measure import METRICS, Metric, mask_of, measure
from reslab.slim.planning.items import items_of
from reslab.statistics import Interval, ratio_interval
from reslab.statistics.effects import change


class Tally(NamedTuple):
    """Sums by sample, in double precision on the CPU; `sizes` counts the items of each sample that was measured."""

    sums: dict[str, Tensor]  # by metric, (N,)
    sizes: Tensor  # (N,)

    @classmethod
    def empty(cls, metrics: Sequence[str], n: int) -> "Tally":
        return cls({name: torch.zeros(n, dtype=torch.float64) for name in metrics}, torch.zeros(n, dtype=torch.float64))

    def add(
        self, at: Tensor, metrics: dict[str, Metric], scores: Tensor, labels: Tensor | None, whole: Tensor,
        example: Example,
    ) -> None:  # fmt: skip
        """Add the scores of the samples `at`. Raises ReslabError for a value that is not finite."""
        sizes = items_of(scores, labels, example)
        self.sizes[at] = sizes
        owner = torch.repeat_interleave(torch.arange(len(at)), sizes.long())
        for name, found in measure(metrics, scores, labels, whole, mask_of(example)).items():
            values = found.cpu().double()
            if len(values) == len(owner):
                self.sums[name][at] = torch.zeros(len(at), dtype=torch.float64).index_add(0, owner, values)
            else:  # a user's metric: one value per sample, or one for all of them
                self.sums[name][at] = sizes * (values if len(values) == len(at) else values.mean())

    def mean(self, name: str) -> float:
        """Over all items measured."""
        return float(self.sums[name].sum()) / max(1.0, float(self.sizes.sum()))

    def means(self) -> dict[str, float]:
        return {name: self.mean(name) for name in self.sums}

    def on(self, at: Tensor) -> "Tally":
        """Of some samples alone."""
        return Tally({name: sums[at] for name, sums in self.sums.items()}, self.sizes[at])


def difference(metric: str, one: Tally, other: Tally, level: float | None = None) -> Interval:
    """The interval of a metric's mean in `one` minus that in `other`, on the same samples: 95 %, or `level`.

    Where each sample is one item, that of a paired difference; otherwise that of a mean over samples of several items.
    """
    n, apart = int(one.sizes.sum()), one.sums[metric] - other.sums[metric]
    if level is None and n > 1 and bool((one.sizes == 1).all()) and metric in METRICS:
        found = change(metric, one.mean(metric), other.mean(metric), n, float(apart.std()))
        if found is not None:
            return found
    given = (level,) if level is not None else ()
    return ratio_interval(apart.numpy(), one.sizes.numpy(), *given)


def finite(interval: Interval, around: float) -> Interval:
    """The interval, or the value alone where there is none: a plan is stored as JSON, which knows no infinity."""
    known = math.isfinite(interval.low) and math.isfinite(interval.high)
    return interval if known else Interval(low=around, high=around)
