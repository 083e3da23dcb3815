"""Which layers differ: what each module gives in torch, and what the nodes of the exported file give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.ship.export.compared import apart, finite
from reslab.ship.export.results import Layer
from reslab.ship.export.taps import VALUES
from reslab.ship.exportable import Arrays, Graph
from reslab.ship.record import Config

EQUAL = 1e-4  # of the layer's largest value: sums in another order differ by less
SHOWN = 8  # layers of a report


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a module gave."""

    name: str
    kind: str
    value: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Match:
    """The node of the file that comes nearest to a module."""

    layer: Layer
    node: str

    @property
    def differs(self) -> bool:
        return self.layer.difference > EQUAL * max(self.layer.size, 1e-6)


def differing(graph: Graph, path: Path, config: Config, inputs: Arrays) -> tuple[Layer, ...]:
    """The layers whose outputs in the file differ from the module's, from the first one on; () if there are none.

    A layer is the node of the same shape with the nearest values: names are lost in conversion, values are not. A
    layer that a converter has merged into another one has no node; so the first that counts is one after which most
    layers differ, too.
    """
    found = matched(gathered(graph, inputs), path, config, inputs)
    differ = [one.differs for one in found]
    for k, one in enumerate(found):
        if one.differs and 2 * sum(differ[k:]) >= len(differ[k:]):
            return tuple(each.layer for each in found[k:] if each.differs)[:SHOWN]
    return ()


def roughest(graph: Graph, path: Path, config: Config, inputs: Arrays) -> tuple[Layer, ...]:
    """The layers of a bf16 or int8 file that differ most, for their size; of modules that hold no others."""
    whole = {name for name, module in graph.module.named_modules() if next(module.children(), None) is not None}
    given = [one for one in gathered(graph, inputs) if one.name not in whole]
    found = [one.layer for one in matched(given, path, config, inputs)]
    return tuple(sorted(found, key=lambda one: -one.relative)[:SHOWN])


def gathered(graph: Graph, inputs: Arrays) -> list[Given]:
    """What every module gives that gives one floating-point tensor, in the order in which they finish."""
    found: list[Given] = []
    calls: dict[str, int] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                calls[name] = calls.get(name, 0) + 1
                again = f" (call {calls[name]})" if calls[name] > 1 else ""
                found.append(Given(name=name + again, kind=type(module).__name__, value=output.float().numpy().copy()))

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in graph.module.named_modules() if name]
    try:
        with torch.no_grad():
            graph.module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in graph.example))
    finally:
        for one in hooks:
            one.remove()
    return found


def shapes(given: Sequence[Given]) -> set[tuple[int, ...]]:
    return {one.value.shape for one in given}


def matched(given: Sequence[Given], path: Path, config: Config, inputs: Arrays) -> list[Match]:
    """For each module the nearest node; a node that is one module is no candidate for others that equal none."""
    gaps: list[dict[str, float]] = [{} for _ in given]
    for node, value in VALUES[config.engine](path, config, inputs, shapes(given)):
        for k, one in enumerate(given):
            if one.value.shape == value.shape:
                gaps[k][node] = float(apart(one.value, value).max())
    sizes = [float(np.abs(finite(one.value)).max()) if one.value.size else 0.0 for one in given]
    taken = {node for k, each in enumerate(gaps) for node, gap in each.items() if gap <= EQUAL * max(sizes[k], 1e-6)}
    found = []
    for one, each, size in zip(given, gaps, sizes, strict=True):
        near = nearest(each, size, taken)
        if near is not None:
            layer = Layer(name=one.name, kind=one.kind, difference=each[near], size=size)
            found.append(Match(layer=layer, node=near))
    return found


def nearest(gaps: Mapping[str, float], size: float, taken: set[str]) -> str | None:
    """The node with the smallest difference; one that is another module only if it is this one, too."""
    left = {node: gap for node, gap in gaps.items() if node not in taken or gap <= EQUAL * max(size, 1e-6)}
    return min(left, key=left.__getitem__, default=None)
