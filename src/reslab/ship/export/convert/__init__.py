"""Convert a graph: torch.export, then OpenVINO's IR or ONNX. `convert` writes the file of one graph."""

from importlib import import_module
from pathlib import Path

from reslab.ship.engines import HOME
from reslab.ship.exportable import Graph
from reslab.ship.record import EngineName, Port

Ports = tuple[Port, ...]


def convert(graph: Graph, engine: EngineName, folder: Path, name: str) -> tuple[str, Ports, Ports]:
    """Write the graph as `folder`/`name`.xml with .bin, .onnx, or as the engine has it: (main file, inputs, outputs).

    The ports say which axes may have any length (None). Raises ReslabError for a net that cannot be converted with the
    axes of `graph.dynamic`, UsageError if the engine's package is missing.
    """
    found: tuple[str, Ports, Ports] = import_module(f"{__name__}.{HOME[engine]}").write(graph, folder, name)
    return found
