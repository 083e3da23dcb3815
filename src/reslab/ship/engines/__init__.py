"""Run an exported graph: OpenVINO and ONNX Runtime without torch, or torch itself. One interface."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from reslab.ship.record import Config

HOME = {"openvino": "openvino", "onnx": "onnx", "torch": "eager"}  # engine: its module here


class Engine(Protocol):
    """One graph, loaded. Several threads may call `run` at once."""

    device: str

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name; the first axis of all inputs and outputs is the batch, of any length."""


def engine(
    folder: Path, config: Config, which: int = 0, *, threads: int = 0,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Engine:  # fmt: skip
    """The graph `config.files[which]` of an exported folder.

    `threads`: 0 means as many as the engine thinks best. `shapes`: lengths that inputs will have (without the batch),
    where they are known: a graph compiled for them may be faster, and takes no others. Raises UsageError if the
    engine's package is missing, ReslabError for a damaged file.
    """
    made = import_module(f"reslab.ship.engines.{HOME[config.engine]}").load
    return cast(Engine, made(folder / config.files[which], config, threads=threads, shapes=shapes))
