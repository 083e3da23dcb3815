"""Reorder blocks of one shape (Veit et al. 2016, section 4.3): swap pairs, and tell the new order from the old."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Any

from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.look.graph.example import Example, call, tensors
from reslab.look.graph.merges import Merge


@dataclass(frozen=True)
class Blocks:
    """The modules that hold a model's merges, in the order they run, and which pairs could change places."""

    paths: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    why: str  # where there are no pairs


@dataclass(frozen=True)
class Call:
    """One call of a module: what went in and came out, but for the numbers."""

    path: str
    signature: tuple[Any, ...]
    keeps_shape: bool


def find_blocks(model: nn.Module, merges: Sequence[Merge], example: Example) -> Blocks:
    """The outermost modules that hold merges; a pair takes and gives tensors of the same shapes, and runs once."""
    paths = list(dict.fromkeys(merge.module for merge in merges if merge.module))
    calls = record_calls(model, paths, example)
    times = Counter(each.path for each in calls)
    like: dict[Any, list[str]] = {}
    for each in calls:
        if each.keeps_shape and times[each.path] == 1:
            like.setdefault(each.signature, []).append(each.path)
    paired = [a for group in like.values() for a in group if any(apart(a, b) for b in group)]
    moving = outermost(paired)
    order = outermost([path for path in times if path in moving or all(apart(path, other) for other in moving)])
    place = {path: i for i, path in enumerate(order)}
    groups = [[place[path] for path in group if path in moving] for group in like.values()]
    pairs = tuple(pair for group in groups for pair in combinations(group, 2))
    blocks = Blocks(tuple(order), pairs, "" if pairs else why_not(model, merges, times))
    if pairs and not moves(model, blocks, example):
        return Blocks(tuple(order), (), f"{type(model).__name__} does not run its blocks in the order they stand")
    return blocks


def outermost(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not any(path != other and within(path, other) for other in paths)]


def why_not(model: nn.Module, merges: Sequence[Merge], times: Counter[str]) -> str:
    name = type(model).__name__
    if not merges:
        return f"{name} has no merges, so no blocks to reorder"
    if not times:
        return f"the blocks of {name} lie inline in one forward, not in modules that could change places"
    if min(times.values()) > 1:
        return f"the blocks of {name} are one module that runs {min(times.values())} times: no order to change"
    return f"no two blocks of {name} take and give tensors of the same shapes"


def record_calls(model: nn.Module, paths: Sequence[str], example: Example) -> list[Call]:
    """Every call of these modules in one pass, in order of the calls' ends."""
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
    """The value without its numbers: shapes and types of tensors, kinds of the rest."""
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return tuple((key, form(item)) for key, item in value.items())
    if isinstance(value, tuple | list):
        return tuple(form(item) for item in value)
    return type(value).__name__


@contextlib.contextmanager
def arranged(model: nn.Module, blocks: Blocks, order: Sequence[int]) -> Iterator[None]:
    """In place i stands block order[i]; at the end, after an exception too, each stands where it stood."""
    own = [model.get_submodule(path) for path in blocks.paths]
    try:
        for path, i in zip(blocks.paths, order, strict=True):
            place(model, path, own[i])
        yield
    finally:
        for path, module in zip(blocks.paths, own, strict=True):
            place(model, path, module)


def place(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent)._modules[name] = module


def moves(model: nn.Module, blocks: Blocks, example: Example) -> bool:
    """Whether a pair that changes places does run in the other order: a forward may hold its blocks elsewhere too."""
    a, b = blocks.pairs[0]
    order = swapped(len(blocks.paths), [(a, b)])
    with arranged(model, blocks, order):
        try:
            calls = record_calls(model, [blocks.paths[a], blocks.paths[b]], example)
        except UsageError:
            return False
    # Hooks went onto the blocks that stood at these places then; they run in this order if places decide.
    return [each.path for each in calls] == [blocks.paths[a], blocks.paths[b]]


def swapped(n: int, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The order 0 to n - 1 after the swaps, one after another."""
    order = list(range(n))
    for a, b in pairs:
        order[a], order[b] = order[b], order[a]
    return tuple(order)


def shuffled(blocks: Blocks, swaps: int, coin: Random) -> tuple[int, ...]:
    """The order after so many random swaps; one pair may be drawn again."""
    # Only random() is promised to give the same numbers in every Python.
    return swapped(len(blocks.paths), [blocks.pairs[int(coin.random() * len(blocks.pairs))] for _ in range(swaps)])


def kendall_tau(order: Sequence[int]) -> float:
    """Kendall's rank correlation with 0, 1, 2, ...: 1 where all pairs stand in order, -1 where none does."""
    from scipy.stats import kendalltau

    return float(kendalltau(range(len(order)), order).statistic) if len(order) > 1 else 1.0


def within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def apart(path: str, other: str) -> bool:
    return not within(path, other) and not within(other, path)
