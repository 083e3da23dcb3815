"""OpenVINO runs an exported graph on this CPU."""

import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.ship.packages import openvino
from reslab.ship.record import Config

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


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OpenVINO:
    core = openvino(why=f"{path}").Core()
    options = {"INFERENCE_PRECISION_HINT": HINT[config.precision], "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        model = core.read_model(path)
        if shapes:
            model.reshape({name: [-1, *shape] for name, shape in shapes.items()})
        return OpenVINO(core.compile_model(model, "CPU", options))
    except RuntimeError as error:
        raise ReslabError(f"{path} cannot be loaded by OpenVINO: {first_line(error)}") from error
