"""Find every residual connection (a merge: skip + branch) of any model by running it once.

A merge is a sum of tensors of one shape in which the other summands were computed from one of them by ops that apply
weights. The model only has to run: no hook points, no naming rules, no symbolic tracing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, overload

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from reslab.errors import UsageError
from reslab.look.graph.cuts import verdict, within
from reslab.look.graph.example import Example, as_it_was, batch_size, describe
from reslab.look.graph.questions import between, comes_from, cost, only_scales, stands_alone, through_views, weighted
from reslab.look.graph.sites import Operand, Site
from reslab.look.graph.sums import Sum, find_sums, gated, identity_skip, nearest_common
from reslab.look.graph.trace import Graph, trace

Kind = Literal["identity", "projection", "sum"]
HIDING = frozenset("addmm addbmm baddbmm addmv index_add scatter_add".split())


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One residual connection: out = skip + branch (+ branch ...)."""

    index: int
    module: str  # the smallest module that contains the branch and the addition; "" is the model itself
    path: str  # the module whose forward does the addition
    kind: Kind
    before: tuple[int, ...]  # shape of the value at the fork of skip and branch
    shape: tuple[int, ...]  # shape of the sum
    depth: int  # how many other merges contain it in a branch
    parent: int | None  # the innermost of these
    params: int  # number of parameters in the branches
    macs: int  # multiply-adds of the branches for the example
    shortcut_params: int  # number of parameters in a projection
    cuttable: bool  # whether the branch can be removed permanently, leaving the identity
    why: str  # the reason why it is cuttable or not
    named: bool  # named by the user: edited at the module's input and output
    skip: Operand | None
    branches: tuple[Operand, ...]
    out: Site | None  # None: hidden in a fused function, where it cannot be edited

    @property
    def reachable(self) -> bool:
        """Whether it can be edited."""
        return self.out is not None


@dataclass(frozen=True)
class Merges(Sequence[Merge]):
    """The merges of a model in forward order; also its sums of equal terms, and notes."""

    model: str
    batch: int  # batch size of the example
    merges: tuple[Merge, ...]
    sums: tuple[Merge, ...]
    notes: tuple[str, ...]

    @overload
    def __getitem__(self, i: int) -> Merge: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Merge, ...]: ...
    def __getitem__(self, i: int | slice) -> Merge | tuple[Merge, ...]:
        return self.merges[i]

    def __len__(self) -> int:
        return len(self.merges)

    def __iter__(self) -> Iterator[Merge]:
        return iter(self.merges)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """A merge before it is numbered: the values of its sum, branches and projection, and its facts."""

    value: int
    region: frozenset[int]
    shortcut: frozenset[int]
    facts: dict[str, Any]


def find(model: nn.Module, example: Example, *, modules: Sequence[str] = ()) -> Merges:
    """Every residual connection of `model`, in order, found by one forward pass of `example` in eval mode.

    `example` is a tensor, a tuple of arguments or a dict of keyword arguments; FakeTensors and meta tensors work too.
    `modules` are paths of modules that are merges although their addition cannot be seen (a fused kernel): they count
    as out = x + (out - x). Raises UsageError if the model does not accept the example or has no such module.
    """
    model = plain(model)
    if not batch_size(example):
        raise UsageError(f"{describe(example)} has no samples")
    with as_it_was(model):
        graph = trace(model, example)
    found = find_in(graph) + named(graph, model, modules)
    numbered = nest(sorted(found, key=lambda each: each.value))
    sums = nest(find_in(graph, sums=True))
    return Merges(type(model).__name__, batch_size(example), numbered, sums, tuple(remarks(graph, model, numbered)))


def find_in(graph: Graph, *, sums: bool = False) -> list[Found]:
    """The merges of a value graph in order, or its sums of equal terms."""
    judged = (classify(graph, each) for each in find_sums(graph))
    return [each for each in judged if each is not None and (each.facts["kind"] == "sum") == sums]


def plain(model: nn.Module) -> nn.Module:
    """The model without torch.compile's wrapper, which cannot be traced. Raises UsageError for an unusable model."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"the model must be a torch.nn.Module, got {getattr(model, '__name__', type(model).__name__)}")
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError("a TorchScript model cannot be traced: use the Python model from which it was made")
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        raise UsageError(
            f"{type(model).__name__} has lazy layers whose weights do not exist yet: run the model once first"
        )
    return getattr(model, "_orig_mod", model)


def classify(graph: Graph, found: Sum) -> Found | None:
    """The skip and branches of a sum (rule 3); None if the sum is no residual connection."""
    leaves = found.leaves
    fork = fork_of(graph, found)
    if fork is None:
        return None
    source, skip, kind = fork
    regions = {i: between(graph, source, leaf.values) for i, leaf in enumerate(leaves) if i != skip}
    branches = [i for i, region in regions.items() if any(weighted(graph, v) for v in region)]
    if not branches:
        return None
    if kind == "identity" and (leaves[skip].factor or 1) < 0:
        return None  # f(x) - x is a difference, not a merge
    region = sorted({v for i in branches for v in regions[i]})
    shortcut = between(graph, source, leaves[skip].values)
    path, load = graph.values[found.value].path, cost(graph, region, graph.values[source].weights)
    operands = [operand for i in branches if (operand := leaves[i].operand) is not None]
    reached = found.site is not None and leaves[skip].operand is not None and len(operands) == len(branches)
    parts = [leaves[i] for i in branches]
    cuttable, why = verdict(graph, found.value, leaves[skip], parts, source, region, kind)
    facts = {
        "module": common_path([path, *(graph.values[v].path for v in region if weighted(graph, v))]),
        "path": path,
        "kind": kind,
        "before": graph.values[source].shape,
        "shape": graph.values[found.value].shape,
        "params": load.params,
        "macs": load.macs,
        "shortcut_params": cost(graph, shortcut).params,
        "cuttable": cuttable and reached,
        "why": why if reached else "its addition is hidden in a fused function",
        "named": False,
        "skip": leaves[skip].operand if reached else None,
        "branches": tuple(operands) if reached else (),
        "out": found.site if reached else None,
    }
    return Found(found.value, frozenset(region), frozenset(shortcut), facts)


def fork_of(graph: Graph, found: Sum) -> tuple[int, int, Kind] | None:
    """Where the leaves of a sum fork: (the value, which leaf is the skip, the kind of skip)."""
    leaves = found.leaves
    top = identity_skip(graph, [leaf.values for leaf in leaves])
    if top is not None:
        return top, next(i for i, leaf in enumerate(leaves) if through_views(graph, leaf.values[0]) == top), "identity"
    for source, gate in ((nearest_common(graph, found), False), (gated(graph, found), True)):
        if source is None:
            return None
        loads = [cost(graph, between(graph, source, leaf.values)).weighted for leaf in leaves]
        if max(loads):
            skip = loads.index(min(loads))
            side = between(graph, source, leaves[skip].values)
            equal = max(loads) == min(loads) or only_scales(graph, side) or not stands_alone(graph, source, side)
            return None if equal and gate else (source, skip, "sum" if equal else "projection")
    return None


def named(graph: Graph, model: nn.Module, paths: Sequence[str]) -> list[Found]:
    """The modules that the user named as merges."""
    found = []
    known = dict(model.named_modules(remove_duplicate=False))
    for path in paths:
        if path not in known:
            raise UsageError(f"the model has no module {path!r} to treat as a residual connection")
        source, out = graph.calls.get(path, (None, None))
        if source is None or out is None or source == out:
            raise UsageError(f"module {path!r} does not compute a tensor from a tensor for this example")
        before, shape = graph.values[source].shape, graph.values[out].shape
        if before != shape:
            raise UsageError(f"module {path!r} is not a residual connection: it maps {list(before)} to {list(shape)}")
        inside = [i for i in between(graph, source, [out]) if within(graph.values[i].path, path)]
        load = cost(graph, inside)
        facts: dict[str, Any] = {"module": path, "path": path, "kind": "identity", "before": before, "shape": shape}
        facts |= {"params": load.params, "macs": load.macs, "shortcut_params": 0, "cuttable": True}
        facts |= {"why": "named by you: the whole module can be removed", "named": True, "skip": None, "branches": ()}
        found.append(Found(out, frozenset(inside) - {out}, frozenset(), {**facts, "out": Site(path, 0)}))
    return found


def hidden(graph: Graph) -> Iterator[tuple[str, str]]:
    """Where a single op computes a branch, or part of one, and adds it to the skip: (module, op)."""
    for i, value in enumerate(graph.values):
        first, rest = value.inputs[:1], value.inputs[1:]
        if value.op.removesuffix("_") in HIDING and first and graph.values[first[0]].shape == value.shape:
            skip = through_views(graph, first[0])
            if graph.values[skip].data and (len(rest) < 2 or any(comes_from(graph, j, skip) for j in rest)):
                yield graph.values[i].path, value.op


def nest(found: Sequence[Found]) -> tuple[Merge, ...]:
    """Number the merges and record which lie in the branches of others."""
    merges = []
    for i, each in enumerate(found):
        around = [j for j, other in enumerate(found) if j != i and each.value in other.region]
        parent = min(around, key=lambda j: len(found[j].region), default=None)
        merges.append(Merge(index=i, depth=len(around), parent=parent, **each.facts))
    return tuple(merges)


def common_path(paths: Sequence[str]) -> str:
    """The longest module path that contains all of them."""
    shared = []
    for names in zip(*(path.split(".") if path else [] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)


def remarks(graph: Graph, model: nn.Module, merges: Sequence[Merge]) -> Iterator[str]:
    """Notes for the reader of the list."""
    if not merges:
        joins = sum(v.op == "cat" and sum(graph.values[i].data for i in v.inputs) > 1 for v in graph.values)
        places = f" (it concatenates tensors in {joins} place{'s' * (joins > 1)})" if joins else ""
        yield (
            f"no residual connection was recognized in {type(model).__name__}{places}: no sum of a skip and a branch "
            "with weights was found"
        )
    for op in sorted(graph.foreign):
        yield f"{op} is a custom op and may hide an addition; if it does, name its module as a merge"
    for path, op in dict.fromkeys(hidden(graph)):
        yield f"{op} in {path or 'the model'} adds a branch to its skip inside one op; name its module as a merge"
    for merge in merges:
        if not merge.reachable:
            yield f"merge {merge.index} ({merge.module}) cannot be edited: its addition is hidden in a fused function"
