"""Convert a graph to ONNX: NAME.onnx, and NAME.onnx.data beside it if the weights exceed what one file may hold."""

from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError, first_line
from reslab.extras import need
from reslab.ship.export.convert import ports
from reslab.ship.export.convert.fitting import fitting
from reslab.ship.export.convert.program import exported, unreported
from reslab.ship.export.convert.reasons import reason
from reslab.ship.exportable import Fit, Graph
from reslab.ship.record import Port
from reslab.stored.write import explained

WHY = "exporting to ONNX"
MOST = 2**31 - 2**20  # bytes of a protocol buffer, less some room for the graph
FRONT = "fit/"  # begins the names of what is put before the net


def write(graph: Graph, folder: Path, name: str) -> tuple[str, tuple[Port, ...], tuple[Port, ...]]:
    """See `convert`."""
    onnx: Any = need("onnx", extra="ship", why=WHY)
    need("onnxscript", extra="ship", why=WHY)
    program = exported(graph)
    outputs = ports.outputs(graph, program)
    found = proto(graph, program)
    if graph.fit is not None:
        behind(graph.fit, found)
    path = folder / f"{name}.onnx"
    save(found, path, large=size_of(graph.module) > MOST)
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # ValidationError and InferenceError have no common base
        raise ReslabError(f"the converted model is no valid ONNX: {first_line(error)}") from error
    return path.name, ports.inputs(graph), outputs


def save(found: Any, path: Path, *, large: bool = False) -> None:
    """Write an onnx.ModelProto; the weights of a `large` one to a file beside it. Raises ReslabError."""
    onnx: Any = need("onnx", extra="ship", why=WHY)
    beside = path.with_name(f"{path.name}.data")
    beside.unlink(missing_ok=True)  # onnx would write behind what is there
    with explained(path):
        onnx.save(found, path, **({"save_as_external_data": True, "location": beside.name} if large else {}))


def proto(graph: Graph, program: torch.export.ExportedProgram) -> Any:
    """The onnx.ModelProto of the module alone, its axes named as in the graph."""
    try:
        with torch.no_grad(), unreported():
            made = torch.onnx.export(program, dynamo=True, input_names=list(graph.example),
                                     output_names=list(graph.outputs), verbose=False)  # fmt: skip
            assert made is not None
            found: Any = made.model_proto
    except Exception as error:  # ConversionError and others of onnxscript
        raise ReslabError(f"the model cannot be converted to ONNX: {reason(error)}") from error
    return found


def behind(fit: Fit, found: Any) -> None:
    """Put a front that fits images of any size before the model, in place."""
    opset = next(one.version for one in found.opset_import if one.domain in ("", "ai.onnx"))
    front = fitting(fit, opset=opset, ir=found.ir_version).graph
    renamed(front, fit.input)
    ready = front.output[0].name
    for node in found.graph.node:
        node.input[:] = [ready if one == fit.input else one for one in node.input]
    at = next(k for k, one in enumerate(found.graph.input) if one.name == fit.input)
    found.graph.input[at].CopyFrom(front.input[0])
    nodes = [*front.node, *found.graph.node]
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    found.graph.initializer.extend(front.initializer)


def renamed(graph: Any, images: str) -> None:
    """Let all names of a front begin with FRONT, also in the graphs inside of it, except that of its input."""

    def new(name: str) -> str:
        return images if name == "images" else FRONT + name if name else ""

    for one in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        one.name = new(one.name)
    for node in graph.node:
        node.name = new(node.name)
        node.input[:], node.output[:] = map(new, node.input), map(new, node.output)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                renamed(attribute.g, images)


def size_of(module: torch.nn.Module) -> int:
    """Bytes of its weights."""
    return sum(one.numel() * one.element_size() for one in module.state_dict().values())
