"""Every sum of tensors of one shape in a value graph: the candidates for a merge (rules 1 and 2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reslab.look.graph.questions import comes_from, followers, size, through_views
from reslab.look.graph.sites import Operand, Site
from reslab.look.graph.trace import Graph

ADDS = frozenset("add add_ sub sub_ rsub".split())
WHOLE = frozenset("lerp lerp_ addcmul addcmul_".split())  # never part of a longer sum


@dataclass(frozen=True)
class Leaf:
    """One summand: its value (two for addcmul, which multiplies them first) and its operand in the adding call."""

    values: tuple[int, ...]
    operand: Operand | None
    factor: float | None = 1  # the factor with which it is added; None: unknown


@dataclass(frozen=True)
class Sum:
    """value = leaf + leaf (+ leaf ...), and the adding call that computes it."""

    value: int
    leaves: tuple[Leaf, ...]
    site: Site | None


def find_sums(graph: Graph) -> Iterator[Sum]:
    """Every sum that is not part of a longer one, in the order of the pass."""
    pairs = {i: summands for i in range(len(graph.values)) if (summands := leaves_of(graph, i))}
    absorbed = {j for i in pairs for leaf in pairs[i] if (j := inner(graph, pairs, i, leaf)) is not None}
    for i in pairs:
        if i not in absorbed:
            yield Sum(i, tuple(flatten(graph, pairs, i)), graph.values[i].site)


def leaves_of(graph: Graph, index: int) -> tuple[Leaf, ...]:
    """The summands of one adding op; none if the shapes differ, or if it adds a scalar or integers."""
    value = graph.values[index]
    if not (value.floating and value.data and size(graph, index) > 1):
        return ()
    if value.op in ADDS and len(value.inputs) == 2:
        return fit(graph, index, [(i,) for i in value.inputs])
    if value.op in WHOLE and len(value.inputs) >= 2:
        rest = value.inputs[1:2] if value.op.startswith("lerp") else value.inputs[1:3]
        return fit(graph, index, [value.inputs[:1], rest])
    if value.op == "sum" and len(value.inputs) == 1 and graph.values[value.inputs[0]].op == "stack":
        return fit(graph, index, [(i,) for i in graph.values[value.inputs[0]].inputs])
    return ()


def fit(graph: Graph, index: int, groups: list[tuple[int, ...]]) -> tuple[Leaf, ...]:
    shape, site = graph.values[index].shape, stack_site(graph, index)
    if len(groups) < 2 or any(graph.values[group[0]].shape != shape for group in groups):
        return ()
    added = graph.added.get(site, ()) if site else ()
    # A value may be added to itself, so positions come from the call's own operands.
    places = [added.index(group[0]) if group[0] in added else None for group in groups]
    return tuple(
        Leaf(group, Operand(site, place) if site and place is not None else None, factor)
        for group, place, factor in zip(groups, places, factors(graph, index, len(groups)), strict=True)
    )


def factors(graph: Graph, index: int, n: int) -> tuple[float | None, ...]:
    """The factor of each of the n summands."""
    value = graph.values[index]
    alpha = value.numbers.get("alpha", 1)
    match value.op.removesuffix("_"):
        case "add":
            return 1, alpha
        case "sub":
            return 1, -alpha
        case "rsub":
            return -alpha, 1
        case "lerp":
            return None, None
    return (1,) * n


def stack_site(graph: Graph, index: int) -> Site | None:
    """The call that takes the summands: the adding call, or the stack before a sum."""
    value = graph.values[index]
    return graph.values[value.inputs[0]].site if value.op == "sum" else value.site


def inner(graph: Graph, pairs: dict[int, tuple[Leaf, ...]], index: int, leaf: Leaf) -> int | None:
    """The sum that this summand is, if both together form one longer sum.

    That is so if nothing else uses the summand and it is not a merge itself. x + a(x) is a merge itself unless the
    other summands come from x too: (x + a(x)) + b(x) is one merge with two branches; y + (h + f(h)) is two merges, one
    within the other.
    """
    if graph.values[index].op in WHOLE or len(leaf.values) > 1:
        return None
    at = leaf.values[0]
    end = through_views(graph, at)
    while True:
        if len(followers(graph, at)) != 1:
            return None
        if at == end:
            break
        at = graph.values[at].inputs[0]
    if end not in pairs or graph.values[end].op in WHOLE:
        return None
    own = identity_skip(graph, [leaf.values for leaf in flatten(graph, pairs, end)])
    others = [other.values[0] for other in pairs[index] if other is not leaf]
    return end if own is None or all(comes_from(graph, other, own) for other in others) else None


def identity_skip(graph: Graph, leaves: Sequence[tuple[int, ...]]) -> int | None:
    """The earliest summand from which another one was computed."""
    tops = [through_views(graph, leaf[0]) if len(leaf) == 1 else None for leaf in leaves]
    found = [
        top
        for top in tops
        if top is not None
        and any(
            comes_from(graph, v, top) for other, leaf in zip(tops, leaves, strict=True) if other != top for v in leaf
        )
    ]
    return min(found, default=None)


def flatten(graph: Graph, pairs: dict[int, tuple[Leaf, ...]], index: int) -> Iterator[Leaf]:
    for leaf in pairs[index]:
        deeper = inner(graph, pairs, index, leaf)
        if deeper is None:
            yield leaf
            continue
        for each in flatten(graph, pairs, deeper):
            unknown = each.factor is None or leaf.factor is None
            yield replace(each, factor=None if unknown else each.factor * leaf.factor)  # type: ignore[operator]


def gated(graph: Graph, found: Sum) -> int | None:
    """The x in t * f(x) + c * x: the earliest factor of a summand from which all other summands were computed."""
    held = []
    for leaf in found.leaves:
        others = [other.values for other in found.leaves if other is not leaf]
        product = graph.values[leaf.values[0]]
        for factor in leaf.values if len(leaf.values) > 1 else product.inputs if product.op in ("mul", "mul_") else ():
            top = through_views(graph, factor)
            if graph.values[top].data and all(any(comes_from(graph, i, top) for i in other) for other in others):
                held.append(top)
    return min(held, default=None)


def nearest_common(graph: Graph, found: Sum) -> int | None:
    """The latest value that depends on the example and from which all leaves were computed."""
    bits = -1
    for leaf in found.leaves:
        above = 0
        for i in leaf.values:
            above |= graph.values[i].above
        bits &= above
    while bits > 0:
        top = bits.bit_length() - 1
        if graph.values[top].data:
            return top
        bits ^= 1 << top
    return None
