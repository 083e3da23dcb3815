"""The layers with weights of any model, in the order they run, for the analyses that work layer by layer."""

from dataclasses import dataclass

from torch import nn

from reslab.look.graph.example import Example
from reslab.look.graph.merges import find_in, nest, plain
from reslab.look.graph.passes import as_it_was
from reslab.look.graph.questions import PRODUCTS, followers
from reslab.look.graph.shapes import graph_of
from reslab.look.graph.trace import Graph, Value

NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution or linear layer."""

    index: int
    module: str  # its path
    norm: str | None  # the normalization that is the only user of its output
    kind: str  # the module's class: Conv2d, Linear
    kernel: tuple[int, ...]  # empty for a linear layer
    before: tuple[int, ...]  # shape of the input
    shape: tuple[int, ...]  # shape of the output
    params: int  # of the layer and its normalization
    merge: int | None  # the innermost merge whose branch contains it
    shortcut: bool  # whether it is part of a merge's projection

    @property
    def output(self) -> str:
        """The module whose output is the layer's response: after its normalization, before any nonlinearity."""
        return self.norm or self.module

    @property
    def keeps_shape(self) -> bool:
        """Whether input and output have the same shape, so that the layer can be skipped."""
        return self.before == self.shape


def find_layers(model: nn.Module, example: Example, *, values: bool = False) -> tuple[Layer, ...]:
    """Every Conv and Linear module (and other modules that apply a matrix), in order, found by one forward pass.

    A module that runs twice is listed once, where it runs first. Raises UsageError if the model does not accept the
    example.
    """
    model = plain(model)
    with as_it_was(model):
        graph, _, _ = graph_of(model, example, values=values)
    found = find_in(graph)
    merges = nest(found)
    modules = dict(model.named_modules(remove_duplicate=False))
    layers: list[Layer] = []
    for i, value in enumerate(graph.values):
        module = modules.get(value.path)
        if not (value.op and value.data and module and applies_a_matrix(module, value)):
            continue
        if any(modules[layer.module] is module for layer in layers) or not value.weights:
            continue
        before, out = graph.calls[value.path]
        if before is None or out is None:
            continue
        norm = norm_after(graph, modules, out)
        inside = [merge for merge, each in zip(merges, found, strict=True) if i in each.region]
        kernel = getattr(module, "kernel_size", ())
        layers.append(
            Layer(
                index=len(layers),
                module=value.path,
                norm=norm,
                kind=type(module).__name__,
                kernel=kernel if isinstance(kernel, tuple) else (kernel,),
                before=graph.values[before].shape,
                shape=graph.values[out].shape,
                params=sum(p.numel() for path in (value.path, norm) if path for p in modules[path].parameters()),
                merge=max(inside, key=lambda merge: merge.depth).index if inside else None,
                shortcut=any(i in each.shortcut for each in found),
            )
        )
    return tuple(layers)


def applies_a_matrix(module: nn.Module, value: Value) -> bool:
    """Whether the module is a convolution or linear layer, of PyTorch or another library (GPT-2's Conv1D)."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
        return True
    weights = [p for p in module.parameters() if p.dim() > 1]
    return value.op in PRODUCTS - {"embedding"} and len(weights) == 1 and not list(module.children())


def norm_after(graph: Graph, modules: dict[str, nn.Module], index: int) -> str | None:
    """The normalization that is the only user of this value."""
    users = [i for i in followers(graph, index) if graph.values[i].op != "written"]
    paths = {graph.values[i].path for i in users}
    if len(paths) != 1:
        return None
    path = paths.pop()
    module = modules.get(path)
    known = isinstance(module, NORMS) or "norm" in type(module).__name__.lower()
    return path if path and known and not list(module.children() if module else ()) else None
