"""OpenVINO runs an exported graph on this CPU."""

import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.ship.packages import core as the_core
from reslab.ship.packages import openvino
from reslab.ship.record import Config

FITTED = "reslab/fitted"  # name of the node that gives images in the net's own size (export/convert/openvino.py)
HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # what is not int8 in an int8 graph stays fp32


class OpenVINO:
    """See `engines.Engine`."""

    device = "CPU"

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.names = [port.get_any_name() for port in compiled.outputs]
        self.idle: queue.SimpleQueue[Any] = queue.SimpleQueue()  # requests that no thread uses

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            request = self.idle.get_nowait()
        except queue.Empty:
            request = self.compiled.create_infer_request()
        try:
            found = request.infer(dict(inputs), share_inputs=True)
            return {name: np.array(found[k]) for k, name in enumerate(self.names)}
        finally:
            self.idle.put(request)


class BehindFit:
    """A graph for images of any size: what fits them to the net's size runs for other sizes alone, always in fp32."""

    device = "CPU"

    def __init__(self, fit: OpenVINO, net: OpenVINO, *, name: str, shape: tuple[int, ...]) -> None:
        self.fit, self.net, self.name, self.shape = fit, net, name, shape

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if inputs[self.name].shape[1:] != self.shape:
            inputs = {**inputs, self.name: next(iter(self.fit.run({self.name: inputs[self.name]}).values()))}
        return self.net.run(inputs)


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OpenVINO | BehindFit:
    ov, core = openvino(why=f"{path}"), the_core(why=f"{path}")
    options = {"INFERENCE_PRECISION_HINT": HINT[config.precision], "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        model = core.read_model(path)
        name, fit = fit_of(model, ov)
        if shapes:
            model.reshape({name: [-1, *shape] for name, shape in shapes.items()})
            without_fit(model)
            return OpenVINO(core.compile_model(model, "CPU", options))
        if fit is None:
            return OpenVINO(core.compile_model(model, "CPU", options))
        shape = tuple(one.get_length() for one in list(fit.outputs[0].get_partial_shape())[1:])
        model.reshape({name: [-1, *shape]})
        without_fit(model)
        exact = core.compile_model(fit, "CPU", {**options, "INFERENCE_PRECISION_HINT": "f32"})
        net = OpenVINO(core.compile_model(model, "CPU", options))
        return BehindFit(OpenVINO(exact), net, name=name, shape=shape)
    except RuntimeError as error:
        raise ReslabError(f"{path} cannot be loaded by OpenVINO: {first_line(error)}") from error


def fit_of(model: Any, ov: Any) -> tuple[str, Any]:
    """(the input, a model of its own) of what fits images to the net's size; ("", None) if there is no such part."""
    copy = model.clone()
    node = next((one for one in copy.get_ops() if one.get_friendly_name() == FITTED), None)
    if node is None:
        return "", None
    kind, sizes = node.get_output_element_type(0), node.get_output_partial_shape(0).rank
    own = next(one for one in copy.inputs if (one.get_element_type(), one.get_partial_shape().rank) == (kind, sizes))
    made = ov.Model([node.output(0)], [own.get_node()], "fit")
    made.outputs[0].get_tensor().set_names({"fitted"})
    return own.get_any_name(), made


def without_fit(model: Any) -> None:
    """Take what fits images to the net's size out of a model that is only given images of that size."""
    for node in model.get_ops():
        if node.get_friendly_name() != FITTED:
            continue
        own = next((port for port in model.inputs if port.get_partial_shape() == node.get_output_partial_shape(0)
                    and port.get_element_type() == node.get_output_element_type(0)), None)  # fmt: skip
        if own is not None:
            node.output(0).replace(own.get_node().output(0))
            model.validate_nodes_and_infer_types()
        return
