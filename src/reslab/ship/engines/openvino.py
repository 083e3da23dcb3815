"""OpenVINO runs an exported graph on this CPU."""

import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.ship.engines.checks import checked
from reslab.ship.packages import core as the_core
from reslab.ship.packages import openvino
from reslab.ship.record import Config
from reslab.stored.files import named

FITTED = "reslab/fitted"  # name of the node that gives images in the net's own size (export/convert/openvino.py)
HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # what is not int8 in an int8 graph stays fp32
# Pinned threads wait for their core where others run on it: several workers of a server would share the first ones.
OPTIONS = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": "NO"}
SINGLES = 4  # batches of one after which a model compiled for one is worth its half a second and its memory


class Compiled:
    """A compiled model. Threads share it; each has a request of its own while it runs."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.names = [port.get_any_name() for port in compiled.outputs]
        self.idle: queue.SimpleQueue[Any] = queue.SimpleQueue()  # requests that no thread uses

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            request = self.idle.get_nowait()
        except queue.Empty:
            request = self.compiled.create_infer_request()
        try:
            found = request.infer(dict(inputs), share_inputs=True)
            return {name: np.array(found[k]) for k, name in enumerate(self.names)}  # the request's memory is used again
        finally:
            self.idle.put(request)


class OpenVINO:
    """See `engines.Engine`. Batches of one run in a model compiled for them, once there have been some.

    There it is 5 to 8 % faster than the one for any batch (ResNet-50 and ResNet-56); with 8 images, no faster.
    """

    device = "CPU"

    def __init__(
        self, path: Path, config: Config, whole: Compiled, *, shapes: Mapping[str, tuple[int, ...]] | None,
        single: Callable[[], Compiled] | None, fit: "Fitting | None" = None,
    ) -> None:  # fmt: skip
        self.path, self.config, self.whole, self.shapes, self.fit = path, config, whole, shapes, fit
        self.make_single, self.single = single, None if single is None else whole
        self.singles, self.lock = 0, threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = checked(inputs, self.config.inputs, self.shapes)
        try:
            if self.fit is not None:
                given = self.fit.fitted(given)
            if self.single is None or len(next(iter(given.values()))) > 1:
                return self.whole.infer(given)
            self.count()
            return self.single.infer(given)
        except RuntimeError as error:
            shapes = ", ".join(f"{name} {one.shape}" for name, one in given.items())
            raise ReslabError(f"{named(self.path)} cannot be run for {shapes}: {why(error)}") from error

    def count(self) -> None:
        """A batch of one has come: at the SINGLES-th, compile for it, while others run."""
        with self.lock:
            self.singles += 1
            begin = self.singles == SINGLES
        if begin:
            threading.Thread(target=self.compile_single, name="compile for one").start()

    def compile_single(self) -> None:
        assert self.make_single is not None
        try:
            self.single = self.make_single()
        except RuntimeError:  # memory is short: the other one goes on
            return


class Fitting:
    """What fits images to the net's size, as a model of its own: it runs for other sizes alone, always in fp32."""

    def __init__(self, fit: Compiled, *, name: str, shape: tuple[int, ...]) -> None:
        self.fit, self.name, self.shape = fit, name, shape

    def fitted(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if inputs[self.name].shape[1:] == self.shape:
            return inputs
        return {**inputs, self.name: next(iter(self.fit.infer({self.name: inputs[self.name]}).values()))}


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OpenVINO:
    ov, core = openvino(why=f"{path}"), the_core(why=f"{path}")
    options = {**OPTIONS, "INFERENCE_PRECISION_HINT": HINT[config.precision]}
    if threads:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        model = core.read_model(path)
        name, part = fit_of(model, ov)
        fitting = None
        if part is not None and not shapes:
            exact = core.compile_model(part, "CPU", {**options, "INFERENCE_PRECISION_HINT": "f32"})
            shape = tuple(one.get_length() for one in list(part.outputs[0].get_partial_shape())[1:])
            fitting = Fitting(Compiled(exact), name=name, shape=shape)
        known = dict(shapes or {}) if fitting is None else {name: fitting.shape}
        if known:
            model.reshape({name: [-1, *shape] for name, shape in known.items()})
            without_fit(model)
        whole = Compiled(core.compile_model(model, "CPU", options))
    except RuntimeError as error:
        raise ReslabError(f"{named(path)} cannot be loaded by OpenVINO: {why(error)}") from error

    def single() -> Compiled:
        model.reshape({port.get_any_name(): [1, *list(port.get_partial_shape())[1:]] for port in model.inputs})
        return Compiled(core.compile_model(model, "CPU", options))

    fixed = all(axis.is_static for port in model.inputs for axis in list(port.get_partial_shape())[1:])
    return OpenVINO(path, config, whole, shapes=shapes, single=single if fixed else None, fit=fitting)


def why(error: RuntimeError) -> str:
    """The first line of OpenVINO's message that says more than where in its source it was written."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from ", "Check '", "While validating"))]
    return (said or lines or [first_line(error)])[0]


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
