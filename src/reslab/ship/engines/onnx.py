"""ONNX Runtime runs an exported graph on this CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.extras import need
from reslab.ship.engines.checks import checked
from reslab.ship.record import Config
from reslab.stored.files import named


class Session:
    """A session of ONNX Runtime, which threads share."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.names = [one.name for one in session.get_outputs()]

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.session.run(self.names, dict(inputs)), strict=True))


class OnnxRuntime:
    """See `engines.Engine`."""

    device = "CPU"

    def __init__(
        self, path: Path, config: Config, session: Session, shapes: Mapping[str, tuple[int, ...]] | None
    ) -> None:  # fmt: skip
        self.path, self.config, self.session, self.shapes = path, config, session, shapes

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = checked(inputs, self.config.inputs, self.shapes)
        try:
            return self.session.infer(given)
        except Exception as error:  # its classes have no common base but Exception
            shapes = ", ".join(f"{name} {one.shape}" for name, one in given.items())
            raise ReslabError(f"{named(self.path)} cannot be run for {shapes}: {first_line(error)}") from error


def load(
    path: Path, config: Config, *, threads: int = 0, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> OnnxRuntime:
    ort: Any = need("onnxruntime", extra="ship", why=f"{path}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # a failing run is raised; logging it would print it twice
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # see above
        raise ReslabError(f"{named(path)} cannot be loaded by ONNX Runtime: {first_line(error)}") from error
    return OnnxRuntime(path, config, Session(session), shapes)
