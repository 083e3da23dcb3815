"""ONNX Runtime runs an exported graph on this CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.extras import need
from reslab.ship.record import Config


class OnnxRuntime:
    """See `engines.Engine`."""

    device = "CPU"

    def __init__(self, session: Any) -> None:
        self.session = session
        self.names = [one.name for one in session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.session.run(self.names, dict(inputs)), strict=True))


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OnnxRuntime:
    ort: Any = need("onnxruntime", extra="ship", why=f"{path}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone: warnings are about the graph, not for users
    try:
        return OnnxRuntime(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
    except Exception as error:  # its classes have no common base but Exception
        raise ReslabError(f"{path} cannot be loaded by ONNX Runtime: {first_line(error)}") from error
