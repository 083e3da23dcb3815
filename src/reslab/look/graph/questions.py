"""Questions about a value graph: what lies between two values, what uses a value, whether it can be negative."""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

from reslab.look.graph.trace import Graph, Value

# These ops keep every number (rule 5: only if they keep the size); dropout in eval mode leaves no trace at all.
SAME = frozenset(
    "view _unsafe_view reshape permute transpose t contiguous clone _to_copy detach alias unsqueeze squeeze flatten "
    "expand slice select movedim swapaxes unflatten lift_fresh _reshape_alias _conj plus_nothing".split()
)
PRODUCTS = frozenset(
    "mm addmm bmm baddbmm matmul linear convolution _convolution embedding einsum mv addmv dot _grouped_mm".split()
)
ELEMENTWISE = frozenset("mul mul_ add add_ sub sub_ rsub div div_".split())
POOLS = frozenset("max_pool2d_with_indices max_pool2d avg_pool2d adaptive_avg_pool2d _adaptive_avg_pool2d mean".split())
RANGES = {"tanh": (-1, 1), "abs": (0, inf), "exp": (0, inf)} | dict.fromkeys(
    ("sigmoid", "hardsigmoid", "_softmax"), (0, 1)
)


def through_views(graph: Graph, index: int) -> int:
    """The value behind views that keep its size."""
    value = graph.values[index]
    while value.op in SAME and len(value.inputs) == 1 and size(graph, value.inputs[0]) == size(graph, index):
        index = value.inputs[0]
        value = graph.values[index]
    return index


def size(graph: Graph, index: int) -> int:
    n = 1
    for length in graph.values[index].shape:
        n *= length
    return n


def comes_from(graph: Graph, below: int, above: int) -> bool:
    """Whether value `below` was computed, at least in part, from value `above`."""
    return bool(graph.values[below].above >> above & 1)


def between(graph: Graph, source: int, ends: Iterable[int]) -> list[int]:
    """All values computed from `source` on the way to any of `ends`, including the ends but not `source`."""
    bits = 0
    for end in ends:
        bits |= graph.values[end].above
    bits &= -1 << (source + 1)
    return [i for i in indices(bits) if comes_from(graph, i, source)]


def indices(bits: int) -> list[int]:
    """The positions of the one bits, lowest first."""
    return [i for i, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"] if bits > 0 else []


def weighted(graph: Graph, index: int) -> bool:
    """Whether the op applies a weight with at least two dimensions larger than one (rule 4).

    A weight is a parameter in any op except elementwise ones (position embeddings, gains), or a constant in a product,
    because some code creates its weights while it runs.
    """
    value = graph.values[index]
    if not value.data or value.op in ELEMENTWISE:
        return False
    return any(
        sum(length > 1 for length in constant.shape) >= 2
        for constant in (graph.values[i] for i in value.inputs)
        if not constant.data and (constant.weights or (value.op in PRODUCTS and constant.floating))
    )


class Cost(NamedTuple):
    params: int
    macs: int
    weighted: int


def cost(graph: Graph, region: Iterable[int], given: Iterable[str] = ()) -> Cost:
    """Parameters (without those in `given`, by name), multiply-adds and weighted ops of the values of a region."""
    names: set[str] = set()
    macs = ops = 0
    for i in region:
        value = graph.values[i]
        names.update(value.weights)
        macs += value.macs
        ops += weighted(graph, i)
    return Cost(sum(graph.sizes.get(name, 0) for name in names.difference(given)), macs, ops)


def only_scales(graph: Graph, region: Iterable[int]) -> bool:
    """Whether a side only scales by a learned vector, like D x in a state-space layer: that is no shortcut."""
    region = list(region)
    scales = any(graph.values[i].op in ("mul", "mul_") and graph.values[i].weights for i in region)
    return scales and not any(weighted(graph, i) for i in region)


def stands_alone(graph: Graph, source: int, region: Iterable[int]) -> bool:
    """Whether a side could be a shortcut of `source`: floating-point, and computed from it alone.

    Token ids are not floating-point; a product of queries with keys also reads the keys.
    """
    known = {source, *region}
    inputs = {i for end in known - {source} for i in graph.values[end].inputs if graph.values[i].data}
    return graph.values[source].floating and inputs <= known


def followers(graph: Graph, index: int) -> list[int]:
    """The users of a value, without those that are unused themselves (a norm's statistics, a bare alias)."""
    return [i for i in graph.users[index] if graph.users[i] or i in graph.outputs]


def clip(value: Value) -> tuple[float, float] | None:
    """The bounds to which an op clips its input, if that is all it does: a ReLU's are 0 and infinity."""
    numbers = value.numbers
    match value.op.removesuffix("_"):
        case "relu":
            return 0, inf
        case "relu6":
            return 0, 6
        case "hardtanh":
            return numbers["min_val"], numbers["max_val"]
        case "clamp" | "clamp_min" | "clamp_max" if len(value.inputs) == 1:
            return numbers.get("min", -inf), numbers.get("max", inf)
        case "threshold" if numbers["threshold"] == numbers["value"] == 0:
            return 0, inf
    return None


def limits(graph: Graph, index: int) -> tuple[float, float]:
    """Bounds that provably hold for the value: it came from a ReLU or a similar op, possibly through pooling."""
    index = through_views(graph, index)
    value = graph.values[index]
    bounds = clip(value)
    if bounds is not None:
        low, high = limits(graph, value.inputs[0])
        return min(max(low, bounds[0]), bounds[1]), max(min(high, bounds[1]), bounds[0])
    if value.op in POOLS or value.op == "cat":  # a pool may pad with zeros
        each = [limits(graph, i) for i in value.inputs]
        return min(0, *(low for low, _ in each)), max(0, *(high for _, high in each))
    return RANGES.get(value.op.removesuffix("_"), (-inf, inf))
