"""int8 through NNCF: weights and activations of the layers that can bear it, calibrated on training data."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, first_line
from reslab.extras import need
from reslab.progress import Phase, Progress
from reslab.ship.export.convert import onnx as to_onnx
from reslab.ship.export.convert import openvino as to_openvino
from reslab.ship.export.convert.program import exported
from reslab.ship.export.passes import chunks
from reslab.ship.exportable import Arrays, Examples, Graph
from reslab.ship.packages import core, own_signal_stack
from reslab.ship.packages import nncf as load_nncf
from reslab.ship.record import EngineName, Kind

CALIBRATION = 300  # examples: NNCF's own default
RANKED = 100  # examples on which each layer's cost is measured; NNCF's own 300 take minutes for 50 layers
MOST = 20  # groups of layers that are put back, each followed by a run over all examples
HEAVY = (
    "Convolution",
    "GroupConvolution",
    "MatMul",
    "Conv",
    "Gemm",
)  # layers that gain from int8, OpenVINO's and ONNX's

Right = Callable[[Any, Sequence[int]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A graph that is quantized: what it is exported to, where it is written, on which examples it is calibrated."""

    graph: Graph
    engine: EngineName
    kind: Kind
    folder: Path
    name: str  # of the file, without its ending
    examples: Examples  # images in the size that the net takes: what fits others to it stays as it is
    progress: Progress

    @property
    def rows(self) -> list[dict[str, np.ndarray]]:
        return list(chunks(self.examples.inputs, 1))[:CALIBRATION]

    def options(self, nncf: Any) -> dict[str, Any]:
        """Of both ways to quantize."""
        kind = {"model_type": nncf.ModelType.TRANSFORMER} if self.kind == "questions" else {}
        return {"subset_size": len(self.rows), **kind}


def quantized(work: Work) -> None:
    """Write the graph in int8, its ranges measured on the examples. Raises ReslabError."""
    nncf = load_nncf(why="int8")
    with quiet(), failing():
        made = nncf.quantize(plain(work), nncf.Dataset(Watched(work.rows, work.progress)), **work.options(nncf))
    save(made, work)


def restored(work: Work, *, right: Right, items: int, max_drop: float) -> None:
    """As `quantized`; then the layers that cost most are put back until the mean of `right` is within `max_drop`.

    `right(model, items)` is how right the compiled model's answers to these items are, from 0 to 1; there are `items`
    of them. `max_drop` is in the same unit. Raises ReslabError.
    """
    nncf = load_nncf(why="int8")

    def validate(model: Any, given: Any) -> tuple[float, list[float]]:
        work.progress(0, 0, Phase("finding the layers that int8 hurts"))
        found = right(model, [int(one) for one in given])
        return float(found.mean()), [float(one) for one in found]

    with quiet(), failing():
        made = nncf.quantize_with_accuracy_control(
            plain(work), nncf.Dataset(Watched(work.rows, work.progress)), nncf.Dataset(list(range(items))), validate,
            max_drop=max_drop, drop_type=nncf.DropType.ABSOLUTE, **work.options(nncf),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=RANKED, max_num_iterations=MOST, num_ranking_workers=1
            ),
        )  # fmt: skip
    save(made, work)


def plain(work: Work) -> Any:
    """The converted graph, without what fits images to its size."""
    if work.engine == "openvino":
        return to_openvino.model(work.graph)[0]
    return to_onnx.proto(work.graph, exported(work.graph))


def save(model: Any, work: Work) -> None:
    """Write the quantized graph, with what fits images to its size in front."""
    (work.folder / work.name).parent.mkdir(parents=True, exist_ok=True)
    if work.engine == "openvino":
        to_openvino.save(model, work.graph, work.folder, work.name)
        return
    if work.graph.fit is not None:
        to_onnx.behind(work.graph.fit, model)
    to_onnx.save(model, work.folder / f"{work.name}.onnx")


def read(path: Path, engine: EngineName) -> Any:
    if engine == "openvino":
        return core(why="int8").read_model(path)
    return need("onnx", extra="ship", why="int8").load(str(path))


def int8_layers(path: Path, engine: EngineName) -> int:
    """Convolutions and matrix products of the file that are fed quantized numbers."""
    if engine == "openvino":
        return sum(fed_by(op, "FakeQuantize") for op in read(path, engine).get_ordered_ops()
                   if op.get_type_name() in HEAVY)  # fmt: skip
    graph = read(path, engine).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    return sum(any(makers.get(name) == "DequantizeLinear" for name in node.input) for node in graph.node
               if node.op_type in HEAVY)  # fmt: skip


def fed_by(op: Any, kind: str) -> bool:
    return any(port.get_source_output().get_node().get_type_name() == kind for port in op.inputs())


class Watched(list[Mapping[str, np.ndarray]]):
    """Calibration examples that report how many of them were taken."""

    def __init__(self, rows: Sequence[Arrays], progress: Progress) -> None:
        super().__init__(rows)
        self.progress = progress

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        for k, row in enumerate(super().__iter__()):
            self.progress(k, len(self), Phase("calibrating int8"))
            yield row


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Turn whatever NNCF raises into one sentence."""
    try:
        yield
    except ReslabError:
        raise
    except Exception as error:
        raise ReslabError(f"NNCF cannot quantize this model: {first_line(error)}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without NNCF's log, its bars on standard output, and the warnings of its libraries; signals stay safe."""
    log = logging.getLogger("nncf")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), own_signal_stack():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
