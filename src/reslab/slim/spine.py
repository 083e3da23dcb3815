"""What a block still does to its input with its residual connections disabled, by the value graph and not by numbers.

A clamp that no number of a small example reaches leaves that example as it is, and cuts off others. So every op on the
way from the block's input past its additions to its output counts, unless it provably changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from torch import nn

from reslab.look.graph.cuts import within
from reslab.look.graph.example import Example
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.questions import MOVING, between, clip, comes_from, limits
from reslab.look.graph.shapes import graph_of
from reslab.look.graph.sites import Site
from reslab.look.graph.trace import Graph
from reslab.slim.candidates import Candidate


@dataclass(frozen=True)
class Remaining:
    """An op that stays when the branches are gone, and may change numbers."""

    op: str
    path: str  # the module that computes it
    relu: bool  # whether it cuts off what is negative, and does nothing else


def spines(
    model: nn.Module, example: Example, found: Sequence[Candidate], *, values: bool
) -> dict[str, list[Remaining]]:
    """What remains of each candidate, in order. `values`: the model does not run on shapes alone."""
    with as_it_was(model):
        graph, _, _ = graph_of(model, example, values=values)
    sums = {value.site: i for i, value in enumerate(graph.values) if value.site is not None}
    return {each.module: remaining(graph, each, sums) for each in found}


def remaining(graph: Graph, each: Candidate, sums: dict[Site, int]) -> list[Remaining]:
    """The ops from its input to the first skip, from each sum to the next skip, and from the last sum to its output."""
    at, out = graph.calls.get(each.module, (None, None))
    before, left = at, list[Remaining]()
    for merge in each.merges:
        if merge.skip is None or merge.out is None:
            continue
        skip = graph.added[merge.skip.site][merge.skip.position]
        left += changing(graph, at, skip, like=before)
        at, before = sums.get(merge.out), skip
    return left + changing(graph, at, out, like=before)


def changing(graph: Graph, start: int | None, end: int | None, *, like: int | None) -> list[Remaining]:
    """The ops from one value to another that may change numbers, if at the start are those of the value `like`."""
    if start is None or end is None or like is None or start == end or not comes_from(graph, end, start):
        return []
    found = []
    low, high = limits(graph, like)
    for i in between(graph, start, [end]):
        value = graph.values[i]
        if value.op in MOVING or not value.floating:
            continue
        bounds = clip(value)
        if bounds is not None and bounds[0] <= low and high <= bounds[1]:
            continue
        found.append(Remaining(value.op, value.path, bounds == (0, inf)))
        low, high = limits(graph, i)
    return found


def stays(left: Sequence[Remaining], names: Sequence[str]) -> bool:
    """Whether these modules, run in order, do all that remains; the last of them may be "relu"."""
    outside = [each for each in left if not any(within(each.path, name) for name in names if name != "relu")]
    if "relu" not in names:
        return not outside
    return len(outside) == 1 and outside[0] is left[-1] and outside[0].relu
