"""Every sum of tensors of one shape in a value graph: the candidates for a merge (rules 1 and 2)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from reslab.look.graph.joins import PRODUCTS, axis_of, contracted, end_of
from reslab.look.graph.questions import SAME, affine, between, comes_from, followers, size, through_views, weighted
from reslab.look.graph.sites import Operand, Site
from reslab.look.graph.trace import Graph

ADDS = frozenset("add add_ sub sub_ rsub add_relu".split())
WHOLE = frozenset("lerp lerp_ addcmul addcmul_ addcdiv addcdiv_".split())  # never part of a longer sum
MASKS = frozenset({"masked_fill", "where"})  # not all of their overloads are tagged as pointwise


@dataclass(frozen=True)
class Leaf:
    """One summand: its value (two for addcmul and addcdiv, which compute it) and its operand in the adding call."""

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


def biases(graph: Graph, sums: Sequence[Sum]) -> set[int]:
    """The sums that add one value to the attention scores of several layers, such as a bias by relative position.

    Later scores depend on it through earlier layers, and yet it is no skip.
    """
    scores = [each for each in sums if into_softmax(graph, each.value)]
    tops = [{through_views(graph, leaf.values[0]) for leaf in each.leaves if len(leaf.values) == 1} for each in scores]
    times = Counter(top for found in tops for top in found)
    return {each.value for each, found in zip(scores, tops, strict=True) if any(times[top] > 1 for top in found)}


def into_softmax(graph: Graph, index: int) -> bool:
    """Whether a value goes into a softmax and nowhere else, perhaps masked or scaled before; truth values of it may."""
    while len(users := [i for i in followers(graph, index) if graph.values[i].floating]) == 1:
        before, index = index, users[0]
        value = graph.values[index]
        if value.op in ("_softmax", "_safe_softmax"):
            return True
        masks = value.pointwise or value.op.removesuffix("_") in MASKS
        if value.op not in SAME and not (masks and size(graph, index) == size(graph, before)):
            return False
    return False


def leaves_of(graph: Graph, index: int) -> tuple[Leaf, ...]:
    """The summands of one adding op; none if the shapes differ, or if it adds a scalar or integers."""
    value = graph.values[index]
    if not (value.floating and value.data and size(graph, index) > 1) or (value.within and value.site is None):
        return ()
    if value.op in ADDS and len(value.inputs) == 2:
        return fit(graph, index, [(i,) for i in value.inputs])
    if value.op in WHOLE and len(value.inputs) >= 2:
        rest = value.inputs[1:2] if value.op.startswith("lerp") else value.inputs[1:3]
        return fit(graph, index, [value.inputs[:1], rest])
    return of_joined(graph, index)


def fit(graph: Graph, index: int, groups: list[tuple[int, ...]]) -> tuple[Leaf, ...]:
    shape, site = graph.values[index].shape, graph.values[index].site
    if len(groups) < 2 or any(graph.values[group[0]].shape != shape for group in groups):
        return ()
    return placed(graph, site, groups, factors(graph, index, len(groups)))


def placed(
    graph: Graph, site: Site | None, groups: list[tuple[int, ...]], factors: Sequence[float | None]
) -> tuple[Leaf, ...]:
    """The leaves with their operands in the call at a site."""
    added = graph.added.get(site, ()) if site else ()
    # A value may be added to itself, so positions come from the call's own operands.
    places = [added.index(group[0]) if group[0] in added else None for group in groups]
    return tuple(
        Leaf(group, Operand(site, place, factor) if site and place is not None else None, factor)
        for group, place, factor in zip(groups, places, factors, strict=True)
    )


def of_joined(graph: Graph, index: int) -> tuple[Leaf, ...]:
    """The summands of a sum, mean or product over a dimension along which tensors were joined before."""
    found = contracted(graph, index)
    if found is None:
        return ()
    join, weights = found
    if any(comes_from(graph, i, join) for i in weights):
        return ()  # attention over what was joined: without one of them, all weights are others
    value = graph.values[join]
    shape = list(value.shape)
    del shape[axis_of(value)]
    if list(graph.values[end_of(graph, index)].shape) != shape:
        return ()
    factor = None if weights else 1 / len(value.inputs) if graph.values[index].op == "mean" else 1
    # What is weighted after the join can be disabled, but not read: it is not known what was added of it.
    site = None if weights else value.site
    return placed(graph, site, [(i,) for i in value.inputs], [factor] * len(value.inputs))


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


def inner(graph: Graph, pairs: dict[int, tuple[Leaf, ...]], index: int, leaf: Leaf) -> int | None:
    """The sum that this summand is, if both together form one longer sum.

    That is so if nothing else uses the summand and it is not a merge itself. x + a(x) is a merge itself unless the
    other summands come from x too: (x + a(x)) + b(x) is one merge with two branches; y + (h + f(h)) is two merges, one
    within the other. A sum that is linear in some value of a branch is one branch: a layer with an adapter.
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
    if end not in pairs or graph.values[end].op in WHOLE | PRODUCTS:
        return None
    leaves = list(flatten(graph, pairs, end))
    own = identity_skip(graph, [leaf.values for leaf in leaves])
    others = [other.values[0] for other in pairs[index] if other is not leaf]
    if own is None and linear_from(graph, leaves) not in (None, *(through_views(graph, other) for other in others)):
        return None
    return end if own is None or all(comes_from(graph, other, own) for other in others) else None


def linear_from(graph: Graph, leaves: Sequence[Leaf]) -> int | None:
    """The value in which a sum of layers without a nonlinearity is linear."""
    source = nearest_common(graph, leaves)
    if source is None:
        return None
    sides = [between(graph, source, leaf.values) for leaf in leaves]
    heavy = any(weighted(graph, i) for side in sides for i in side)
    return source if heavy and all(affine(graph, source, side) for side in sides) else None


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
            factor = None if unknown else each.factor * leaf.factor  # type: ignore[operator]
            yield replace(each, factor=factor, operand=each.operand and replace(each.operand, factor=factor))


def nearest_common(graph: Graph, leaves: Sequence[Leaf]) -> int | None:
    """The latest value that depends on the example and from which all leaves were computed."""
    bits = -1
    for leaf in leaves:
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
