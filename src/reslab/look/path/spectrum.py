"""The exact gradient by path length: all G_k in one shrinking pass.

The pass starts with K + 1 copies of the batch. At each merge

    out = skip[copies 0 .. m-2] + branch[copies 1 .. m-1]

(fewer copies of the skip if merges inside the branch have dropped some, and the like for parallel branches).
All copies hold the same values, so the forward pass is unchanged except that one copy is dropped. Backward, each branch
passes its gradient to the copy above. At the end one copy is left, and at the start copy k holds G_k, the sum of the
gradients of all paths through k branches. The cost is about K / 2 ordinary passes. If a model does not accept a batch
that shrinks during the pass, all copies stay and the gradients of the branches are moved up one at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.batches import batch_first_advice
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.graph.example import Example, batch_size, repeated, scores
from reslab.look.graph.forks import SKIP
from reslab.look.graph.gradless import Gradless
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import real
from reslab.look.graph.passes import forward
from reslab.look.graph.state import kept
from reslab.look.measure import Batch, Loss, mask_of, objective, unpadded
from reslab.look.path.entry import Entry
from reslab.look.path.lengths import Lengths
from reslab.look.path.norms import imbalance

# The largest accepted deviation of the sum of all G_k from the gradient. In float32, batches of other sizes are rounded
# differently, and about one value in a million falls on the other side of a ReLU's kink: 0.003 was seen in a trained
# ResNet-56, and 4e-16 in float64.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 0.05, torch.float16: 0.5, torch.bfloat16: 0.5}


class Shift(torch.autograd.Function):
    """The identity forward; backward, each copy gets the gradient of the copy below it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        ctx.size = size
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        moved = torch.zeros_like(gradient)
        moved[ctx.size :] = gradient[: -ctx.size]
        return moved, None


def shrinking(merges: Sequence[Merge], size: int) -> dict[int, Edit]:
    """Edits for the shrinking pass over `size` samples."""
    lengths = Lengths(merges)

    def dropped(merge: Merge, side: int) -> Callable[[Tensor], Tensor]:
        """Drop the first copy of a branch, and as many of the last as make all sides equal: those inside drop some."""
        first = int(side != SKIP)
        last = lengths.through(merge.index) - lengths.within(merge.index, side) - first
        return lambda value: value[first * size : value.shape[0] - last * size]

    return {
        merge.index: Edit(
            skip=dropped(merge, SKIP),
            branch=tuple(dropped(merge, branch) for branch in range(max(1, len(merge.branches)))),
        )
        for merge in merges
    }


def shifting(merges: Sequence[Merge], size: int) -> dict[int, Edit]:
    """Edits for the pass that keeps all copies."""
    return {merge.index: Edit(branch=lambda branch: Shift.apply(branch, size)) for merge in merges}


METHODS = {"shrinking": shrinking, "copies": shifting}


def gradient(
    model: nn.Module,
    batch: Batch,
    entry: Entry,
    merges: Sequence[Merge],
    edits: dict[int, Edit],
    loss: Loss | None,
    copies: int = 1,
) -> Tensor:
    """d loss / d entry of a pass under `edits`, (copies * N, ...), for the loss of the first N rows of the output."""
    example, labels = batch
    n = batch_size(example)
    watched, hidden = entry.watched(repeated(example, copies)), Gradless()
    seen = {m.index: replace(edits.get(m.index, Edit()), out=seen_by(hidden, m.module)) for m in merges}
    with torch.enable_grad(), kept(model), acting(model, merges, seen), watched as (given, held), hidden:
        answer = scores(forward(model, given))
        if answer.shape[0] not in (n, copies * n):
            raise UsageError(f"the model returned {answer.shape[0]} rows for {copies} copies of {n} samples")
        answer = answer[:n]
        if loss is None and labels is None:
            answer = unpadded(answer, mask_of(example))
        return differentiated((loss or objective)(answer, labels), held, entry.name)


def seen_by(hidden: Gradless, name: str) -> Callable[[Tensor], Tensor]:
    return lambda value: hidden.check(value, name)


def differentiated(loss: Tensor, held: list[Tensor], name: str) -> Tensor:
    """The gradient of the loss at the entry; a failure is reported in one sentence."""
    if not held:
        raise UsageError(f"the model did not run {name}, where the gradient is taken")
    try:
        (found,) = torch.autograd.grad(loss, held[:1])
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        raise UsageError(f"there is no gradient of the loss at the {name}: {first_line(error)[:200]}") from error
    return real(found)


def check_samples(model: nn.Module, example: Example, entry: Entry, merges: Sequence[Merge]) -> None:
    """Raises UsageError if one sample's output depends on another sample, because copies would then mix."""
    if batch_size(example) < 2:
        return
    found = gradient(model, (example, None), entry, merges, {}, lambda scores, _: objective(scores[:1], None))
    if found[1:].count_nonzero():
        raise UsageError(
            "the model's output for a sample depends on the other samples of the batch, but paths need independent "
            f"samples{batch_first_advice(model)}"
        )


def spectrum(
    model: nn.Module, batch: Batch, entry: Entry, merges: Sequence[Merge], loss: Loss | None, method: str
) -> tuple[Tensor, Tensor, str]:
    """(G (K + 1, N, D), the full gradient (N, D), the method that worked for the model).

    Raises ReslabError if the sum of G is not the gradient: the model then mixes its samples.
    """
    n, copies = batch_size(batch[0]), Lengths(merges).longest() + 1
    whole = gradient(model, batch, entry, merges, {}, loss).reshape(n, -1)
    for name in [method] if method == "copies" else ["shrinking", "copies"]:
        try:
            found = gradient(model, batch, entry, merges, METHODS[name](merges, n), loss, copies)
        except (UsageError, RuntimeError, IndexError):
            if name == "copies":
                raise
            continue
        parts = found.reshape(copies, n, -1)
        error = imbalance(parts, whole)
        if error <= TOLERANCE.get(whole.dtype, 0.05):
            return parts, whole, name
    raise ReslabError(
        f"the gradients by path length do not sum to the full gradient (relative error {error:.2g}): the model mixes "
        "the samples of a batch"
    )
