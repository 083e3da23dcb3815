"""What the reader of a list of merges should know: what was not recognized, and what cannot be edited."""

from collections import Counter
from collections.abc import Iterator, Sequence

from reslab.look.graph.joins import contracted
from reslab.look.graph.questions import between, comes_from, indices, through_views, weighted
from reslab.look.graph.trace import Graph

SHOWN = 3  # modules that are named in one note
HIDING = frozenset("addmm addbmm baddbmm addmv index_add scatter_add".split())


def remarks(graph: Graph, model: str, *, merges: int, sums: Sequence[str]) -> Iterator[str]:
    """Notes on a model in which so many merges were recognized; `sums`: the modules that add equal sides."""
    if not merges:
        near = "; ".join(nearest(graph, sums))
        yield (
            f"no residual connection was recognized in {model}{f' ({near})' if near else ''}: no sum of a skip and a "
            "branch was found"
        )
    for path, places in Counter(attending(graph)).items():
        yield (
            f"{path or 'the model'} weights the outputs of earlier layers by attention in {counted(places, 'place')}: "
            "no skip would remain without one of them, so they are not listed; to disable a layer, name its module as "
            "a merge: it then returns its input"
        )
    for op in sorted(graph.foreign):
        yield f"{op} is a custom op and may hide an addition; if it does, name its module as a merge"
    for path, op in dict.fromkeys(hidden(graph)):
        yield f"{op} in {path or 'the model'} adds a branch to its skip inside one op; name its module as a merge"


def nearest(graph: Graph, sums: Sequence[str]) -> Iterator[str]:
    """What a model without merges has that is nearest to one."""
    if sums:
        paths = list(dict.fromkeys(path or "the model" for path in sums))
        named = ", ".join(paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")
        yield f"it adds equal sides in {counted(len(sums), 'place')}: {named}"
    joins = sum(v.op == "cat" and sum(graph.values[i].data for i in v.inputs) > 1 for v in graph.values)
    if joins:
        yield f"it concatenates tensors in {counted(joins, 'place')}"


def counted(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n > 1)}"


def attending(graph: Graph) -> Iterator[str]:
    """Where a layer sums the outputs of earlier layers, weighted by what all of them are: its module's path."""
    for i, value in enumerate(graph.values):
        found = contracted(graph, i)
        if found is None or not any(comes_from(graph, weight, found[0]) for weight in found[1]):
            continue
        first, *_, last = graph.values[found[0]].inputs
        if comes_from(graph, last, first) and any(weighted(graph, v) for v in between(graph, first, [last])):
            yield value.path


def hidden(graph: Graph) -> Iterator[tuple[str, str]]:
    """Where a single op computes a branch, or part of one, and adds it to the skip: (module, op)."""
    for i, value in enumerate(graph.values):
        first, rest = value.inputs[:1], value.inputs[1:]
        if value.op.removesuffix("_") in HIDING and first and graph.values[first[0]].shape == value.shape:
            skip = through_views(graph, first[0])
            if graph.values[skip].data and (len(rest) < 2 or any(related(graph, j, skip) for j in rest)):
                yield graph.values[i].path, value.op


def related(graph: Graph, a: int, b: int) -> bool:
    """Whether two values were computed from one value with numbers, or one from the other."""
    both = graph.values[a].above & graph.values[b].above
    return any(graph.values[i].data and graph.values[i].floating for i in indices(both))
