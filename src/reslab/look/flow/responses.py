"""How strongly each layer responds: He et al. 2015, Figure 7 and section 4.2, "Analysis of Layer Responses"."""

import functools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.flow.observe import head_of, numbers, observe, subjects, sum_dtype
from reslab.look.flow.signal import untrained
from reslab.look.graph.example import as_it_was, batch_size, call, scores
from reslab.look.graph.layers import Layer
from reslab.look.graph.merges import Merge
from reslab.look.measure import Batch


@dataclass(frozen=True, kw_only=True)
class LayerResponse:
    """One call of one layer: the spread of what comes out of it over samples, channels and places."""

    index: int  # place in the order of the pass
    module: str
    norm: str | None  # the normalization behind which the response was taken; None: the layer's own output
    call: int  # 0, or more where the module runs several times in a pass
    kind: str
    kernel: tuple[int, ...]
    shape: tuple[int, ...]  # of one sample's response
    merge: int | None  # in whose branch it lies
    shortcut: bool  # on a merge's projection: left out of the figure
    head: bool  # gives the model's answer: left out of the figure
    std: float
    mean: float

    @property
    def shown(self) -> bool:
        """Whether the figure shows it."""
        return not (self.shortcut or self.head)


@dataclass(frozen=True, kw_only=True)
class MergeResponse:
    """Standard deviations at one merge: of what the skip brings, of what the branch adds, of their sum."""

    index: int
    module: str
    skip: float
    branch: float
    out: float


@dataclass(frozen=True, kw_only=True)
class Responses:
    """One model's responses; several of them, side by side, are Figure 7."""

    model: str  # its class
    n: int  # samples
    layers: tuple[LayerResponse, ...]  # in the order of the pass: the figure's upper half
    ranked: tuple[int, ...]  # indices of the layers shown, largest std first: the figure's lower half
    median: float | None  # std of the layers shown
    merges: tuple[MergeResponse, ...]
    notes: tuple[str, ...]


class Spread:
    """Count, mean and sum of squared deviations of all numbers met, merged exactly (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, n: int, mean: float, variance: float) -> None:
        """Take in n numbers of this mean and variance (divided by n)."""
        total, delta = self.n + n, mean - self.mean
        self.m2 += n * variance + delta * delta * self.n * n / total
        self.mean += delta * n / total
        self.n = total

    @property
    def std(self) -> float:
        return math.sqrt(self.m2 / self.n)


Key = tuple[str, str, int]  # a layer's module, "", the call; or a merge's module, "skip", "branch" or "out", its index


class Spreads:
    """A Spread for each key, fed with tensors; waits for the device once a batch."""

    def __init__(self) -> None:
        self.found: dict[Key, Spread] = {}
        self.shapes: dict[Key, tuple[int, ...]] = {}
        self.pending: list[tuple[Key, int, Tensor, Tensor]] = []

    def see(self, key: Key, value: Tensor) -> Tensor:
        """Take in a value, and give it back."""
        self.shapes.setdefault(key, tuple(value.shape[1:]))
        # At once, not at the batch's end: an op in place may write into the value next.
        exact = value.to(sum_dtype(value))
        mean = exact.mean()
        variance = torch.linalg.vector_norm(exact - mean).square() / exact.numel()  # var_mean takes 6x the time
        self.pending.append((key, value.numel(), mean, variance))
        return value

    def close(self) -> None:
        """End a batch. Raises ReslabError for a value that was not finite, naming where."""
        means = numbers([mean for _, _, mean, _ in self.pending])
        variances = numbers([variance for *_, variance in self.pending])
        for (key, n, _, _), mean, variance in zip(self.pending, means, variances, strict=True):
            if not math.isfinite(variance):
                raise ReslabError(f"what comes out of {key[0]} is not finite: nothing can be measured from there on")
            self.found.setdefault(key, Spread()).add(n, mean, variance)
        self.pending.clear()


def responses(
    model: nn.Module,
    batches: Sequence[Batch],
    *,
    merges: Sequence[Merge] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Responses:
    """Standard deviation of every layer's response over all samples, channels and places, in eval mode.

    The response is what comes out of the layer's normalization, before the nonlinearity or the addition (the paper's
    "after BN and before other nonlinearity"); where no normalization takes the layer's output, as before a
    pre-activation net's addition, it is the output itself. The std divides by the count, and is exact over batches
    of any sizes. In text, padding counts too. Every merge's skip, branch (the sum of its branches) and sum beside it.
    Raises UsageError for a model that does not take the batches, ReslabError for values that are not finite.
    """
    model, merges, layers = subjects(model, batches, merges)
    spreads, n, head = Spreads(), 0, None
    edits = {merge.index: spread_edit(merge, spreads) for merge in merges if merge.reachable}
    see = observe(model, layers, lambda layer, count, value: spreads.see((layer.module, "", count), value))
    with torch.no_grad(), as_it_was(model), see, acting(model, merges, edits):
        for done, (inputs, _) in enumerate(batches, 1):
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
    """An edit that changes nothing and takes the spread of skip, branch and sum."""
    held: list[Tensor] = []

    def at(role: str) -> Callable[[Tensor], Tensor]:
        return functools.partial(spreads.see, (merge.module, role, merge.index))

    def several(value: Tensor) -> Tensor:
        held.append(value.clone())
        if len(held) == len(merge.branches):
            at("branch")(torch.stack(held).sum(0))
            held.clear()
        return value

    return Edit(skip=at("skip"), branch=several if len(merge.branches) > 1 else at("branch"), out=at("out"))


def merge_response(merge: Merge, spreads: Spreads) -> MergeResponse:
    skip, branch, out = (spreads.found[merge.module, role, merge.index].std for role in ("skip", "branch", "out"))
    return MergeResponse(index=merge.index, module=merge.module, skip=skip, branch=branch, out=out)


def remarks(model: nn.Module, shown: Sequence[LayerResponse]) -> Iterator[str]:
    """What the reader of the figure should know."""
    if not shown:
        yield "the model has no layers to show: no convolution or linear layer ran"
    bare = sum(row.norm is None for row in shown)
    if bare:
        yield f"{bare} of {len(shown)} layers have no normalization behind them: there the layer's own output is taken"
    if untrained(model):
        yield "a BatchNorm has no statistics yet and does nothing in eval mode: these are no responses of a trained net"
