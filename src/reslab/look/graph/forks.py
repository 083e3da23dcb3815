"""Which summand of a sum is the skip, and which are branches: where they fork (rule 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reslab.look.graph.carried import carried_skip, content
from reslab.look.graph.cuts import verdict
from reslab.look.graph.joins import end_of
from reslab.look.graph.questions import (
    MOVING,
    affine,
    between,
    carries_numbers,
    comes_from,
    cost,
    stands_alone,
    through_views,
    weighted,
    works,
)
from reslab.look.graph.sums import Leaf, Sum, identity_skip, nearest_common
from reslab.look.graph.trace import Graph

Kind = Literal["identity", "scaled", "projection", "mixed", "sum"]
SKIP = -1  # the number of the skip among a merge's sides; its branches are 0, 1, ...


@dataclass(frozen=True)
class Found:
    """A merge before it is numbered: the values of its sum, branches and projection, and its facts."""

    value: int
    branches: tuple[frozenset[int], ...]  # the values of each branch
    shortcut: frozenset[int]
    facts: dict[str, Any]
    part: bool = False  # whether, in the branch of another merge, it is but a part of that branch
    ends: frozenset[int] = frozenset()  # what its branches add
    gated: frozenset[int] = frozenset()  # what its branches multiply by a gate that was computed from it

    @property
    def region(self) -> frozenset[int]:
        """The values of all branches."""
        return frozenset().union(*self.branches)

    def sides(self, value: int) -> tuple[int, ...]:
        """The sides of the merge on which a value lies."""
        return tuple(i for i, side in [*enumerate(self.branches), (SKIP, self.shortcut)] if value in side)


@dataclass(frozen=True)
class Fork:
    """Where the leaves of a sum fork, which of them is the skip, and what becomes of it."""

    source: int
    skip: int
    kind: Kind
    part: bool = False  # whether, in the branch of another merge, it is but a part of that branch


def classify(graph: Graph, found: Sum) -> Found | None:
    """The skip and branches of a sum (rule 3); None if the sum is no residual connection."""
    leaves = found.leaves
    fork = fork_of(graph, found)
    if fork is None:
        return None
    source, skip, kind = fork.source, leaves[fork.skip], fork.kind
    if (skip.factor or 1) < 0:
        return None  # f(x) - x is a difference, not a merge
    parts = [leaf for i, leaf in enumerate(leaves) if i != fork.skip]  # what is not the skip is a branch
    regions = [between(graph, source, leaf.values) for leaf in parts]
    if kind == "sum" and not any(weighted(graph, v) for region in regions for v in region):
        return None
    if not any(does(graph, source, region) for region in regions):
        return None
    region = sorted({v for region in regions for v in region})
    shortcut = shortcut_of(graph, source, skip, parts)
    path, load = graph.values[found.value].path, cost(graph, region, graph.values[source].weights)
    operands = [leaf.operand for leaf in parts if leaf.operand is not None]
    reached = found.site is not None and skip.operand is not None and len(operands) == len(parts)
    cuttable, why = verdict(graph, found.value, skip, parts, source, region, kind)
    facts = {
        "module": common_path([path, *(graph.values[v].path for v in region if weighted(graph, v))]),
        "path": path,
        "kind": kind,
        "before": graph.values[source].shape,
        "shape": graph.values[end_of(graph, found.value)].shape,
        "params": load.params,
        "macs": load.macs,
        "shortcut_params": cost(graph, shortcut).params,
        "cuttable": cuttable and reached,
        "why": why if reached else out_of_reach(found),
        "named": False,
        "skip": skip.operand if reached else None,
        "branches": tuple(operands) if reached else (),
        "out": found.site if reached else None,
        "fork": graph.values[source].site or graph.values[source].place,
    }
    ends = frozenset(through_views(graph, i) for leaf in parts for i in leaf.values)
    gated = frozenset(through_views(graph, i) for leaf in parts for i in content(graph, leaf, skip))
    return Found(found.value, tuple(map(frozenset, regions)), frozenset(shortcut), facts, fork.part, ends, gated)


def fork_of(graph: Graph, found: Sum) -> Fork | None:
    """The skip among the leaves: one from which the others were computed, one that only scales, gates or mixes the
    value from which they were, or the one with fewer weights."""
    leaves = found.leaves
    top = identity_skip(graph, [leaf.values for leaf in leaves])
    if top is not None:
        skip = next(
            i for i, leaf in enumerate(leaves) if len(leaf.values) == 1 and through_views(graph, leaf.values[0]) == top
        )
        return Fork(top, skip, "identity" if leaves[skip].factor == 1 else "scaled")
    found_skip = carried_skip(graph, found)
    if found_skip is not None:
        skip, carried = found_skip
        gates = [graph.values[gate] for gate in carried.gates]
        gated = any(gate.data for gate in gates)
        if carried.negative:
            return None
        kind: Kind = "mixed" if carried.mixes else "projection" if gated else "scaled"
        # D x of a state-space layer, or gates that were computed from other values, as in focal modulation.
        foreign = any(graph.values[i].data and not comes_from(graph, i, carried.source) for i in carried.gates)
        part = foreign or (kind == "scaled" and any(gate.weights for gate in gates))
        regions = [between(graph, carried.source, leaf.values) for i, leaf in enumerate(leaves) if i != skip]
        if any(does(graph, carried.source, region) for region in regions):
            return Fork(carried.source, skip, kind, part)
    return projection(graph, found)


def out_of_reach(found: Sum) -> str:
    """Why a merge cannot be edited."""
    if found.site is not None and all(leaf.operand is None for leaf in found.leaves):
        return "its terms are weighted after they are joined, so what is added of each cannot be read"
    return "its addition is hidden in a fused function"


def does(graph: Graph, source: int, region: Sequence[int]) -> bool:
    """Whether a side is more than a matter of single numbers (rule 4)."""
    return any(weighted(graph, v) for v in region) or works(graph, source, region)


def projection(graph: Graph, found: Sum) -> Fork | None:
    """The side with fewer weights is the skip; equal sides, or sides without a nonlinearity, are a sum."""
    leaves = found.leaves
    source = nearest_common(graph, found.leaves)
    if source is None:
        return None
    sides = [between(graph, source, leaf.values) for leaf in leaves]
    loads = [cost(graph, side).weighted for side in sides]
    if not max(loads):
        return None
    skip = loads.index(min(loads))
    equal = max(loads) == min(loads) or not stands_alone(graph, source, sides[skip])
    equal = equal or not carries_numbers(graph, source, leaves[skip].values)
    if not equal and any(graph.values[i].op not in MOVING for i in sides[skip]):  # no padding, no slice
        equal = all(affine(graph, source, side) for side in sides)
    return Fork(source, skip, "sum" if equal else "projection")


def shortcut_of(graph: Graph, source: int, skip: Leaf, branches: Sequence[Leaf]) -> set[int]:
    """The values on the way from the fork to the skip, without those of a branch from which its gate was computed."""
    own = set(between(graph, source, skip.values))
    for leaf in branches:
        own.difference_update(between(graph, source, content(graph, leaf, skip)))
    return own


def common_path(paths: Sequence[str]) -> str:
    """The longest module path that contains all of them."""
    shared = []
    for names in zip(*(path.split(".") if path else [] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)
