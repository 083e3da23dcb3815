"""Run an exported graph: OpenVINO and ONNX Runtime without torch, or torch itself. One interface."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from reslab.errors import UsageError, arg
from reslab.ship.record import Config
from reslab.stored.files import named

HOME = {"openvino": "openvino", "onnx": "onnx", "torch": "eager"}  # engine: its module here


class Engine(Protocol):
    """One graph, loaded. Several threads may call `run` at once."""

    device: str
    config: Config

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name; the first axis of all inputs and outputs is the batch, of any length.

        Raises UsageError for inputs that are not those of the config: other names, types or shapes; ReslabError if the
        engine fails.
        """


def engine(
    folder: Path, config: Config, which: int = 0, *, threads: int = 0,
    shapes: Mapping[str, tuple[int, ...]] | None = None, device: str = "auto",
) -> Engine:  # fmt: skip
    """The graph `config.files[which]` of an exported folder.

    `threads`: 0 means as many as the engine thinks best. `shapes`: lengths that inputs will have (without the batch),
    where they are known: a graph compiled for them may be faster, and takes no others. `device`: for torch, a device
    of its own; the others run on the CPU. Raises UsageError if the engine's package is missing or for another device,
    ReslabError for a damaged file.
    """
    if config.engine != "torch" and device not in ("auto", "cpu"):
        raise UsageError(f"{named(folder)} holds a graph for {config.engine}, which runs on the CPU: leave out ",
                         arg("device", device))  # fmt: skip
    load = import_module(f"reslab.ship.engines.{HOME[config.engine]}").load
    on = {"device": device} if config.engine == "torch" else {}
    return cast(Engine, load(folder / config.files[which], config, threads=threads, shapes=shapes, **on))
