"""What nodes inside an exported file compute: their outputs are made outputs of a copy of the graph."""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from reslab.extras import need
from reslab.ship.engines import eager
from reslab.ship.engines.openvino import HINT
from reslab.ship.exportable import Arrays
from reslab.ship.packages import core
from reslab.ship.record import Config, EngineName

Shapes = Collection[tuple[int, ...]]
Values = Iterator[tuple[str, np.ndarray]]  # a node's name, what it gives
MOST = 2**28  # bytes of outputs that are kept at a time


def openvino_values(path: Path, config: Config, inputs: Arrays, shapes: Shapes) -> Values:
    """Of every floating-point node whose output has one of the shapes, in the order of the graph."""
    ov = core(why=f"{path}")
    hint = {"INFERENCE_PRECISION_HINT": HINT[config.precision]}

    def fresh() -> Any:
        model = ov.read_model(path)
        model.reshape({name: list(value.shape) for name, value in inputs.items()})
        return model

    def wanted(op: Any) -> bool:
        if op.get_type_name() in ("Constant", "Parameter", "Result") or op.get_output_size() != 1 or unbiased(op):
            return False
        out = op.output(0)
        static = not out.get_partial_shape().is_dynamic
        return static and out.get_element_type().is_real() and tuple(out.get_shape()) in shapes

    found = [(op.get_friendly_name(), int(np.prod(op.output(0).get_shape()))) for op in fresh().get_ordered_ops()
             if wanted(op)]  # fmt: skip
    for names in groups(found):
        model = fresh()
        ops = {op.get_friendly_name(): op for op in model.get_ordered_ops() if op.get_friendly_name() in names}
        model.add_outputs([ops[name].output(0) for name in names])
        compiled = ov.compile_model(model, "CPU", hint)
        first = len(compiled.outputs) - len(names)
        given = compiled.create_infer_request().infer(dict(inputs))
        yield from ((name, np.array(given[first + k], np.float32)) for k, name in enumerate(names))


def unbiased(op: Any) -> bool:
    """Whether the node is a convolution or a product whose bias is added by the next one: half of a layer."""
    if op.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
        return False
    users = [one.get_node() for one in op.output(0).get_target_inputs()]
    if len(users) != 1 or users[0].get_type_name() != "Add":
        return False
    return any(one.get_source_output().get_node().get_type_name() == "Constant" for one in users[0].inputs())


def onnx_values(path: Path, config: Config, inputs: Arrays, shapes: Shapes) -> Values:
    """Of every node whose output has one of the shapes, in the order of the graph."""
    onnx, ort = (need(name, extra="ship", why=f"{path}") for name in ("onnx", "onnxruntime"))
    plain = onnx.load(str(path), load_external_data=False)
    own = {one.name for one in plain.graph.output}
    names = [name for node in plain.graph.node for name in node.output if name]
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    for start in range(0, len(names), 64):
        some = names[start : start + 64]
        model = onnx.ModelProto()
        model.CopyFrom(plain)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in some if name not in own)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".taps-", suffix=".onnx") as file:
            file.write(model.SerializeToString())
            file.flush()
            session = ort.InferenceSession(file.name, options, providers=["CPUExecutionProvider"])
            for name, value in zip(some, session.run(some, dict(inputs)), strict=True):
                if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.shape in shapes:
                    yield name, value


def groups(found: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Names of nodes whose values, float32, fit into MOST bytes together."""
    names: list[str] = []
    size = 0
    for name, count in found:
        if names and size + 4 * count > MOST:
            yield names
            names, size = [], 0
        names.append(name)
        size += 4 * count
    if names:
        yield names


def torch_values(path: Path, config: Config, inputs: Arrays, shapes: Shapes) -> Values:
    """Of every operator of a stored program whose result has one of the shapes, in their order."""
    program, found = eager.load(path, config, device="cpu"), list[tuple[str, np.ndarray]]()

    def watched(number: int, run: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*args: Any, **options: Any) -> Any:
            result = run(*args, **options)
            if isinstance(result, Tensor) and result.is_floating_point() and tuple(result.shape) in shapes:
                found.append((f"{number}", result.float().numpy().copy()))
            return result

        return watching

    program.steps = [one if one.run is None else replace(one, run=watched(k, one.run))
                     for k, one in enumerate(program.steps)]  # fmt: skip
    program.run(inputs)
    yield from found


VALUES: dict[EngineName, Callable[[Path, Config, Arrays, Shapes], Values]] = {
    "openvino": openvino_values,
    "onnx": onnx_values,
    "torch": torch_values,
}
