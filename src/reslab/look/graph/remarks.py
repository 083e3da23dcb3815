"""What the reader of a list of merges should know: what was not recognized, and what cannot be edited."""

from collections.abc import Iterator

from reslab.look.graph.questions import comes_from, through_views
from reslab.look.graph.trace import Graph

HIDING = frozenset("addmm addbmm baddbmm addmv index_add scatter_add".split())


def remarks(graph: Graph, model: str, recognized: int) -> Iterator[str]:
    """Notes on a model in which so many merges were recognized; `model` is its class."""
    if not recognized:
        joins = sum(v.op == "cat" and sum(graph.values[i].data for i in v.inputs) > 1 for v in graph.values)
        places = f" (it concatenates tensors in {joins} place{'s' * (joins > 1)})" if joins else ""
        yield (
            f"no residual connection was recognized in {model}{places}: no sum of a skip and a branch "
            "with weights was found"
        )
    for op in sorted(graph.foreign):
        yield f"{op} is a custom op and may hide an addition; if it does, name its module as a merge"
    for path, op in dict.fromkeys(hidden(graph)):
        yield f"{op} in {path or 'the model'} adds a branch to its skip inside one op; name its module as a merge"


def hidden(graph: Graph) -> Iterator[tuple[str, str]]:
    """Where a single op computes a branch, or part of one, and adds it to the skip: (module, op)."""
    for i, value in enumerate(graph.values):
        first, rest = value.inputs[:1], value.inputs[1:]
        if value.op.removesuffix("_") in HIDING and first and graph.values[first[0]].shape == value.shape:
            skip = through_views(graph, first[0])
            if graph.values[skip].data and (len(rest) < 2 or any(comes_from(graph, j, skip) for j in rest)):
                yield graph.values[i].path, value.op
