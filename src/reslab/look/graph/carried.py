"""Skips that are changed on the way to their sum, but only scaled, gated or mixed: x times something, without weights.

A skip `scale * x` has a gain. In a gated sum (highway networks, GRU cells) it is `(1 - g) * x`, where g was computed
from x or from the branch. With hyper-connections x holds several streams, and the skip is `mix @ x`, where the matrix
may depend on x.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reslab.look.graph.questions import SAME, between, comes_from, cost, size, through_views
from reslab.look.graph.sums import Leaf, Sum
from reslab.look.graph.trace import Graph

STREAMS = 8  # the largest number of streams that a fixed matrix mixes: one of tokens or features is a layer
DEPTH = 6  # the most products in a row that are looked through
WIDENING = SAME - {"slice", "select"}


@dataclass(frozen=True)
class Carried:
    """A summand that is `source` times the gates, or a number; `mixes`: times a matrix over its streams."""

    source: int
    gates: tuple[int, ...] = ()
    numbers: bool = False
    mixes: bool = False
    negative: bool = False

    @property
    def plain(self) -> bool:
        return not self.gates and not self.numbers and not self.negative


def carried_skip(graph: Graph, found: Sum) -> tuple[int, Carried] | None:
    """(which leaf is the skip, what it carries): the earliest value from which all other summands were computed."""
    held: list[tuple[int, int, Carried]] = []
    for i, leaf in enumerate(found.leaves):
        others = [other.values for other in found.leaves if other is not leaf]
        for each in of_leaf(graph, leaf):
            x = graph.values[each.source]
            if each.plain or not (x.data and x.floating) or not allowed(graph, each):
                continue
            if all(any(comes_from(graph, v, each.source) for v in values) for values in others):
                held.append((each.source, i, each))
    first = min((source for source, _, _ in held), default=None)
    skips = [(i, each) for source, i, each in held if source == first]
    if len({i for i, _ in skips}) > 1:  # x * a + x * g(x): the gain is the skip
        skips = [(i, each) for i, each in skips if not any(graph.values[gate].data for gate in each.gates)]
    if len({i for i, _ in skips}) != 1:
        return None
    skip = skips[0][0]
    # The product of a norm is looked through, too: the fork is where the branches begin, if they still do all they do.
    rest = [leaf for i, leaf in enumerate(found.leaves) if i != skip]
    loads = {s: sum(weight(graph, s, leaf) for leaf in rest) for s in {source for source, i, _ in held if i == skip}}
    last = max(source for source, load in loads.items() if load == max(loads.values()))
    return skip, next(each for source, i, each in held if (source, i) == (last, skip))


def weight(graph: Graph, source: int, leaf: Leaf) -> int:
    return cost(graph, between(graph, source, leaf.values)).weighted


def allowed(graph: Graph, each: Carried) -> bool:
    """Whether a matrix mixes streams: it was computed from them, or it is fixed and as small as their number."""
    if not each.mixes:
        return True
    shape = graph.values[each.source].shape
    for gate in each.gates:
        matrix = graph.values[behind(graph, gate)]
        if matrix.data:
            if not comes_from(graph, gate, each.source):
                return False
        elif not (
            len(matrix.shape) >= 2
            and matrix.shape[-1] == matrix.shape[-2] <= STREAMS
            and matrix.shape[-1] in shape[1:-1]
            and matrix.shape[-1] < shape[-1]
        ):
            return False
    return True


def of_leaf(graph: Graph, leaf: Leaf) -> Iterator[Carried]:
    negative = leaf.factor is not None and leaf.factor < 0
    if len(leaf.values) > 1:  # addcmul multiplies them itself
        for i, value in enumerate(leaf.values):
            gates = tuple(v for j, v in enumerate(leaf.values) if j != i)
            yield Carried(through_views(graph, value), gates, negative=negative)
        return
    for each in of(graph, leaf.values[0], size(graph, leaf.values[0])):
        yield replace(each, negative=each.negative != negative)


def of(graph: Graph, index: int, full: int, depth: int = DEPTH) -> Iterator[Carried]:
    """All ways in which a value is another value of the same size times something."""
    if not depth:
        return
    top = through_views(graph, index)
    value = graph.values[top]
    op = value.op.removesuffix("_")
    yield Carried(top)
    if op == "neg":
        for each in of(graph, value.inputs[0], full, depth - 1):
            yield replace(each, negative=not each.negative)
    elif op in ("mul", "div"):
        turned = value.numbers.get("other", 1) < 0
        for i in value.inputs[:1] if op == "div" else value.inputs:
            if size(graph, i) != full:
                continue
            gates = tuple(j for j in value.inputs if j != i)
            for each in of(graph, i, full, depth - 1):
                negative = each.negative != turned
                yield replace(each, gates=(*each.gates, *gates), numbers=each.numbers or not gates, negative=negative)
    elif op in ("mm", "bmm"):
        yield from mixed(graph, value.inputs, full, depth - 1)
    elif op == "sum" and graph.values[value.inputs[0]].op == "mul":
        yield from mixed(graph, graph.values[value.inputs[0]].inputs, full, depth - 1)


def mixed(graph: Graph, factors: Sequence[int], full: int, depth: int) -> Iterator[Carried]:
    for i in factors:
        streams = streams_behind(graph, i, full)
        gates = tuple(j for j in factors if j != i)
        if streams is not None and gates:
            for each in of(graph, streams, full, depth):
                yield replace(each, gates=(*each.gates, *gates), mixes=True)


def streams_behind(graph: Graph, index: int, full: int) -> int | None:
    """The first value of full size behind the views of a factor: the streams may be copies of one value."""
    found = None
    while True:
        if size(graph, index) == full:
            found = index
        elif found is not None:
            return found
        if graph.values[index].op not in WIDENING or len(graph.values[index].inputs) != 1:
            return found
        index = graph.values[index].inputs[0]


def behind(graph: Graph, index: int) -> int:
    """The value behind views, also those that repeat it."""
    while graph.values[index].op in WIDENING and len(graph.values[index].inputs) == 1:
        index = graph.values[index].inputs[0]
    return index


def content(graph: Graph, leaf: Leaf, skip: Leaf) -> list[int]:
    """The factors of a gated branch from which the skip's gate was computed: they are the branch, not the skip's."""
    top = graph.values[through_views(graph, leaf.values[0])]
    factors = leaf.values if len(leaf.values) > 1 else top.inputs if top.op in ("mul", "mul_") else ()
    if len(factors) < 2:
        return []
    gate = max(factors)
    return [i for i in factors if i != gate and comes_from(graph, gate, i) and comes_from(graph, skip.values[0], i)]
