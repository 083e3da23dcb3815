"""Gradient norms by layer, for weights and activations, and the scale of the forward signal.

He et al. 2015, section 4.1: "forward propagated signals have non-zero variances ... backward propagated gradients
exhibit healthy norms with BN"; the paper shows no numbers. These are the numbers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, first_line
from reslab.look.batches import as_batches
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.flow.health import Health, assess
from reslab.look.flow.observe import head_of, observe, subjects
from reslab.look.flow.signal import Key, NormSums, norm, untrained, weights_of
from reslab.look.graph.example import batch_size, brief, scores
from reslab.look.graph.layers import Layer
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import as_it_was, passing
from reslab.look.measure import IGNORED, items, mask_of
from reslab.look.shown import Row, Shown, flat

Loss = Callable[[Any, Tensor | None], Tensor]  # loss(the model's output, labels) -> the mean over the batch


@dataclass(frozen=True, kw_only=True)
class LayerGradient:
    """One call of one layer. L is the mean loss over the labelled items of all batches together."""

    index: int  # position in the order of the pass
    module: str
    norm: str | None  # the normalization after which signal and activation are taken; None: the layer's own output
    call: int  # counts from 0 if the module runs several times in a pass; its weights have the gradient of all calls
    kind: str
    shape: tuple[int, ...]  # of one sample's activation
    merge: int | None  # the merge whose branch contains it
    shortcut: bool  # part of a merge's projection: not included in the trends
    head: bool  # computes the model's output: not included in the trends
    weight: float  # norm of dL/dW
    weight_size: float  # norm of W
    activation: float  # norm of the gradient of a sample's loss by its activation; root mean square over samples
    signal: float  # root mean square of the activation's elements

    @property
    def relative(self) -> float:
        """The norm of the weight's gradient relative to the weight's: the relative update at learning rate 1."""
        return self.weight / self.weight_size if self.weight_size else 0.0


@dataclass(frozen=True, kw_only=True)
class MergeGradient:
    """At one merge's sum: the norm of the incoming gradient (as LayerGradient.activation) and the signal."""

    index: int
    module: str
    depth: int  # how many other merges contain it in a branch
    out: float
    signal: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Gradients(Shown):
    """A model's gradients at its present weights."""

    model: str  # its class
    n: int  # samples
    training: bool  # training mode: whether BatchNorm used the batch's statistics
    of: str  # the loss: "cross-entropy", "your loss" or "random direction"
    loss: float  # L
    layers: tuple[LayerGradient, ...]
    merges: tuple[MergeGradient, ...]
    activations: Health  # of LayerGradient.activation over the layers, without shortcuts and head
    weights: Health  # of LayerGradient.relative
    signal: Health  # of LayerGradient.signal
    trunk: Health  # of MergeGradient.out, over the merges outside all other branches
    notes: tuple[str, ...]

    FACTS = ("model", "n", "of")
    DRAWN = ("weight", "activation", "signal")

    def rows(self) -> list[Row]:
        """A row per layer."""
        return [flat(one, ("index", "module", "kind", "weight", "activation", "signal")) for one in self.layers]


def gradients(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Sequence[Merge] | None = None,
    loss: Loss | None = None,
    training: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Gradients:
    """Norms of the loss's gradient with respect to each layer's weights and outputs, and the scale of the signal.

    The loss is the cross-entropy of labels (N,) or (N, L), ignoring -100; or loss(output, labels), a mean over the
    batch; or, without either, the product of the scores with a fixed random direction of length 1 for each sample.
    An untrained BatchNorm has no running statistics. At initialization use training=True (dropout is then active too)
    and batches of the size used for training, because statistics are taken from the batch. The model's weights,
    gradients, buffers and mode are restored.
    Raises UsageError if the model does not accept the batches or has no gradient, ReslabError if values are not
    finite.
    """
    batches = as_batches(batches)
    model, merges, layers = subjects(model, batches, merges)
    weights = weights_of(model, layers)
    norms, count, n, total, head = NormSums(), 0, 0, 0.0, None
    hidden = norms.hidden
    edits = {merge.index: Edit(out=norms.edit(merge)) for merge in merges if merge.reachable}
    see = observe(model, layers, lambda layer, call, value: norms.see((layer.module, "", call), value))
    with as_it_was(model, evaluate=not training), torch.enable_grad(), see, acting(model, merges, edits), hidden:
        notes = remarks(model, training)
        if training:
            model.train()
        for weight in (w for each in weights.values() for w in each):
            weight.requires_grad_(True)
        for done, (inputs, labels) in enumerate(batches, 1):
            norms.mask = mask_of(inputs)
            with passing(model, inputs) as output:
                if done == 1:
                    head = head_of(layers, scores(output))
                summed, asked = summed_loss(
                    output, labels, loss, samples=batch_size(inputs), seed=done, mask=norms.mask
                )
                norms.close(norms.forward, "signal")
                backward(summed)
                norms.close(norms.backward, "gradient")
            total, count, n = total + summed.item(), count + asked, n + batch_size(inputs)
            if progress:
                progress(done, len(batches))
        sizes = {module: (norm([w.grad for w in each]) / count, norm(each)) for module, each in weights.items()}
    rms = {key: math.sqrt(n * squares) / count for key, squares in norms.backward.items()}
    rows = layer_rows(layers, norms, rms, sizes, head)
    shown = [row for row in rows if not (row.shortcut or row.head)]
    sums = tuple(merge_row(merge, norms, rms) for merge in merges if merge.index in edits)
    return Gradients(
        model=type(model).__name__,
        n=n,
        training=training,
        of="your loss" if loss else "cross-entropy" if batches[0][1] is not None else "random direction",
        loss=total / count,
        layers=tuple(rows),
        merges=sums,
        activations=assess([row.activation for row in shown], "backward"),
        weights=assess([row.relative for row in shown if row.call == 0], "backward"),
        signal=assess([row.signal for row in shown], "forward"),
        trunk=assess([row.out for row in sums if row.depth == 0], "backward", of="merge"),
        notes=(
            *notes,
            *([f"{len(norms.cut)} values were computed without a gradient and are shown as zero"] if norms.cut else ()),
        ),
    )


def summed_loss(
    output: Any, labels: Tensor | None, loss: Loss | None, *, samples: int, seed: int, mask: Tensor | None = None
) -> tuple[Tensor, int]:
    """The batch's loss summed over its labelled items, and their number, so that losses of batches can be added."""
    if loss:
        mean = loss(output, labels)
        if not isinstance(mean, Tensor) or mean.numel() != 1:
            raise UsageError(f"the loss must be a single number computed from the model's output, got {brief(mean)}")
        return mean.reshape(()) * samples, samples
    found = scores(output)
    found = found if found.dtype == torch.float64 else found.float()
    if labels is None:
        direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed))
        if found.dim() == 3 and mask is not None and found.shape[:2] == mask.shape:
            direction *= mask.to("cpu", direction.dtype)[..., None]  # padding is no part of a sample
        direction = direction.flatten(1)
        direction /= direction.norm(dim=1, keepdim=True).clamp_min(1e-30)
        return (found.flatten(1) * direction.to(found.device)).sum(), samples
    asked, wanted = items(found, labels)
    if not len(wanted):
        raise UsageError(f"the batch has no labelled item: all labels are {IGNORED}")
    return F.cross_entropy(asked, wanted, reduction="sum"), len(wanted)


def backward(loss: Tensor) -> None:
    """The backward pass; a failure is reported in one sentence."""
    if not loss.requires_grad:
        raise UsageError("the loss has no gradient: does the model's forward use torch.no_grad?")
    try:
        loss.backward()
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        raise ReslabError(f"the backward pass failed: {first_line(error)[:300]}") from error


def layer_rows(
    layers: Sequence[Layer],
    norms: NormSums,
    rms: dict[Key, float],
    sizes: dict[str, tuple[float, float]],
    head: str | None,
) -> list[LayerGradient]:
    """A row for each call of each layer, in the order of the pass."""
    known = {layer.module: layer for layer in layers}
    rows: list[LayerGradient] = []
    for key, shape in norms.shapes.items():
        module, role, count = key
        if role:
            continue
        layer = known[module]
        weight, weight_size = sizes[module]
        rows.append(
            LayerGradient(
                index=len(rows),
                module=module,
                norm=layer.norm,
                call=count,
                kind=layer.kind,
                shape=shape,
                merge=layer.merge,
                shortcut=layer.shortcut,
                head=module == head,
                weight=weight,
                weight_size=weight_size,
                activation=rms.get(key, 0.0),
                signal=norms.rms(key),
            )
        )
    return rows


def merge_row(merge: Merge, norms: NormSums, rms: dict[Key, float]) -> MergeGradient:
    key = (merge.module, "out", merge.index)
    return MergeGradient(
        index=merge.index, module=merge.module, depth=merge.depth, out=rms.get(key, 0.0), signal=norms.rms(key)
    )


def remarks(model: nn.Module, training: bool) -> list[str]:
    """Notes for the reader of the numbers."""
    if not training and untrained(model):
        return ["a BatchNorm without running statistics has no effect in eval mode: before training, use training=True"]
    return []
