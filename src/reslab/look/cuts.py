"""Whether a merge's branch can be cut for good: replaced by nothing, so that the block is the identity."""

from collections.abc import Sequence

from reslab.look.graph import CAPPED, RELUS, followers, never_above_cap, never_negative
from reslab.look.trace import Graph


def verdict(graph: Graph, merged: int, source: int, region: Sequence[int], kind: str) -> tuple[bool, str]:
    """(can it be cut, why or why not) for the merge with sum `merged`, parting at `source`."""
    if kind == "sum":
        return False, "a sum of equal sides: neither is the skip"
    if kind == "projection":
        before, after = (list(graph.values[i].shape[1:]) for i in (source, merged))
        changed = f"{before} to {after}" if before != after else "by weights of its own"
        return False, f"its shortcut maps {changed}: the branch can be silenced, the shortcut must stay"
    guest = used_elsewhere(graph, merged, region)
    if guest is not None:
        return False, f"what the branch computes is also used in {graph.values[guest].path or 'the model'}"
    return what_follows(graph, merged, source)


def used_elsewhere(graph: Graph, merged: int, region: Sequence[int]) -> int | None:
    """A value outside the branch that needs what the branch computes, and that the output needs."""
    inside = {*region, merged}
    needed = 0
    for i in graph.outputs:
        needed |= graph.values[i].above
    for i in region:
        for user in graph.users[i]:
            # The merge's own sums, a chain of them, lie below it and above nothing else.
            if user not in inside and needed >> user & 1 and not graph.values[merged].above >> user & 1:
                return user
    return None


def what_follows(graph: Graph, merged: int, source: int) -> tuple[bool, str]:
    """What the block still does to its skip once the branch is silent."""
    users = followers(graph, merged)
    path = graph.values[merged].path
    if len(users) != 1 or not within(graph.values[users[0]].path, path):
        return True, "nothing follows the addition: without its branch the block is the identity"
    after = graph.values[users[0]]
    if after.op in RELUS and never_negative(graph, source):
        return True, "the ReLU after the addition changes nothing: what comes in is never negative"
    if after.op in CAPPED and never_above_cap(graph, source):
        return True, "the ReLU6 after the addition changes nothing: what comes in already passed one"
    where = f" ({after.path})" if after.path != path else ""
    return False, f"{after.op.removeprefix('native_').removesuffix('_')}{where} follows the addition and stays"


def within(path: str, module: str) -> bool:
    return not module or path == module or path.startswith(f"{module}.")
