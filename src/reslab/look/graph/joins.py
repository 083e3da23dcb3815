"""Sums over a dimension along which tensors were joined: torch.stack([x, f(x)]).mean(0), or an einsum over a stack.

The joined dimension is followed through the views between the join and the op that adds.
"""

from math import prod

from reslab.look.graph.questions import SAME, followers, size
from reslab.look.graph.trace import Graph, Value

JOINS = frozenset(("stack", "cat"))
PRODUCTS = frozenset(("mm", "bmm", "mv"))


def contracted(graph: Graph, index: int) -> tuple[int, tuple[int, ...]] | None:
    """(the join whose tensors the op adds, the values by which they are weighted first); None if it adds none."""
    value = graph.values[index]
    inputs = value.inputs
    if value.op in ("sum", "mean") and len(inputs) == 1 and len(value.dims) == 1:
        before = graph.values[inputs[0]]
        axis = value.dims[0] % len(before.shape)
        if before.op == "mul" and value.op == "sum":
            return weighted_join(graph, before.inputs, len(before.shape) - axis)
        found = joined(graph, inputs[0])
        return (found[0], ()) if found and found[1] == axis else None
    if value.op in PRODUCTS and len(inputs) == 2:
        for i, others in ((0, inputs[1:]), (1, inputs[:1])):
            found, shape = joined(graph, inputs[i]), graph.values[inputs[i]].shape
            if found and found[1] == (len(shape) - 1 if i == 0 else max(0, len(shape) - 2)):
                return found[0], others
    return None


def weighted_join(graph: Graph, factors: tuple[int, ...], last: int) -> tuple[int, tuple[int, ...]] | None:
    """The join among the factors of a product that is summed over its dimension -`last`."""
    for i in factors:
        found = joined(graph, i)
        if found and len(graph.values[i].shape) - found[1] == last:
            return found[0], tuple(j for j in factors if j != i)
    return None


def joined(graph: Graph, index: int) -> tuple[int, int] | None:
    """(the join behind the views of a value, the dimension of the value along which it joins)."""
    views = []
    at = index
    while graph.values[at].op in SAME and len(graph.values[at].inputs) == 1:
        views.append(at)
        at = graph.values[at].inputs[0]
    join = graph.values[at]
    n = len(join.inputs)
    if join.op not in JOINS or n < 2 or len({graph.values[i].shape for i in join.inputs}) > 1:
        return None
    axis = axis_of(join)
    if join.shape[axis] != n:
        return None
    shape = join.shape
    for i in reversed(views):
        moved = axis_after(graph.values[i], shape, axis)
        if moved is None:
            return None
        axis, shape = moved, graph.values[i].shape
    return at, axis


def axis_of(join: Value) -> int:
    """The dimension of a join's result along which it joins."""
    return (join.dims[0] if join.dims else 0) % len(join.shape)


def axis_after(view: Value, shape: tuple[int, ...], axis: int) -> int | None:
    """Where a dimension of the viewed shape is after the view; None if it is merged with others or not known."""
    n = len(shape)
    match view.op:
        case "permute":
            return [d % n for d in view.dims].index(axis)
        case "transpose" | "swapaxes" | "t":
            a, b = (d % n for d in (view.dims or (0, 1)))
            return b if axis == a else a if axis == b else axis
        case "expand":
            return axis + len(view.shape) - n
        case "slice" | "select":
            return None
    if view.shape == shape:
        return axis
    before = prod(shape[:axis])  # a view keeps the order of the numbers
    for i, length in enumerate(view.shape):
        if length == shape[axis] and prod(view.shape[:i]) == before:
            return i
    return None


def end_of(graph: Graph, index: int) -> int:
    """The value that the call of an adding op returns: einsum views its result after the product."""
    site = graph.values[index].site
    while site is not None and graph.values[index].op not in JOINS:
        users = followers(graph, index)
        after = graph.values[users[0]] if len(users) == 1 else None
        if after is None or after.site != site or after.op not in SAME or size(graph, users[0]) != size(graph, index):
            break
        index = users[0]
    return index
