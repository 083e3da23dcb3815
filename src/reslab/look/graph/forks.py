"""Which summand of a sum is the skip, and which are branches: where they fork (rule 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reslab.look.graph.cuts import verdict
from reslab.look.graph.questions import between, cost, only_scales, stands_alone, through_views, weighted
from reslab.look.graph.sums import Sum, gated, identity_skip, nearest_common
from reslab.look.graph.trace import Graph

Kind = Literal["identity", "projection", "sum"]
SKIP = -1  # the number of the skip among a merge's sides; its branches are 0, 1, ...


@dataclass(frozen=True)
class Found:
    """A merge before it is numbered: the values of its sum, branches and projection, and its facts."""

    value: int
    branches: tuple[frozenset[int], ...]  # the values of each branch
    shortcut: frozenset[int]
    facts: dict[str, Any]

    @property
    def region(self) -> frozenset[int]:
        """The values of all branches."""
        return frozenset().union(*self.branches)

    def sides(self, value: int) -> tuple[int, ...]:
        """The sides of the merge on which a value lies."""
        return tuple(i for i, side in [*enumerate(self.branches), (SKIP, self.shortcut)] if value in side)


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
        "fork": graph.values[source].site or graph.values[source].place,
    }
    return Found(found.value, tuple(frozenset(regions[i]) for i in branches), frozenset(shortcut), facts)


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


def common_path(paths: Sequence[str]) -> str:
    """The longest module path that contains all of them."""
    shared = []
    for names in zip(*(path.split(".") if path else [] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)
