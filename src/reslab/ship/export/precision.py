"""The precisions that an engine has here, each made from the fp32 graphs, proved, and timed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError, UsageError, arg
from reslab.extras import need
from reslab.progress import Progress
from reslab.ship.engines import engine
from reslab.ship.engines.onnx import Session
from reslab.ship.engines.openvino import Compiled
from reslab.ship.export.compared import scored
from reslab.ship.export.int8 import Work, int8_layers, quantized, restored
from reslab.ship.export.passes import Outputs, engines, run
from reslab.ship.exportable import Examples, Exportable, Graph
from reslab.ship.packages import core
from reslab.ship.record import Config, EngineName, Precision

HAS: dict[EngineName, tuple[Precision, ...]] = {  # the most exact one first
    "openvino": ("fp32", "bf16", "int8"),
    "onnx": ("fp32", "int8"),
    "torch": ("fp32", "bf16"),
}
# Of five nets for one table (adult, 1,300 rows), three gave other scores in batches of 2 than of 7, some 1e34, as
# if memory was read that nothing had written to. A comparison may miss that, so no such file is made.
UNSTEADY = ("OpenVINO 2026.4 computes nets for tables wrongly in int8: the scores of a row depend on how many rows it "
            "is given at a time")  # fmt: skip
BATCH = 32  # examples at a time while layers are put back


@dataclass(frozen=True, kw_only=True)
class Made:
    """Graphs of one precision in a folder; of int8 how many layers are in int8 and how many were put back."""

    folder: Path
    config: Config
    int8: tuple[int, int] = (0, 0)


@dataclass(kw_only=True)
class Maker:
    """Makes bf16 and int8 from the fp32 graphs in `folder`."""

    subject: Exportable
    graphs: Sequence[Graph]
    folder: Path
    config: Config
    examples: Sequence[Examples]
    before: Outputs
    max_drop: float
    threads: int
    samples: int
    progress: Progress
    notes: list[str] = field(default_factory=list)

    def made(self, precision: Precision) -> Made:
        """The model in this precision. Raises ReslabError if that fails."""
        config = replace(self.config, precision=precision)
        if precision != "int8":
            return Made(folder=self.folder, config=config)
        return self.int8(config)

    def int8(self, config: Config) -> Made:
        """Every layer that can be in int8 is; if the score drops too far, those that cost most are put back."""
        if (self.subject.kind, config.engine) == ("tables", "openvino"):
            raise ReslabError(UNSTEADY)
        folder, taught = self.folder / ".int8", self.subject.calibration(min(self.samples, 300))
        if taught[0].random:
            self.notes.append("int8 was calibrated on random inputs, as there are no training data")
        work = [self.work(which, one, folder) for which, one in enumerate(taught)]
        for each in work:
            quantized(each)
        found = Made(folder=folder, config=config)
        whole = self.layers(found)
        score = self.score(found)
        if score is not None and score > self.max_drop:
            for which, each in enumerate(work):
                self.put_back(found, which, each)
        left = self.layers(found)
        return replace(found, int8=(left, whole - left))

    def work(self, which: int, taught: Examples, folder: Path) -> Work:
        name = Path(self.config.files[which]).with_suffix("").as_posix()
        return Work(graph=self.graphs[which], engine=self.config.engine, kind=self.config.kind, folder=folder,
                    name=name, examples=taught, progress=self.progress)  # fmt: skip

    def layers(self, made: Made) -> int:
        return sum(int8_layers(made.folder / name, made.config.engine) for name in made.config.files)

    def score(self, made: Made) -> float | None:
        """Points that the score drops by; None if nobody knows what is right."""
        loaded = engines(made.folder, made.config, threads=self.threads)
        after = run(loaded, self.examples, 7, progress=self.progress, note="int8, before layers are put back")
        found = scored(self.subject, self.examples, self.before, after)
        return None if found is None else found.drop

    def put_back(self, made: Made, which: int, work: Work) -> None:
        """Write graph `which` again, without int8 where it costs most; the other graphs stay as they are."""
        others = self.beside(made, which)
        known = self.subject.right(self.before, self.examples)
        assert known is not None
        n = len(self.examples[which])
        aligned = len(known) == n  # an answer for every example of the graph

        def right(model: Any, items: Sequence[int]) -> np.ndarray:
            rows = list(items) if aligned else list(range(n))
            outputs = list(others)
            outputs[which] = {name: value.copy() for name, value in self.before[which].items()}
            tried = running(model, made.config.engine)
            for start in range(0, len(rows), BATCH):
                some = np.array(rows[start : start + BATCH])
                given = tried.infer({name: value[some] for name, value in self.examples[which].inputs.items()})
                for name, value in given.items():
                    outputs[which][name][some] = value
            found = np.asarray(self.subject.right(outputs, self.examples), np.float64)
            return found[rows] if aligned else found.mean(keepdims=True)

        restored(work, right=right, items=n if aligned else 1, max_drop=self.max_drop / 100)

    def beside(self, made: Made, which: int) -> Outputs:
        """What the other graphs give as they are now; in the place of `which`, what the original model gave."""
        found = list(self.before)
        for k, one in enumerate(self.examples):
            if k != which:
                model = engine(made.folder, made.config, k, threads=self.threads)
                found[k] = run([model], [one], BATCH, progress=self.progress, note="int8")[0]
        return found


def running(model: Any, to: EngineName) -> Session | Compiled:
    """What NNCF gives to be tried, OpenVINO's compiled model or an onnx.ModelProto, ready to infer."""
    if to == "openvino":
        return Compiled(model)
    ort = need("onnxruntime", extra="ship", why="int8")
    return Session(ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]))


def check(to: EngineName, precision: str) -> None:
    """Raise UsageError for a precision that the engine does not have."""
    if precision not in ("auto", *HAS[to]):
        raise UsageError(f"{to} has no {precision} here: ", arg("precision"),
                         f" is auto, {' or '.join(HAS[to])}")  # fmt: skip


def native_bf16(to: EngineName) -> bool:
    """Whether the processor computes in bf16 itself, so that it can be faster than fp32."""
    if to == "openvino":
        return "BF16" in core(why="bf16").get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    import torch

    from reslab.train.tune import native_bf16 as native

    return native(torch.device("cpu"))
