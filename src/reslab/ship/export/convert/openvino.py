"""Convert a graph to OpenVINO's IR: NAME.xml and NAME.bin."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, first_line
from reslab.ship.engines.openvino import FITTED
from reslab.ship.export.convert import ports
from reslab.ship.export.convert.fitting import fitting
from reslab.ship.export.convert.program import exported, unreported
from reslab.ship.export.convert.reasons import reason
from reslab.ship.exportable import Fit, Graph
from reslab.ship.packages import core, openvino
from reslab.ship.record import Port

WHY = "exporting to OpenVINO"


def write(graph: Graph, folder: Path, name: str) -> tuple[str, tuple[Port, ...], tuple[Port, ...]]:
    """See `convert`."""
    found, outputs = model(graph)
    return save(found, graph, folder, name), ports.inputs(graph), outputs


def model(graph: Graph) -> tuple[Any, tuple[Port, ...]]:
    """The ov.Model of the module alone, which takes images in the net's own size, and its outputs.

    What quantizes it does so here, before `save` puts `graph.fit` in front. Raises ReslabError if it has no such form.
    """
    ov: Any = openvino(WHY)
    program = exported(graph)
    outputs = ports.outputs(graph, program)
    try:
        with unreported():
            found = ov.convert_model(program)
    except Exception as error:  # RuntimeError, or OpConversionFailure of the front end
        raise ReslabError(f"OpenVINO cannot convert the model: {reason(error)}") from error
    for port, (key, example) in zip(found.inputs, graph.example.items(), strict=True):
        port.get_tensor().set_names({key})
        port.get_node().set_friendly_name(key)
        fixed = graph.fit is not None and key == graph.fit.input
        axes = {0} if fixed else set(graph.dynamic.get(key, {}))
        # the converter forgets which axes are fixed; and without names there would be nothing to set shapes by
        port.get_node().set_partial_shape(
            ov.PartialShape([-1 if k in axes else n for k, n in enumerate(example.shape)])
        )
        port.get_node().set_element_type(getattr(ov.Type, kind_of(str(example.dtype))))
    for port, key in zip(found.outputs, graph.outputs, strict=True):
        port.get_tensor().set_names({key})
    found.validate_nodes_and_infer_types()
    return found, outputs


def kind_of(dtype: str) -> str:
    """OpenVINO's name of a torch dtype."""
    known = {"uint8": "u8", "int64": "i64", "int32": "i32", "float32": "f32", "bool": "boolean"}
    return known[dtype.removeprefix("torch.")]


def save(found: Any, graph: Graph, folder: Path, name: str) -> str:
    """Write the model (quantized or not) with `graph.fit` in front; the name of its main file."""
    ov: Any = openvino(WHY)
    whole = found if graph.fit is None else behind(graph.fit, found, graph.outputs)
    try:
        ov.save_model(whole, folder / f"{name}.xml", compress_to_fp16=False)
    except RuntimeError as error:  # it does not say why: "iostream error"
        free = shutil.disk_usage(folder).free / 1e6
        raise ReslabError(f"OpenVINO cannot write {name}.xml and {name}.bin: {first_line(error)}; the disk has "
                          f"{free:,.1f} MB free") from error  # fmt: skip
    return f"{name}.xml"


def behind(fit: Fit, found: Any, names: Sequence[str]) -> Any:
    """The model behind a front that fits images of any size; the model itself is taken apart for it."""
    ov: Any = openvino(WHY)
    front = core(WHY).read_model(fitting(fit, unless=False).SerializeToString())
    ready = front.outputs[0].get_node().input_value(0)
    ready.get_node().set_friendly_name(FITTED)  # where an engine takes the two apart
    own = next(port for port in found.inputs if fit.input in port.get_names())
    for target in own.get_target_inputs():
        target.replace_source_output(ready)
    first = front.inputs[0]
    first.get_tensor().set_names({fit.input})
    first.get_node().set_friendly_name(fit.input)
    parameters = [first.get_node() if port == own else port.get_node() for port in found.inputs]
    made = ov.Model(found.get_results(), parameters, found.get_friendly_name())
    for port, key in zip(made.outputs, names, strict=True):
        port.get_tensor().set_names({key})
    return made
