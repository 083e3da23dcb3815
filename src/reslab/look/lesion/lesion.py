"""Lesions: disable blocks, skip layers, reorder blocks, and measure the effect (Veit et al. 2016, section 4).

A lesion disables a merge's branch: out = skip; a projection on the skip stays. The weights are not changed.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.batches import as_batches, few
from reslab.look.graph.example import Example, batch_size, tensors
from reslab.look.graph.layers import Layer, find_layers
from reslab.look.graph.merges import Merge, find, plain
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.state import Draws
from reslab.look.lesion.growing import Lesion
from reslab.look.lesion.reorder import Blocks, arranged, find_blocks, kendall_tau, shuffled
from reslab.look.lesion.silencing import Method, measured
from reslab.look.lesion.trials import Progress, Steps, Trial, Values, checked, one_by_one
from reslab.look.measure import Metric
from reslab.look.shown import Row, Shown, flat


@dataclass(frozen=True, kw_only=True)
class DisabledMerge:
    """One merge disabled."""

    merge: int
    module: str
    kind: str  # identity; or what the skip does, which stays active: scaled, projection, mixed
    values: Values
    spread: Values = field(default_factory=dict)  # sample standard deviation over items of changed - intact


@dataclass(frozen=True, kw_only=True)
class RandomMerges:
    """k merges sampled at random and disabled together, repeatedly: each metric's value in every repeat."""

    k: int
    values: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Reordered:
    """Pairs of blocks of one shape swapped at random, once."""

    swaps: int
    tau: float  # Kendall's rank correlation of the blocks' order with the original order; 1: the same
    values: Values
    spread: Values = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SkippedLayer:
    """One layer whose input and output have the same shape, skipped together with its normalization: out = in."""

    layer: int
    module: str
    kind: str  # Conv2d, Linear
    values: Values
    spread: Values = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, repr=False)
class Lesions(Shown):
    """Each metric's mean over the n labelled items (samples or tokens), for the intact model and each lesion."""

    n: int
    metrics: tuple[str, ...]
    whole: Values
    method: Method  # how the lesions were computed; the numbers are the same
    why: str  # the reason if each lesion needed its own pass
    single: tuple[DisabledMerge, ...]
    random: tuple[RandomMerges, ...]
    reorder: tuple[Reordered, ...]
    layers: tuple[SkippedLayer, ...]
    notes: tuple[str, ...]  # what was skipped, and why

    FACTS = ("n", "method")

    def rows(self) -> list[Row]:
        """A row for the intact model and one per disabled merge, or per skipped layer if there are no merges."""
        what = "layer" if self.layers and not self.single else "merge"
        changed = self.layers if what == "layer" else self.single
        intact: Row = {what: None, "module": "(intact model)", "kind": "", **self.whole}
        return [intact, *(flat(one, (what, "module", "kind"), one.values) for one in changed)]

    def drawn(self) -> tuple[str, ...]:
        return self.metrics


def lesions(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    merges: Sequence[Merge] | None = None,
    metrics: Sequence[str | Metric] | None = None,
    repeats: int = 10,
    ks: Sequence[int] | None = None,
    swaps: Sequence[int] | None = None,
    layers: bool | None = None,
    seed: int = 0,
    chunk: int | None = None,
    method: Literal["auto", "growing", "naive"] = "auto",
    progress: Progress | None = None,
) -> Lesions:
    """Disable each merge alone, and k at random; reorder blocks; skip layers; measure the output each time.

    `ks`: how many merges to disable at once, including projections as in the paper (by default six numbers from 1 to
    all). `swaps`: how many random pairs of blocks of one shape to swap (by default 1, 2, 4, ... up to the number of
    blocks). An empty tuple skips either. `repeats`: random draws for each. Only the given `merges` are disabled.
    `layers`: whether to skip single layers too; by default only if there are no merges. `metrics`: "error", "loss",
    "kl", "drift" or functions (see measure.py); by default error, loss and KL, or drift without labels. The same seed
    gives the same draws on any machine.

    All lesions are computed in one pass whose batch grows at each disabled merge (growing.py), or in one pass per
    lesion if the model does not allow that; `why` then states the reason. `chunk` limits memory: it is the largest
    number of rows of a grown batch (samples times copies), by default the size of the largest batch, but at least 16.

    Raises UsageError for invalid options or data; ReslabError if a metric is NaN, naming the lesion, or if
    method="growing" is not possible.
    """
    model = plain(model)
    batches = as_batches(batches)
    asked = checked(batches, metrics)
    some = few(model, batches[0][0])
    merges = find(model, some) if merges is None else merges
    reachable = [merge for merge in merges if merge.reachable]
    ks = spread(len(reachable)) if ks is None else ks
    check(len(reachable), repeats, ks, swaps, chunk, method)
    drawn = {k: [draw(reachable, k, Random(f"{seed} random {k} {i}")) for i in range(repeats)] for k in ks}
    alone = [Lesion({merge.index}) for merge in reachable]
    silent = list(dict.fromkeys([*alone, *(lesion for k in drawn for lesion in drawn[k])]))
    samples = sum(batch_size(example) for example, _ in batches)
    most = chunk or max(16, *(batch_size(example) for example, _ in batches))
    with torch.no_grad(), as_it_was(model):
        draws = Draws(model)
        left = left_layers(model, some) if layers or (layers is None and not merges) else []
        blocks = find_blocks(model, merges, some) if swaps is None or swaps else Blocks((), (), "")
        orders = shuffles(blocks, swaps, repeats, seed)
        trials = [reordered(model, blocks, order) for _, order in orders] + [without(model, layer) for layer in left]
        steps = Steps(progress, samples * (len(silent) + len(trials)))
        draws.restore()
        sums, how, why = measured(model, batches, asked, merges, silent, method=method, most=most, steps=steps)
        draws.restore()
        others = one_by_one(model, batches, asked, trials, steps) if trials else sums
    values = {lesion: sums.means(i) for i, lesion in enumerate(silent, start=1)}
    changed = [others.means(i + 1) for i in range(len(trials))]
    return Lesions(
        n=sums.n,
        metrics=tuple(asked),
        whole=sums.means(0),
        method=how,
        why=why,
        single=tuple(
            DisabledMerge(
                merge=merge.index,
                module=merge.module,
                kind=merge.kind,
                values=values[lesion],
                spread=sums.spreads(1 + silent.index(lesion)),
            )
            for merge, lesion in zip(reachable, alone, strict=True)
        ),
        random=tuple(
            RandomMerges(k=k, values={name: tuple(values[lesion][name] for lesion in drawn[k]) for name in asked})
            for k in drawn
        ),
        reorder=tuple(
            Reordered(swaps=n, tau=kendall_tau(order), values=each, spread=others.spreads(1 + i))
            for i, ((n, order), each) in enumerate(zip(orders, changed, strict=False))
        ),
        layers=tuple(
            SkippedLayer(layer=layer.index, module=layer.module, kind=layer.kind, values=each, spread=others.spreads(i))
            for i, (layer, each) in enumerate(zip(left, changed[len(orders) :], strict=True), start=1 + len(orders))
        ),
        notes=tuple(remarks(merges, blocks)),
    )


def check(n: int, repeats: int, ks: Sequence[int], swaps: Sequence[int] | None, chunk: int | None, method: str) -> None:
    """Raise UsageError for invalid options."""
    if repeats < 1:
        raise UsageError(f"repeats must be at least 1, got {repeats}")
    if wrong := [k for k in ks if not 1 <= k <= n]:
        raise UsageError(f"k must be from 1 to {n}, the number of merges, got {wrong[0]}")
    if wrong := [k for k in swaps or () if k < 1]:
        raise UsageError(f"swaps must be at least 1, got {wrong[0]}")
    if chunk is not None and chunk < 2:
        raise UsageError(f"chunk must be at least 2 rows, a sample and its lesioned copy, got {chunk}")
    if method not in ("auto", "growing", "naive"):
        raise UsageError(f"method must be auto, growing or naive, got {method!r}")


def spread(n: int, points: int = 6) -> tuple[int, ...]:
    """At most `points` numbers from 1 to n, evenly spaced."""
    return tuple(sorted({round(1 + (n - 1) * i / (points - 1)) for i in range(points)})) if n else ()


def draw(merges: Sequence[Merge], k: int, coin: Random) -> Lesion:
    """k of the merges. Only random() is guaranteed to give the same numbers in every Python version."""
    order = sorted(merges, key=lambda merge: coin.random())
    return Lesion(merge.index for merge in order[:k])


def shuffles(blocks: Blocks, swaps: Sequence[int] | None, repeats: int, seed: int) -> list[tuple[int, tuple[int, ...]]]:
    """The number of swaps of every trial, and the order after them."""
    if not blocks.pairs:
        return []
    counts = [2**i for i in range(len(blocks.paths).bit_length())] if swaps is None else swaps
    return [(n, shuffled(blocks, n, Random(f"{seed} reorder {n} {i}"))) for n in counts for i in range(repeats)]


def reordered(model: nn.Module, blocks: Blocks, order: Sequence[int]) -> Trial:
    return Trial(f"with blocks in the order {', '.join(map(str, order))}", lambda: arranged(model, blocks, order))


def left_layers(model: nn.Module, example: Example) -> list[Layer]:
    """The layers that can be skipped: those that keep the shape, without shortcuts."""
    return [layer for layer in find_layers(model, example) if layer.keeps_shape and not layer.shortcut]


def without(model: nn.Module, layer: Layer) -> Trial:
    return Trial(f"with layer {layer.module} skipped", lambda: left_out(model, layer))


@contextlib.contextmanager
def left_out(model: nn.Module, layer: Layer) -> Iterator[None]:
    """Inside, the layer and its normalization return their input."""

    def as_given(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Tensor:
        return tensors([*args, *kwargs.values()])[0].clone()  # later ops may write into it

    paths = [path for path in (layer.module, layer.norm) if path]
    handles = [model.get_submodule(path).register_forward_hook(as_given, with_kwargs=True) for path in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def remarks(merges: Sequence[Merge], blocks: Blocks) -> Iterator[str]:
    """What was skipped, and why."""
    yield from getattr(merges, "notes", ()) if not merges else ()
    for merge in merges:
        if not merge.reachable:
            yield f"merge {merge.index} ({merge.module}) cannot be disabled: {merge.why}"
    if blocks.why:
        yield f"no blocks were reordered: {blocks.why}"
