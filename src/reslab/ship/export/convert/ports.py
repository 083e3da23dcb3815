"""The inputs and outputs of a converted graph, as config.json has them."""

from typing import Any

import torch

from reslab.ship.exportable import Graph
from reslab.ship.record import Port


def inputs(graph: Graph) -> tuple[Port, ...]:
    """The inputs; axes that may have any length are None."""
    return tuple(
        Port(name=name, dtype=str(one.dtype).removeprefix("torch."),
             shape=tuple(None if axis in graph.dynamic.get(name, {}) else n for axis, n in enumerate(one.shape)))
        for name, one in graph.example.items()
    )  # fmt: skip


def outputs(graph: Graph, program: torch.export.ExportedProgram) -> tuple[Port, ...]:
    """The outputs, whose axes torch.export has traced."""
    nodes = {node.name: node for node in program.graph.nodes}
    found = [nodes[one.arg.name].meta["val"] for one in program.graph_signature.output_specs
             if one.kind.name == "USER_OUTPUT"]  # fmt: skip
    return tuple(
        Port(name=name, dtype=str(value.dtype).removeprefix("torch."), shape=tuple(map(length, value.shape)))
        for name, value in zip(graph.outputs, found, strict=True)
    )


def length(axis: Any) -> int | None:
    """A length that torch.export has fixed, or None."""
    return axis if isinstance(axis, int) else None
