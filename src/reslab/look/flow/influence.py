"""How much each block changes its skip, and whether its step follows the negative gradient of the loss.

Block influence: Men et al. 2024, "ShortGPT" (arXiv 2403.03853), section 3. The cosine with the loss's gradient:
Jastrzebski et al. 2018, "Residual Connections Encourage Iterative Inference" (arXiv 1710.04773).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError
from reslab.look import measure
from reslab.look.batches import as_batches, few
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import batch_size, scores
from reslab.look.graph.gradless import Gradless
from reslab.look.graph.merges import Merge, find
from reslab.look.graph.ops import real
from reslab.look.graph.passes import as_it_was, passing
from reslab.look.measure import mask_of
from reslab.look.shown import Row, Shown, flat


@dataclass(frozen=True, kw_only=True)
class Step:
    """The average effect of one merge: x arrives by the skip, h = x + F leaves."""

    index: int
    module: str
    influence: (
        float  # 1 - mean cos(x, h): 0 if the branch does not change the direction; x or h always zero: 1 if moved
    )
    ratio: float | None  # mean |F| / |x|; None if x was always zero
    cosine: float | None  # mean cos(F, dL/dh): negative: along the negative gradient; None without a loss or gradient


@dataclass(frozen=True, kw_only=True, repr=False)
class Influence(Shown):
    """The effects of all reachable merges, in order, on `n` samples."""

    n: int
    merges: tuple[Step, ...]

    FACTS = ("n",)
    DRAWN = ("influence", "ratio", "cosine")

    def rows(self) -> list[Row]:
        """A row per merge."""
        return [flat(one, ("index", "module", "influence", "ratio", "cosine")) for one in self.merges]


def influence(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Sequence[Merge] | None = None,
    loss: Callable[[Tensor, Tensor | None], Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Influence:
    """Block influence, |F|/|x| and cos(F, dL/dh) of each merge that can be edited, from one pass per batch.

    x is the skip operand; at a projection, the shortcut's output. h is the sum before any following ReLU or norm, and
    F = h - x, so signs, gates and several branches are included. The gradient is taken at the sum, so -F.dL/dh is also
    the first-order change of the loss when the block is disabled. (Jastrzebski et al. take it where the branch begins.)

    Values with three dimensions, (N, L, H), are tokens: means are over tokens, without those that an `attention_mask`
    of shape (N, L) in the example masks, and vectors run along H. Other values, such as (N, C, H, W), are flattened to
    one vector per sample. Zero vectors have no direction and are not counted in that mean.

    The loss is cross-entropy if there are labels; `loss(scores, labels)` replaces it, and its elements are summed.
    Runs in eval mode; the model is restored. Raises UsageError for no data, or labels that do not match.
    """
    batches = as_batches(batches)
    if not batches:
        raise UsageError("no data: at least one batch is needed")
    merges = find(model, few(model, batches[0][0])) if merges is None else merges
    places = {merge.index: merge.module for merge in merges}
    means = {merge.index: Means() for merge in merges if merge.reachable}
    with as_it_was(model):
        for p in model.parameters():
            p.requires_grad_(False)  # only gradients of activations are needed
        for done, (example, labels) in enumerate(batches, 1):
            downhill, mask = labels is not None or loss is not None, mask_of(example)
            hidden = Gradless()
            edits = {i: step_edit(mean, mask, hidden if downhill else None, places[i]) for i, mean in means.items()}
            act = acting(model, merges, edits)
            with torch.set_grad_enabled(downhill), act, hidden, passing(model, example) as output:
                if downhill:
                    answer = scores(output)
                    total = (measure.loss(answer, labels, answer) if loss is None else loss(answer, labels)).sum()
                    if total.requires_grad:
                        total.backward()
            if progress:
                progress(done, len(batches))
    steps = tuple(step(merge, means[merge.index]) for merge in merges if merge.reachable)
    return Influence(n=sum(batch_size(example) for example, _ in batches), merges=steps)


class Means:
    """Running sums of the three measures and the number of rows counted in each, on the model's device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor, count: Tensor) -> None:
        """Add the values of the rows for which `count` is true."""
        wide = values if values.device.type == "mps" else values.double()
        pair = torch.stack([wide.where(count, 0).sum(), count.sum().to(wide)])
        self.sums[name] = self.sums[name] + pair if name in self.sums else pair

    def mean(self, name: str) -> float | None:
        total, count = self.sums[name].tolist() if name in self.sums else (0, 0)
        return total / count if count else None


def step(merge: Merge, means: Means) -> Step:
    found = {name: means.mean(name) for name in ("influence", "ratio", "cosine")}
    if found["influence"] is None:  # x or h was always zero
        found["influence"] = means.mean("moved")
    for name, value in found.items():
        if value is not None and not math.isfinite(value):
            raise ReslabError(
                f"the {name} of merge {merge.index} ({merge.module or 'the model'}) is {value}: its values overflow"
            )
    ratio, cosine = found["ratio"], found["cosine"]
    return Step(index=merge.index, module=merge.module, influence=found["influence"] or 0.0, ratio=ratio, cosine=cosine)


def step_edit(means: Means, mask: Tensor | None, hidden: Gradless | None, name: str) -> Edit:
    """An edit that measures a merge's step at once, because later ops may write into the same tensors."""
    held: list[Tensor] = []

    def skip(x: Tensor) -> Tensor:
        held[:] = [x.detach().clone()]
        return x

    def out(h: Tensor) -> Tensor:
        x, now = vectors(held.pop(), mask), vectors(h.detach(), mask)
        added = now - x
        before, after, step = length(x), length(now), length(added)
        directed = (before != 0) & (after != 0)
        means.add("influence", rotation(before, after, step), directed)
        means.add("moved", (step > 0).to(step), torch.ones_like(directed))
        means.add("ratio", step / before, before != 0)
        if not hidden or not torch.is_grad_enabled():
            return hidden.check(h, name) if hidden else h
        if not h.requires_grad:  # the first merge: the gradient starts here
            h = h.detach().requires_grad_().clone()  # a copy, because the next op may be in place
        h.register_hook(lambda gradient: add_cosine(means, added, step, vectors(gradient.detach(), mask)))
        return h

    return Edit(skip=skip, out=out, watches=True)


def rotation(before: Tensor, after: Tensor, step: Tensor) -> Tensor:
    """1 - cos of the angle between x and h, from the lengths of x, h and the step h - x.

    Uses the law of cosines, which keeps small angles that 1 - x.h / (|x||h|) would round away.
    """
    return (step.square() - (after - before).square()) / (2 * before * after)


def add_cosine(means: Means, added: Tensor, step: Tensor, gradient: Tensor) -> None:
    """Add cos(F, dL/dh); the gradient is first rescaled so that its squares neither underflow nor overflow."""
    most = torch.linalg.vector_norm(gradient, torch.inf, dim=1)
    gradient = gradient / most.where(most != 0, 1)[:, None]
    scale = step * length(gradient)
    means.add("cosine", (added * gradient).sum(dim=1) / scale, scale != 0)


def length(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=1)


def vectors(value: Tensor, mask: Tensor | None) -> Tensor:
    """One row per item of the means: (N, L, H) by tokens, other values by samples; at least float32."""
    value = real(value)
    wide = value.to(torch.promote_types(value.dtype, torch.float32))
    if value.dim() != 3:
        return wide.flatten(1) if value.dim() > 1 else wide[None]
    return wide[mask] if mask is not None and mask.shape == value.shape[:2] else wide.flatten(0, 1)
