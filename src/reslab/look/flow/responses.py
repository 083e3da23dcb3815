"""How strongly each layer responds: He et al. 2015, Figure 7 and section 4.2, "Analysis of Layer Responses"."""

import functools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.look.batches import as_batches
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.flow.observe import head_of, numbers, observe, subjects, sum_dtype
from reslab.look.flow.signal import untrained
from reslab.look.graph.example import batch_size, scores
from reslab.look.graph.layers import Layer
from reslab.look.graph.merges import Merge
from reslab.look.graph.ops import real
from reslab.look.graph.passes import as_it_was, call
from reslab.look.measure import mask_of, unpadded
from reslab.look.shown import Row, Shown, flat


@dataclass(frozen=True, kw_only=True)
class LayerResponse:
    """One call of one layer: the spread of its output over samples, channels and positions."""

    index: int  # position in the order of the pass
    module: str
    norm: str | None  # the normalization after which the response is taken; None: the layer's own output
    call: int  # counts from 0 if the module runs several times in a pass
    kind: str
    kernel: tuple[int, ...]
    shape: tuple[int, ...]  # of one sample's response
    merge: int | None  # the merge whose branch contains it
    shortcut: bool  # part of a merge's projection: not in the figure
    head: bool  # computes the model's output: not in the figure
    std: float
    mean: float

    @property
    def shown(self) -> bool:
        """Whether the figure shows it."""
        return not (self.shortcut or self.head)


@dataclass(frozen=True, kw_only=True)
class MergeResponse:
    """Standard deviations at one merge: of the skip, of the branch, and of their sum."""

    index: int
    module: str
    skip: float
    branch: float
    out: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Responses(Shown):
    """One model's responses; several models side by side make Figure 7."""

    model: str  # its class
    n: int  # samples
    layers: tuple[LayerResponse, ...]  # in the order of the pass: the figure's upper half
    ranked: tuple[int, ...]  # indices of the layers in the figure, largest std first: its lower half
    median: float | None  # of the std of the layers in the figure
    merges: tuple[MergeResponse, ...]
    notes: tuple[str, ...]

    FACTS = ("model", "n")

    def rows(self) -> list[Row]:
        """A row per layer."""
        return [flat(one, ("index", "module", "kind", "mean", "std")) for one in self.layers]


class Spread:
    """Count, mean and sum of squared deviations over all batches, merged exactly (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, n: int, mean: float, variance: float) -> None:
        """Add n numbers with this mean and variance (divided by n)."""
        total, delta = self.n + n, mean - self.mean
        self.m2 += n * variance + delta * delta * self.n * n / total
        self.mean += delta * n / total
        self.n = total

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / self.n)


Key = tuple[str, str, int]  # a layer's module, "", the call; or a merge's module, "skip", "branch" or "out", its index


class Spreads:
    """A Spread for each key, fed with tensors; synchronizes the device once per batch."""

    def __init__(self) -> None:
        self.found: dict[Key, Spread] = {}
        self.shapes: dict[Key, tuple[int, ...]] = {}
        self.pending: list[tuple[Key, int, Tensor, Tensor]] = []
        self.mask: Tensor | None = None  # of the batch: what is no padding

    def see(self, key: Key, value: Tensor) -> Tensor:
        """Add a value and return it."""
        self.shapes.setdefault(key, tuple(value.shape[1:]))
        # Now and not at the end of the batch, because an in-place op may write into the value next.
        counted = real(unpadded(value, self.mask))
        exact = counted.to(sum_dtype(value))
        mean = exact.mean()
        variance = torch.linalg.vector_norm(exact - mean).square() / exact.numel()  # var_mean takes 6x the time
        self.pending.append((key, counted.numel(), mean, variance))
        return value

    def close(self) -> None:
        """End a batch. Raises ReslabError for a value that is not finite, naming its module."""
        means = numbers([mean for _, _, mean, _ in self.pending])
        variances = numbers([variance for *_, variance in self.pending])
        for (key, n, _, _), mean, variance in zip(self.pending, means, variances, strict=True):
            if not math.isfinite(variance):
                raise ReslabError(f"the output of {key[0]} is not finite: nothing can be measured beyond it")
            self.found.setdefault(key, Spread()).add(n, mean, variance)
        self.pending.clear()


def responses(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Sequence[Merge] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Responses:
    """Standard deviation of every layer's response over all samples, channels and positions, in eval mode.

    The response is the output of the layer's normalization, before the nonlinearity or the addition ("after BN and
    before other nonlinearity"). If no normalization follows the layer, as before the addition of a pre-activation net,
    it is the layer's own output. The std divides by the count and is exact for batches of any sizes. Of values
    (N, L, H), padding by an `attention_mask` (N, L) in the example is left out. The same is measured for every merge's
    skip, branch (the sum of its branches) and sum, as they are added.
    Raises UsageError if the model does not accept the batches, ReslabError for values that are not finite.
    """
    batches = as_batches(batches)
    model, merges, layers = subjects(model, batches, merges)
    spreads, n, head = Spreads(), 0, None
    edits = {merge.index: spread_edit(merge, spreads) for merge in merges if merge.reachable}
    see = observe(model, layers, lambda layer, count, value: spreads.see((layer.module, "", count), value))
    with torch.no_grad(), as_it_was(model), see, acting(model, merges, edits):
        for done, (inputs, _) in enumerate(batches, 1):
            spreads.mask = mask_of(inputs)
            answer = scores(call(model, inputs))
            if done == 1:
                head = head_of(layers, answer)
            n += batch_size(inputs)
            spreads.close()
            if progress:
                progress(done, len(batches))
    rows = layer_rows(layers, spreads, head)
    shown = [row for row in rows if row.shown]
    return Responses(
        model=type(model).__name__,
        n=n,
        layers=tuple(rows),
        ranked=tuple(row.index for row in sorted(shown, key=lambda row: -row.std)),
        median=statistics.median(row.std for row in shown) if shown else None,
        merges=tuple(merge_response(merge, spreads) for merge in merges if merge.index in edits),
        notes=tuple(remarks(model, shown)),
    )


def layer_rows(layers: Sequence[Layer], spreads: Spreads, head: str | None) -> list[LayerResponse]:
    """A row for each call of each layer, in the order of the pass."""
    known = {layer.module: layer for layer in layers}
    rows: list[LayerResponse] = []
    for (module, role, count), spread in spreads.found.items():
        if role:
            continue
        layer, shape = known[module], spreads.shapes[module, role, count]
        rows.append(
            LayerResponse(
                index=len(rows),
                module=module,
                norm=layer.norm,
                call=count,
                kind=layer.kind,
                kernel=layer.kernel,
                shape=shape,
                merge=layer.merge,
                shortcut=layer.shortcut,
                head=module == head,
                std=spread.std,
                mean=spread.mean,
            )
        )
    return rows


def spread_edit(merge: Merge, spreads: Spreads) -> Edit:
    """An edit that measures the spread of skip, branch and sum and changes nothing."""
    held: list[Tensor] = []

    def at(role: str) -> Callable[[Tensor], Tensor]:
        return functools.partial(spreads.see, (merge.module, role, merge.index))

    def several(value: Tensor) -> Tensor:
        held.append(value.clone())
        if len(held) == len(merge.branches):
            at("branch")(torch.stack(held).sum(0))
            held.clear()
        return value

    return Edit(
        skip=at("skip"), branch=several if len(merge.branches) > 1 else at("branch"), out=at("out"), watches=True
    )


def merge_response(merge: Merge, spreads: Spreads) -> MergeResponse:
    skip, branch, out = (spreads.found[merge.module, role, merge.index].std for role in ("skip", "branch", "out"))
    return MergeResponse(index=merge.index, module=merge.module, skip=skip, branch=branch, out=out)


def remarks(model: nn.Module, shown: Sequence[LayerResponse]) -> Iterator[str]:
    """Notes for the reader of the figure."""
    if not shown:
        yield "the model has no layers to show: no convolution or linear layer ran"
    bare = sum(row.norm is None for row in shown)
    if bare:
        yield f"{bare} of {len(shown)} layers are not followed by a normalization; their own output is used"
    if untrained(model):
        yield "a BatchNorm without running statistics has no effect in eval mode: a trained net responds otherwise"
