"""Find every residual connection (a merge: skip + branch) of any model by running it once.

A merge is a sum of tensors of one shape in which the other summands were computed from one of them by ops that apply
weights. The model only has to run: no hook points, no naming rules, no symbolic tracing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, overload

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from reslab.errors import UsageError, nearest
from reslab.look.graph.checks import misses, wrong
from reslab.look.graph.cuts import within
from reslab.look.graph.example import Example, batch_size, describe
from reslab.look.graph.forks import Found, Kind, classify
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.questions import between, cost
from reslab.look.graph.remarks import remarks
from reslab.look.graph.shapes import FoundOn, graph_of
from reslab.look.graph.sites import Operand, Place, Site
from reslab.look.graph.sums import biases, find_sums
from reslab.look.graph.trace import Graph
from reslab.look.shown import Row, Shown, flat


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One residual connection: out = skip + branch (+ branch ...)."""

    index: int
    module: str  # the smallest module that contains the branch and the addition; "" is the model itself
    path: str  # the module whose forward does the addition
    kind: Kind
    before: tuple[int, ...]  # shape of the value at the fork of skip and branch
    shape: tuple[int, ...]  # shape of the sum
    depth: int  # how many other merges contain it, in a branch or in a projection on the skip
    parent: int | None  # the innermost of these
    sides: tuple[int, ...]  # where in the parent it lies: the numbers of its branches there, and SKIP
    params: int  # number of parameters in the branches
    macs: int  # multiply-adds of the branches for the example
    shortcut_params: int  # number of parameters in a projection
    cuttable: bool  # whether the branch can be removed permanently, leaving the identity
    why: str  # the reason why it is cuttable or not
    named: bool  # named by the user: edited at the module's input and output
    skip: Operand | None
    branches: tuple[Operand, ...]
    out: Site | None  # None: hidden in a fused function, where it cannot be edited
    fork: Site | Place | None = None  # what computed the value at the fork

    @property
    def reachable(self) -> bool:
        """Whether it can be edited."""
        return self.out is not None


@dataclass(frozen=True, repr=False)
class Merges(Shown, Sequence[Merge]):
    """The merges of a model in forward order; also its sums of equal terms, and notes.

    merges[3], merges["layer1.0"]: a merge by index, or by the module that adds it. Raises UsageError for a module that
    adds none or several.
    """

    model: str
    batch: int  # batch size of the example
    merges: tuple[Merge, ...]
    sums: tuple[Merge, ...]
    notes: tuple[str, ...]
    found_on: FoundOn = "values"  # whether shapes were enough for the pass, or the example's values were needed

    FACTS = ("model", "batch")
    DRAWN = ("params", "macs")

    def rows(self) -> list[Row]:
        """A row per merge."""
        return [flat(one, ("index", "module", "kind", "depth", "shape", "params", "macs", "cuttable"))
                for one in self.merges]  # fmt: skip

    @overload
    def __getitem__(self, i: int | str) -> Merge: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Merge, ...]: ...
    def __getitem__(self, i: int | str | slice) -> Merge | tuple[Merge, ...]:
        if isinstance(i, str):
            index = index_of(i, self.merges)
            return next(one for one in self.merges if one.index == index)
        return self.merges[i]

    def __len__(self) -> int:
        return len(self.merges)

    def __iter__(self) -> Iterator[Merge]:
        return iter(self.merges)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def index_of(name: str, merges: Sequence[Merge]) -> int:
    """The index of the merge that the module `name` adds. Raises UsageError if it adds none, or several."""
    found = [merge.index for merge in merges if name in (merge.module, merge.path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"module {name!r} adds {len(found)} merges: name one by its index, {found[0]} to {found[-1]}")
    names = [merge.module for merge in merges]
    raise UsageError(f"no merge is added by a module {name!r}{nearest(name, names)}")


def find(model: nn.Module, example: Example, *, modules: Sequence[str] = (), values: bool = False) -> Merges:
    """Every residual connection of `model`, in order, found by one forward pass of `example` in eval mode.

    The pass runs on shapes alone (fake tensors: no memory, no arithmetic), and on the example's values if the model
    cannot run without them or if `values` is True; `found_on` of the result says which. A second pass checks that
    skip + branches = out at each of them, if the tensors hold numbers.
    `example` is a tensor, a tuple of arguments or a dict of keyword arguments; FakeTensors and meta tensors work too.
    `modules` are paths of modules that are merges although their addition cannot be seen (a fused kernel): they count
    as out = x + (out - x). Raises UsageError if the model does not accept the example or has no such module.
    """
    model = plain(model)
    if not batch_size(example):
        raise UsageError(f"{describe(example)} has no samples")
    with as_it_was(model):
        graph, found_on, why = graph_of(model, example, values=values)
    found = find_in(graph) + named(graph, model, modules)
    numbered = nest(sorted(found, key=lambda each: each.value))
    far = misses(model, example, list(numbered))
    if far and found_on == "shapes":  # the model may compute something else where there are no values
        return find(model, example, modules=modules, values=True)
    numbered = tuple(replace(m, cuttable=False, why=wrong(far, m.index)) if m.index in far else m for m in numbered)
    sums = nest(sorted(find_in(graph, sums=True), key=lambda each: each.value))
    name, hidden = type(model).__name__, (merge for merge in numbered if not merge.reachable)
    notes = [
        *remarks(graph, name, merges=len(numbered), sums=[each.module for each in sums]),
        *(f"merge {m.index} ({m.module}) cannot be edited: {m.why}" for m in hidden),
        *(f"merge {m.index} ({m.module}) cannot be trusted: {m.why}" for m in numbered if m.index in far),
        *([f"found in a pass with values, because the model does not run on shapes alone ({why})"] if why else []),
    ]
    return Merges(name, batch_size(example), numbered, sums, tuple(notes), found_on)


def find_in(graph: Graph, *, sums: bool = False) -> list[Found]:
    """The merges of a value graph in order, or its sums of equal terms."""
    added = list(find_sums(graph))
    shared = biases(graph, added)
    judged = [found for each in added if each.value not in shared and (found := classify(graph, each)) is not None]
    merges = [each for each in judged if each.facts["kind"] != "sum"]
    # g(x + y) x + (1 - g) y adds x and y for its gate only.
    gates = {each.value for each in merges for o in merges if each.ends <= o.gated and each.value in o.region}
    merges = [each for each in merges if each.value not in gates]
    outer = [each for each in merges if not each.part]
    inner = [each for each in merges if each.part and any(each.value in other.region for other in outer)]
    if sums:
        return [each for each in judged if each.facts["kind"] == "sum"] + [as_sum(each) for each in inner]
    return [each for each in merges if each not in inner]


def as_sum(found: Found) -> Found:
    why = "its skip has a gain or gate, but it lies in the branch of another residual connection, as a part of it"
    return replace(found, facts={**found.facts, "kind": "sum", "cuttable": False, "why": why})


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
        found.append(Found(out, (frozenset(inside) - {out},), frozenset(), {**facts, "out": Site(path, 0)}))
    return found


def nest(found: Sequence[Found]) -> tuple[Merge, ...]:
    """Number the merges and record which lie in others, and on which of their sides."""
    merges = []
    for i, each in enumerate(found):
        around = {j: sides for j, other in enumerate(found) if j != i and (sides := other.sides(each.value))}
        # Of two that contain it, the inner one is computed first.
        parent = min(around, default=None)
        sides = () if parent is None else around[parent]
        merges.append(Merge(index=i, depth=len(around), parent=parent, sides=sides, **each.facts))
    return tuple(merges)
