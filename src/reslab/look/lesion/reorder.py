"""Reorder blocks of one shape (Veit et al. 2016, section 4.3): swap pairs, and compare the new order with the old."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any

from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import Example, tensors
from reslab.look.graph.layers import find_layers
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import call


@dataclass(frozen=True)
class Blocks:
    """The modules that contain a model's merges, in the order they run, and the pairs that can be swapped.

    Of a model without merges: its modules of one kind and shape, or its layers.
    """

    paths: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    why: str  # the reason if there are no pairs
    norms: tuple[str | None, ...] = ()  # of a layer that is swapped: its normalization, which goes with it


@dataclass(frozen=True)
class Call:
    """One call of a module: the structure of its input and output, without the numbers."""

    path: str
    signature: tuple[Any, ...]
    keeps_shape: bool


def find_blocks(model: nn.Module, merges: Sequence[Merge], example: Example) -> Blocks:
    """The outermost modules that contain merges; a pair has the same input and output shapes and runs once.

    Without merges: the outermost modules with weights, where a pair also has the same class and weights of one shape.
    """
    layers = [] if merges else find_layers(model, example)
    norms = {layer.module: layer.norm for layer in layers}
    paths = list(dict.fromkeys(merge.module for merge in merges if merge.module))
    paths += dict.fromkeys(path for layer in layers for path in around(layer.module))
    calls = record_calls(model, paths, example)
    times = Counter(each.path for each in calls)
    like: dict[Any, list[str]] = {}
    for each in calls:
        if each.keeps_shape and times[each.path] == 1:
            kind = () if merges else (make(model, each.path), norms.get(each.path) and make(model, norms[each.path]))
            like.setdefault((each.signature, kind), []).append(each.path)
    paired = [a for group in like.values() for a in group if any(apart(a, b) for b in group)]
    moving = outermost(paired)
    order = outermost([path for path in times if path in moving or all(apart(path, other) for other in moving)])
    place = {path: i for i, path in enumerate(order)}
    groups = [[place[path] for path in group if path in moving] for group in like.values()]
    pairs = tuple(pair for group in groups for pair in combinations(group, 2))
    with_them = tuple(norms.get(path) for path in order)
    blocks = Blocks(tuple(order), pairs, "" if pairs else why_not(model, merges, times), with_them)
    if pairs and not moves(model, blocks, example):
        return Blocks(tuple(order), (), f"{type(model).__name__} does not run its blocks in the order of its modules")
    return blocks


def around(path: str) -> list[str]:
    """The module and all that contain it, without the model itself."""
    names = path.split(".")
    return [".".join(names[:n]) for n in range(1, len(names) + 1) if path]


def make(model: nn.Module, path: str | None) -> tuple[Any, ...]:
    """What two modules must have in common to change places: the class, and the names and shapes of the weights."""
    module = model.get_submodule(path or "")
    return type(module), tuple((name, tuple(value.shape)) for name, value in module.state_dict().items())


def outermost(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not any(path != other and within(path, other) for other in paths)]


def why_not(model: nn.Module, merges: Sequence[Merge], times: Counter[str]) -> str:
    name = type(model).__name__
    if not merges:
        return f"no residual connection was recognized in {name}, and no two modules that keep the shape are alike"
    if not times:
        return f"the blocks of {name} are written inline in one forward, not as modules that could be swapped"
    if min(times.values()) > 1:
        return f"the blocks of {name} are one module that runs {min(times.values())} times: there is no order to change"
    return f"no two blocks of {name} have the same input and output shapes"


def record_calls(model: nn.Module, paths: Sequence[str], example: Example) -> list[Call]:
    """Every call of these modules in one pass, in the order in which the calls end."""
    calls: list[Call] = []
    handles = []

    def note(path: str) -> Any:
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            given, gives = tensors([*args, *kwargs.values()]), tensors(output)
            keeps = bool(given and gives) and given[0].shape == gives[0].shape
            calls.append(Call(path, (form(args), form(kwargs), form(output)), keeps))

        return hook

    try:
        for path in paths:
            handles.append(model.get_submodule(path).register_forward_hook(note(path), with_kwargs=True))
        call(model, example)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def form(value: Any) -> Any:
    """The structure of a value: shapes and dtypes of tensors, types of everything else."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return tuple((key, form(item)) for key, item in value.items())
    if isinstance(value, tuple | list):
        return tuple(form(item) for item in value)
    return type(value).__name__


@contextlib.contextmanager
def arranged(model: nn.Module, blocks: Blocks, order: Sequence[int]) -> Iterator[None]:
    """Inside, block order[i] is at position i; at the end, also after an exception, the original order is restored."""
    own = [model.get_submodule(path) for path in blocks.paths]
    norms = blocks.norms or (None,) * len(own)
    with_them = [model.get_submodule(norm) if norm else None for norm in norms]
    try:
        for path, norm, i in zip(blocks.paths, norms, order, strict=True):
            place(model, path, own[i])
            place(model, norm, with_them[i])
        yield
    finally:
        for path, norm, module, its in zip(blocks.paths, norms, own, with_them, strict=True):
            place(model, path, module)
            place(model, norm, its)


def place(model: nn.Module, path: str | None, module: nn.Module | None) -> None:
    if path is None or module is None:
        return
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent)._modules[name] = module


def moves(model: nn.Module, blocks: Blocks, example: Example) -> bool:
    """Whether swapping two blocks really changes the order they run in: a forward may also keep them elsewhere."""
    a, b = blocks.pairs[0]
    order = order_after(len(blocks.paths), [(a, b)])
    with arranged(model, blocks, order):
        try:
            calls = record_calls(model, [blocks.paths[a], blocks.paths[b]], example)
        except UsageError:
            return False
    # The hooks are on the blocks now at these positions; they run in this order if the positions decide.
    return [each.path for each in calls] == [blocks.paths[a], blocks.paths[b]]


def order_after(n: int, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The order 0 to n - 1 after these swaps, applied one after another."""
    order = list(range(n))
    for a, b in pairs:
        order[a], order[b] = order[b], order[a]
    return tuple(order)


def shuffled(blocks: Blocks, swaps: int, coin: Random) -> tuple[int, ...]:
    """The order after this many random swaps; a pair may be swapped more than once."""
    # Only random() is guaranteed to give the same numbers in every Python version.
    return order_after(len(blocks.paths), [blocks.pairs[int(coin.random() * len(blocks.pairs))] for _ in range(swaps)])


def kendall_tau(order: Sequence[int]) -> float:
    """Kendall's rank correlation with 0, 1, 2, ...: 1 if all pairs are in order, -1 if none is."""
    from scipy.stats import kendalltau

    return float(kendalltau(range(len(order)), order).statistic) if len(order) > 1 else 1.0


def within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def apart(path: str, other: str) -> bool:
    return not within(path, other) and not within(other, path)
