"""Measure lesions: all in growing passes, or one pass each if the model does not accept a growing batch.

A model may mix its samples in unforeseen ways, so every growing pass is checked: copy 0 must always equal the intact
model's output, and for every new input shape, lesions from the beginning, middle and end of the pass must equal
those computed one at a time.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, arg, first_line
from reslab.look.edit.edits import silence
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import Example, arguments, batch_size, rows, scores, tensors
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import real
from reslab.look.graph.passes import call
from reslab.look.graph.state import Draws
from reslab.look.lesion.growing import GrowthError, Lesion, grow
from reslab.look.lesion.trials import MetricSums, Steps, Trial, one_by_one
from reslab.look.measure import METRICS, Batch, Metric, mask_of

Method = Literal["growing", "naive"]
HELD = 2**24  # largest number of scores kept until a batch is finished


class Measured(NamedTuple):
    sums: MetricSums  # lesion i is at i + 1
    method: Method
    why: str


def measured(
    model: nn.Module,
    batches: Sequence[Batch],
    metrics: dict[str, Metric],
    merges: Sequence[Merge],
    lesions: Sequence[Lesion],
    *,
    method: Literal["auto", "growing", "naive"],
    most: int,
    steps: Steps,
) -> Measured:
    """The metrics of every lesion. The caller sets eval mode and disables gradients.

    A grown batch has at most `most` rows, but at least the two of one sample. Raises ReslabError if method="growing" is
    not possible.
    """
    trials = [lesioned(model, merges, lesion) for lesion in lesions]
    began, why = steps.done, "requested" if lesions else "there is no block to disable"
    if method != "naive" and lesions:
        draws = Draws(model)
        sums = MetricSums(metrics, [trial.name for trial in trials])
        try:
            by_growing(model, batches, sums, merges, lesions, most=most, steps=steps)
            return Measured(sums, "growing", "")
        except GrowthError as error:
            why = first_line(error)
            if method == "growing":
                raise ReslabError(f"a growing pass is not possible: {why}; use ", arg("method", "naive")) from error
            steps.done = began
            draws.restore()
    return Measured(one_by_one(model, batches, metrics, trials, steps), "naive", why)


def lesioned(model: nn.Module, merges: Sequence[Merge], lesion: Lesion) -> Trial:
    """The model with these merges disabled, as a trial of the naive loop."""
    known = {merge.index: merge for merge in merges}
    edits = {i: silence() for i in sorted(lesion)}
    names = [f"{i} ({known[i].module or known[i].path})" for i in edits]
    name = (
        f"with merge {names[0]} disabled" if len(names) == 1 else f"with merges {', '.join(map(str, edits))} disabled"
    )
    return Trial(name, lambda: acting(model, merges, edits))


def by_growing(
    model: nn.Module,
    batches: Sequence[Batch],
    sums: MetricSums,
    merges: Sequence[Merge],
    lesions: Sequence[Lesion],
    *,
    most: int,
    steps: Steps,
) -> None:
    """Add all metrics to the sums. Raises GrowthError with the reason."""
    itemwise = all(metric in METRICS.values() for metric in sums.metrics.values())
    check = Check(model, merges)
    for example, labels in batches:
        before = Draws(model)
        n, whole = batch_size(example), scores(call(model, example))
        after = Draws(model)
        if whole.shape[:1] != (n,) or (labels is not None and labels.shape[0] != n):
            raise GrowthError(f"the first dimension of the output, {list(whole.shape)}, is not the {n} samples")
        mask = mask_of(example)
        sums.add(0, whole, labels, whole, mask)
        for group in groups(lesions, most - 1):
            some, size = [lesions[i] for i in group], max(1, most // (len(group) + 1))
            spans = [(start, min(start + size, n)) for start in range(0, n, size)]
            grown: Iterable[Tensor] = check.passes(some, example, whole, spans, steps, before)
            # A user's metric may need all samples at once, and few large calls are faster than many small ones.
            if not itemwise or whole.numel() * len(group) <= HELD:
                spans, grown = [(0, n)], [torch.cat(list(grown), dim=1)]
            for (a, b), found in zip(spans, grown, strict=True):
                for i, changed in zip(group, found[1:], strict=True):
                    asked, real = (None if part is None else part[a:b] for part in (labels, mask))
                    sums.add(i + 1, changed, asked, whole[a:b], real)
        after.restore()


def groups(lesions: Sequence[Lesion], most: int) -> list[list[int]]:
    """The lesions in groups of at most `most`; those that start near each other are grouped together."""
    order = sorted(range(len(lesions)), key=lambda i: sorted(lesions[i]))
    n = -(-len(order) // max(1, most))
    return [order[len(order) * i // n : len(order) * (i + 1) // n] for i in range(n)]


class Check:
    """Growing passes that are accepted only if they agree with plain ones."""

    def __init__(self, model: nn.Module, merges: Sequence[Merge]) -> None:
        self.model, self.merges = model, merges
        self.seen: set[Any] = set()  # input shapes

    def passes(
        self,
        lesions: Sequence[Lesion],
        example: Example,
        whole: Tensor,
        spans: Sequence[tuple[int, int]],
        steps: Steps,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """The scores of samples a to b, for each span (a, b); every pass begins with the same random state."""
        for a, b in spans:
            found = self.grown(lesions, rows(example, a, b), whole[a:b], draws)
            steps.add((b - a) * len(lesions))
            yield found

    def grown(self, lesions: Sequence[Lesion], example: Example, whole: Tensor, draws: Draws) -> Tensor:
        """Scores (1 + lesions, N, ...). Raises GrowthError if they differ from those of one pass per lesion."""
        draws.restore()
        found = grow(self.model, self.merges, lesions, example)
        if not agree(found[0], whole):
            raise GrowthError("the output for a sample changes if more samples are in the batch")
        args, kwargs = arguments(example)
        form = (len(lesions), *(t.shape for t in tensors([*args, *kwargs.values()])))
        if form not in self.seen:
            for i in sorted({0, len(lesions) // 2, len(lesions) - 1}):
                trial = lesioned(self.model, self.merges, lesions[i])
                draws.restore()
                with trial.change():
                    alone = scores(call(self.model, example))
                if not agree(found[i + 1], alone):
                    raise GrowthError(f"{trial.name}, a growing pass does not give the result of a single pass")
            self.seen.add(form)
        return found


MASKED = 1e4  # a score this much larger than the median is a mask, and would hide all others


def agree(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two scores are equal up to rounding: sqrt(eps) of the dtype, relative to the largest score.

    Scores of masked classes (infinite, or very large) are compared by themselves.
    """
    if ours.shape != theirs.shape or not theirs.numel():
        return ours.shape == theirs.shape
    ours, theirs = real(ours), real(theirs)
    kind = theirs.dtype if theirs.is_floating_point() else torch.float32
    coarse = theirs.device.type == "cuda" and kind == torch.float32  # TF32
    allowed = (2.0**-10 if coarse else torch.finfo(kind).eps) ** 0.5
    ours, theirs = (scores if kind == torch.float64 else scores.float() for scores in (ours, theirs))
    sizes = theirs.abs()
    some = sizes[(sizes > 0) & sizes.isfinite()]
    large = sizes > MASKED * (some.median() if len(some) else 1)
    if not torch.isclose(ours[large], theirs[large], rtol=allowed, atol=0).all():
        return False
    off = (ours - theirs).abs()[~large]
    return bool((off <= allowed * sizes[~large].max()).all()) if len(off) else True
