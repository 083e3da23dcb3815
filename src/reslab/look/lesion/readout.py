"""What the model would answer at each depth: all later blocks are disabled and its own head reads the result.

For networks with identity skips this is the logit lens: the value after merge i goes directly to the final norm and the
head (nostalgebraist 2020, "interpreting GPT: the logit lens"; for ResNets Greff et al. 2017, arXiv 1612.07771). The
head need not be identified, because the skips carry the value to it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.look.batches import as_batches, few
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import batch_size
from reslab.look.graph.forks import SKIP
from reslab.look.graph.merges import Merge, find
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.state import Draws
from reslab.look.lesion.renorm import renormed_statistics, with_statistics
from reslab.look.lesion.silencing import Method, measured
from reslab.look.lesion.trials import MetricSums, Steps, Trial, checked, one_by_one
from reslab.look.measure import Batch, Metric
from reslab.look.shown import Row, Shown, flat


@dataclass(frozen=True, kw_only=True)
class Depth:
    """The model's answers after the first `depth` merges."""

    depth: int  # number of merges passed; 0 is the stem alone
    module: str | None  # of the last merge passed
    projections: int  # later skips that are no identity: they change the value they carry
    values: dict[str, float]  # each metric's mean over the labelled items


@dataclass(frozen=True, kw_only=True, repr=False)
class Readout(Shown):
    """The answers at every depth, on the n labelled items (samples or tokens); the last is the intact model."""

    n: int
    metrics: tuple[str, ...]
    renorm: bool
    method: Method  # how it was computed; the numbers are the same
    depths: tuple[Depth, ...]

    FACTS = ("n", "renorm")

    def rows(self) -> list[Row]:
        """A row per depth."""
        return [flat(one, ("depth", "module"), one.values) for one in self.depths]

    def drawn(self) -> tuple[str, ...]:
        return self.metrics


def readout(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Sequence[Merge] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    renorm: bool = False,
    chunk: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Readout:
    """Each metric at each depth: after the first 0, 1, ..., n reachable merges, with all later merges disabled.

    A merge inside another's branch is passed before the outer one, which stays active. If the shape changes at a later
    merge, its shortcut carries the value. Read such depths with care: option A drops every second pixel, trained
    projections were fitted to be added to their branches, and the norms of post-norm merges stay. Each Depth counts the
    `projections` ahead. Labels of language models are (N, L), with -100 for tokens without a label, at the positions of
    the scores: for a causal model, labels[:, t] is token t + 1.

    BatchNorm's running statistics were computed with all branches. `renorm` measures them again at each depth on these
    batches, for the layers after the first disabled merge (LayerNorm needs no such step; other kinds of averages are
    not changed): they are the statistics of all samples, however these are cut into batches. It needs more than one
    value per channel. A post-activation ResNet with option A has no norm on its skips, so nothing changes.

    Uses growing passes (growing.py); `chunk` limits their rows (samples times copies), by default to the largest
    batch's, but at least 16. If the model does not allow growing passes, there is one pass per depth; with `renorm`
    there are as many as BatchNorms follow one another, plus two. Runs in eval mode; the model is restored. Raises
    UsageError for no data, a model without merges, or metrics that do not match the data; ReslabError if a metric is
    NaN.
    """
    batches = as_batches(batches)
    asked = checked(batches, metrics)
    merges = find(model, few(model, batches[0][0])) if merges is None else merges
    usable = [merge for merge in merges if merge.reachable]
    if not usable:
        raise UsageError(
            f"no residual connection that can be edited was found in {type(model).__name__}: there is only one depth"
        )
    later = [after(usable, passed) for passed in range(len(usable) + 1)]
    short = [
        silenced for silenced in later if silenced
    ]  # the last depth, and those inside the last merge, are the intact model
    lesions = [frozenset(merge.index for merge in silenced) for silenced in short]
    samples = [batch_size(example) for example, _ in batches]
    steps = Steps(progress, sum(samples) * len(lesions))
    with torch.no_grad(), as_it_was(model):
        sums: MetricSums
        method: Method
        if renorm:
            draws = Draws(model)
            trials = [renormed(model, merges, batches, silenced) for silenced in short]
            draws.restore()
            sums, method = one_by_one(model, batches, asked, trials, steps), "naive"
        else:
            most = chunk or max(16, *samples)
            sums, method, _ = measured(model, batches, asked, merges, lesions, method="auto", most=most, steps=steps)
    places = iter(range(1, len(short) + 1))
    depths = tuple(
        Depth(
            depth=passed,
            module=usable[passed - 1].module if passed else None,
            projections=sum(merge.kind != "identity" for merge in silenced),
            values=sums.means(next(places) if silenced else 0),
        )
        for passed, silenced in enumerate(later)
    )
    return Readout(n=sums.n, metrics=tuple(asked), renorm=renorm, method=method, depths=depths)


def after(merges: Sequence[Merge], passed: int) -> list[Merge]:
    """The merges to disable: those not passed, except the ones whose branch contains the last one passed."""
    known = {merge.index: merge for merge in merges}
    around, inner = set(), merges[passed - 1] if passed else None
    while inner is not None and inner.parent is not None:
        if inner.sides != (SKIP,):  # a merge on the skip is passed without the outer branch
            around.add(inner.parent)
        inner = known.get(inner.parent)
    return [merge for merge in merges[passed:] if merge.index not in around]


def renormed(model: nn.Module, merges: Sequence[Merge], batches: Sequence[Batch], later: Sequence[Merge]) -> Trial:
    """The model with these merges disabled and its BatchNorms adapted to that."""
    statistics = renormed_statistics(model, merges, batches, later)

    @contextlib.contextmanager
    def change() -> Iterator[None]:
        with with_statistics(statistics), acting(model, merges, {merge.index: silence() for merge in later}):
            yield

    return Trial(f"read out before merge {later[0].index} ({later[0].module or 'the model'})", change)
