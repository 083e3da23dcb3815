"""The layers of any net in the order of the pass: the stem, each residual block, the head. Found by one pass.

A layer is a group of parameters that share a learning rate (`layer_decay`) and are frozen together (`freeze`). Every
parameter is in exactly one. In a net with residual connections the first layer is the stem, what runs before the first
block. A block has the residual connections of one module of a list of blocks (attention and MLP of a transformer's
layer), with their shortcuts, and what runs around them in that module or, between two blocks, belongs to neither: such
layers count with the block that follows, after the last block with that block. In a net without residual connections,
each convolution or linear layer is a layer, with the norm that follows. The head is what computes the scores.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from reslab.errors import UsageError
from reslab.look.graph.example import Example
from reslab.look.graph.forks import Found
from reslab.look.graph.merges import find_in, plain
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.questions import PRODUCTS
from reslab.look.graph.shapes import graph_of
from reslab.look.graph.trace import Graph

STEM, HEAD = "stem", "head"
TO_STEM = ("token", "pos_embed", "position_embed", "pos_emb")  # in names of parameters that a pass may not show


@dataclass(frozen=True, kw_only=True)
class NetLayer:
    """A group of parameters: the stem, a residual block (named by its module) or the head."""

    name: str
    parameters: tuple[str, ...]  # their names in the net


@dataclass(frozen=True, kw_only=True)
class NetLayers:
    """All layers from the input to the head, which is the last; and what a pass showed of the modules."""

    layers: tuple[NetLayer, ...]
    head: tuple[str, ...]  # paths of the head's modules; none if the net computes its scores outside of them
    order: tuple[str, ...]  # modules without parameters that are called once, and parameters, in the order of the pass

    def __len__(self) -> int:
        return len(self.layers)

    def weights(self, net: nn.Module) -> list[list[nn.Parameter]]:
        """The parameters of each layer, from the input to the head."""
        named = dict(net.named_parameters())
        return [[named[name] for name in layer.parameters] for layer in self.layers]


def layers_of(net: nn.Module, example: Example) -> NetLayers:
    """The layers of the net, found by one pass of `example` in eval mode; those of `net.rate_layers()` if it has them.

    Raises UsageError if the net does not accept the example or its scores are not computed with weights of its own.
    """
    net = plain(net)
    if hasattr(net, "rate_layers"):
        return own_layers(net)
    with as_it_was(net):
        graph, _, _ = graph_of(net, example)
    found = sorted(find_in(graph), key=lambda each: each.value)
    head = head_of(graph, net, sums={each.value for each in found})
    used = [(i, name) for name, i in first_uses(graph).items() if name not in head]
    groups = by_block(graph, net, used, found) if found else by_product(graph, used)
    if not head:  # the scores are a block's own sum
        head = set(groups.pop()[1])
    groups.append((HEAD, [name for name in graph.sizes if name in head]))
    where = {name: k for k, (_, names) in enumerate(groups[:-1]) for name in names}
    for name in graph.sizes:
        if name not in where and name not in head:
            groups[nearest_layer(name, list(graph.sizes), where)][1].append(name)
    layers = (NetLayer(name=name, parameters=tuple(names)) for name, names in groups if names)
    return NetLayers(layers=tuple(layers), head=modules_of(head, net), order=order_of(graph, net))


def own_layers(net: nn.Module) -> NetLayers:
    """The layers that the net itself tells."""
    names = {parameter: name for name, parameter in net.named_parameters()}
    told: list[list[nn.Parameter]] = net.rate_layers()  # type: ignore[operator]
    layers = [NetLayer(name=f"layer {k}", parameters=tuple(names[p] for p in some)) for k, some in enumerate(told)]
    return NetLayers(layers=tuple(layers), head=modules_of(set(layers[-1].parameters), net), order=())


def first_uses(graph: Graph) -> dict[str, int]:
    """Parameter: the first value computed from it and from the example."""
    found: dict[str, int] = {}
    for i, value in enumerate(graph.values):
        for name in value.weights if value.data else ():
            found.setdefault(name, i)
    return found


def head_of(graph: Graph, net: nn.Module, *, sums: set[int]) -> set[str]:
    """The parameters of the last product with weights before the scores, of what follows it, and of their modules.

    Empty if one of the `sums` of residual connections lies between. Raises UsageError if there are no such weights.
    """
    head, seen, waiting = set[str](), set[int](), [] if graph.scores is None else [graph.scores]
    while waiting:
        i = waiting.pop()
        value = graph.values[i]
        if i in sums:
            return set()
        if i in seen or not value.data:
            continue
        seen.add(i)
        head.update(value.weights)
        if not (value.weights and value.op in PRODUCTS):
            waiting += value.inputs
    if not head:
        raise UsageError(f"{type(net).__name__} has no head: no weights compute scores from features of the images")
    owners = {name.rpartition(".")[0] for name in head} - {""}
    return head | {name for name in graph.sizes if any(name.startswith(f"{owner}.") for owner in owners)}


def by_block(
    graph: Graph, net: nn.Module, used: Sequence[tuple[int, str]], found: Sequence[Found]
) -> list[tuple[str, list[str]]]:
    """The stem and the blocks, each with its parameters. `found`: the residual connections in the order of their sums.

    In which layer a parameter is, the value decides that first uses it: the innermost residual connection that contains
    it, or else the nearest one in the pass.
    """
    keys = [block_of(each, net) for each in found]
    keys = [key or f"merge {k}" for k, key in enumerate(keys)]
    groups: dict[str, list[str]] = {STEM: [], **{key: [] for key in keys}}
    for i, name in used:
        inside = [k for k, each in enumerate(found) if i == each.value or i in each.region or i in each.shortcut]
        if inside:
            key = keys[min(inside, key=lambda k: len(found[k].region))]
        else:
            before = max((k for k, each in enumerate(found) if each.value < i), default=None)
            after = min((k for k, each in enumerate(found) if each.value > i), default=None)
            key = between(graph.values[i].path, *(None if k is None else keys[k] for k in (before, after)))
        groups[key].append(name)
    return list(groups.items())


def between(path: str, before: str | None, after: str | None) -> str:
    """The block of a module that runs between two blocks, before the first (the stem, if not in its module), or after
    the last."""
    if after is None:
        return before or STEM
    if before is None:
        return after if shared(path, after) == len(after.split(".")) else STEM
    return before if shared(path, before) > shared(path, after) else after


def block_of(merge: Found, net: nn.Module) -> str:
    """The module of a residual connection's block: the innermost element of a list that does the addition, if any."""
    path = str(merge.facts["path"])
    parts = path.split(".") if path else []
    for end in range(len(parts), 0, -1):
        if isinstance(net.get_submodule(".".join(parts[: end - 1])), nn.ModuleList | nn.Sequential):
            return ".".join(parts[:end])
    return path


def by_product(graph: Graph, used: Sequence[tuple[int, str]]) -> list[tuple[str, list[str]]]:
    """A layer for each module that applies a matrix, with the parameters around it."""
    products = [(i, graph.values[i].path or name) for i, name in used if graph.values[i].op in PRODUCTS]
    groups: dict[str, list[str]] = {path: [] for _, path in products} or {STEM: []}
    for i, name in used:
        before = next((path for k, path in reversed(products) if k <= i), None)
        after = next((path for k, path in products if k > i), None)
        path = graph.values[i].path
        if before is None or (after is not None and shared(path, after) > shared(path, before)):
            groups[after or STEM].append(name)
        else:
            groups[before].append(name)
    return list(groups.items())


def shared(path: str, other: str) -> int:
    """How many parts two paths have in common from the root on."""
    pairs = list(zip(path.split("."), other.split("."), strict=False))
    return next((k for k, (a, b) in enumerate(pairs) if a != b), len(pairs))


def nearest_layer(name: str, names: Sequence[str], where: dict[str, int]) -> int:
    """The layer of a parameter that the pass does not show: its nearest neighbor's; 0 for tokens and positions."""
    if any(word in name.rpartition(".")[2] for word in TO_STEM) or not where:
        return 0
    at = names.index(name)
    near = min(where, key=lambda other: (-shared(name, other), abs(names.index(other) - at)))
    return where[near]


def modules_of(names: set[str], net: nn.Module) -> tuple[str, ...]:
    """The modules that own these parameters, without those within another; none if the net itself owns one."""
    owners = sorted({name.rpartition(".")[0] for name in names})
    if "" in owners:
        return ()
    return tuple(one for one in owners if not any(one.startswith(f"{other}.") for other in owners))


def order_of(graph: Graph, net: nn.Module) -> tuple[str, ...]:
    """Parameters by their first use, and modules without parameters that were called once, by their input."""
    times = Counter(first_uses(graph))
    for path, module in net.named_modules():
        before = graph.calls.get(path, (None, None))[0]
        if before is not None and graph.times[path] == 1 and not any(True for _ in module.parameters()):
            times[path] = before
    return tuple(sorted(times, key=lambda name: times[name]))
