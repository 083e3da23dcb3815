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
INTEGER_PRODUCTS = frozenset(
    "_int_mm _scaled_mm _weight_int8pack_mm _weight_int4pack_mm _weight_int4pack_mm_for_cpu "
    "_dyn_quant_matmul_4bit".split()
)
# These move numbers, or choose some.
MOVING = SAME | frozenset(
    "cat stack split split_with_sizes unsafe_split unsafe_split_with_sizes chunk unbind narrow index index_select "
    "gather take roll flip rot90 repeat repeat_interleave constant_pad_nd reflection_pad1d reflection_pad2d "
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d tril triu diagonal diag_embed index_put "
    "scatter copy copy_ masked_scatter select_scatter slice_scatter as_strided view_as_real view_as_complex "
    "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle sort topk unfold written".split()
)
# These scale numbers by a statistic of them, or compute one.
STATISTICS = frozenset(
    "sum mean amax amin max min aminmax var var_mean std std_mean prod norm linalg_vector_norm logsumexp _softmax "
    "_log_softmax _safe_softmax native_layer_norm native_group_norm native_batch_norm cudnn_batch_norm "
    "_native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update _fused_rms_norm "
    "_batch_norm_no_update miopen_batch_norm _weight_norm_interface renorm all any argmax argmin batch_norm "
    "native_dropout bernoulli _prelu_kernel rrelu_with_noise".split()
)
BATCH_NORMS = frozenset(op for op in STATISTICS if "batch_norm" in op)
# These are linear, if the numbers that they are given beside the input are fixed.
LINEAR = (
    (MOVING - {"sort", "topk"})
    | BATCH_NORMS
    | frozenset(
        "add sub rsub neg mul div sum mean mm addmm bmm baddbmm matmul linear convolution _convolution einsum mv addmv "
        "dot avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool2d cumsum "
        "im2col col2im upsample_nearest1d upsample_nearest2d upsample_bilinear2d upsample_linear1d _fft_r2c _fft_c2c "
        "_fft_c2r linear_dynamic conv2d".split()
    )
)
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

    A weight is a parameter in any op that does more than move numbers, act on each by itself (position embeddings,
    gains) or scale by statistics (norms); or a constant in a product, because some code creates its weights while it
    runs; or what a quantized layer has packed.
    """
    value = graph.values[index]
    if not value.data or value.pointwise or value.op in MOVING or value.op in STATISTICS:
        return False
    return value.packed or any(
        sum(length > 1 for length in constant.shape) >= 2
        for constant in (graph.values[i] for i in value.inputs)
        if not constant.data
        and (constant.weights or (value.op in PRODUCTS and constant.floating) or value.op in INTEGER_PRODUCTS)
    )


def works(graph: Graph, source: int, region: Iterable[int]) -> bool:
    """Whether a side does more, without any weight, than act on each number, move numbers or scale by statistics.

    It may pool, transform (FFT), attend. A product of two values counts if both were computed from the fork, or are of
    attention: a product with other values may be the state of a recurrence.
    """
    region = list(region)
    known = {source, *region}
    attends = any(graph.values[i].op in ("_softmax", "_safe_softmax") for i in region)
    for i in region:
        value = graph.values[i]
        if value.pointwise or value.op in MOVING or value.op in STATISTICS or not (value.data and value.floating):
            continue
        if value.op not in PRODUCTS or attends or all(j in known or not graph.values[j].data for j in value.inputs):
            return True
    return False


def affine(graph: Graph, source: int, region: Iterable[int]) -> bool:
    """Whether a side is linear in the value at the fork, up to a shift."""
    for i in region:
        value = graph.values[i]
        if value.op.removesuffix("_") not in LINEAR:
            return False
        moved = [comes_from(graph, j, source) for j in value.inputs]
        multiplies = value.op not in MOVING and value.op.removesuffix("_") not in ("add", "sub", "rsub")
        if multiplies and (sum(moved) > 1 or (value.op.startswith("div") and not moved[0])):
            return False
    return True


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


def stands_alone(graph: Graph, source: int, region: Iterable[int]) -> bool:
    """Whether a side could be a shortcut of `source`: floating-point, and computed from it alone.

    Token ids are not floating-point; a product of queries with keys also reads the keys.
    """
    known = {source, *region}
    inputs = {i for end in known - {source} for i in graph.values[end].inputs if graph.values[i].data}
    return graph.values[source].floating and inputs <= known


def carries_numbers(graph: Graph, source: int, ends: Iterable[int]) -> bool:
    """Whether numbers of `source` arrive at an end, and not only truth values computed from them.

    A learned vector where x is missing, `x.isnan() * v`, follows from x, but carries nothing of it.
    """
    reached = {source}
    for i in between(graph, source, ends):
        if graph.values[i].floating and not reached.isdisjoint(graph.values[i].inputs):
            reached.add(i)
    return any(end in reached for end in ends)


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
