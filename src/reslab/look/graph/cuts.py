"""Whether a merge's branch can be removed permanently, so that its block becomes the identity."""

from collections.abc import Sequence
from math import inf

from reslab.look.graph.questions import PRODUCTS, SAME, between, clip, comes_from, followers, limits
from reslab.look.graph.sums import Leaf
from reslab.look.graph.trace import Graph

COPIES = SAME | {"written"}
MOVES = frozenset("permute transpose t movedim swapaxes".split())


def verdict(
    graph: Graph, merged: int, skip: Leaf, branches: Sequence[Leaf], source: int, region: Sequence[int], kind: str
) -> tuple[bool, str]:
    """(can it be removed, the reason) for the merge whose sum is `merged` and whose sides fork at `source`."""
    if kind == "sum":
        return False, "all terms of the sum are equal: none of them is the skip"
    if kind == "mixed":
        return False, "its skip mixes the streams before the addition, which would remain without the branch"
    if kind == "projection":
        before, after = (list(graph.values[i].shape[1:]) for i in (source, merged))
        heavy = any(graph.values[i].weights for i in between(graph, source, skip.values))
        changed = (
            f"maps {before} to {after}" if before != after else f"has its own {'weights' if heavy else 'operations'}"
        )
        return False, f"its shortcut {changed}: the branch can be disabled, but the shortcut must stay"
    if graph.values[merged].rounds:
        return False, "the sum is rounded to 8 bits, which would remain without the branch"
    done = "scaled" if kind == "scaled" else on_the_way(graph, skip, branches)
    if done is not None:
        return False, f"its skip is {done} before the addition, which would remain without the branch"
    guest = used_elsewhere(graph, merged, branches, region)
    if guest is not None:
        return False, f"a value computed in the branch is also {guest}"
    return what_follows(graph, merged, skip.values[0])


def on_the_way(graph: Graph, skip: Leaf, branches: Sequence[Leaf]) -> str | None:
    """How the skip is changed after the fork, although it keeps all of its numbers; None if it is not."""
    if skip.factor != 1:
        return "scaled"
    at = end = skip.values[0]
    while not any(comes_from(graph, i, at) for leaf in branches for i in leaf.values) and graph.values[at].inputs:
        if graph.values[at].op in MOVES:
            return "permuted"
        at = graph.values[at].inputs[0]
    return "reshaped" if graph.values[at].shape != graph.values[end].shape else None


def used_elsewhere(graph: Graph, merged: int, branches: Sequence[Leaf], region: Sequence[int]) -> str | None:
    """Where else values computed in the branch are used: outside it on the way to the output, or as an output."""
    inside = {*region, merged}
    needed = 0
    for i in graph.outputs:
        needed |= graph.values[i].above
    for i in region:
        for user in graph.users[i]:
            # The chain of sums that forms the merge leads only to the merge itself.
            if user not in inside and needed >> user & 1 and not graph.values[merged].above >> user & 1:
                return f"used in {graph.values[user].path or 'the model'}"
    ends = {i for leaf in branches for i in leaf.values}
    return "an output of the model" if ends & graph.outputs else None


def what_follows(graph: Graph, merged: int, skip: int) -> tuple[bool, str]:
    """What the block would still do to its skip without the branch: the ops after the sum within its module."""
    path, at, moved = graph.values[merged].path, merged, ""
    low, high = limits(graph, skip)
    why = "nothing follows the addition: without its branch the block is the identity"
    while True:
        users = followers(graph, at)
        if users and graph.values[users[0]].op in PRODUCTS:  # the next layer
            return True, why
        if len(users) != 1 or not within(graph.values[users[0]].path, path):
            return (False, f"{moved} follows the addition and would remain") if moved else (True, why)
        at = users[0]
        value = graph.values[at]
        name = value.op.removeprefix("native_").removesuffix("_")
        where = f" ({value.path})" if value.path != path else ""
        if value.op in COPIES:
            moved = moved or (name + where if value.op in MOVES or value.shape != graph.values[merged].shape else "")
            continue
        bounds = clip(value)
        if bounds is None or low < bounds[0] or high > bounds[1]:
            return False, f"{name}{where} follows the addition and would remain"
        if bounds == (0, inf):
            why = "the ReLU after the addition changes nothing: its input is never negative"
        else:
            name = "ReLU6" if bounds == (0, 6) else name
            why = f"the {name} after the addition changes nothing: its input lies between its bounds"


def within(path: str, module: str) -> bool:
    return not module or path == module or path.startswith(f"{module}.")
