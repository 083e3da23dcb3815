"""Predict rows of a table with an exported folder, as `tables.TableModel` does, by the folder's engine.

No torch for OpenVINO and ONNX.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reslab.errors import ReslabError
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.ship.engines import Engine, engine
from reslab.ship.folder import CONFIG, inside
from reslab.ship.record import Config
from reslab.stored import ships
from reslab.stored.files import named, read_bytes
from reslab.stored.read import held
from reslab.stored.tensors import read_arrays
from reslab.tables.calibrate import Calibration, read_calibration
from reslab.tables.coded import ARRAYS, ENCODER, TARGET, VECTORS, read_coded
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.rows import Rows
from reslab.tables.data.target import Target
from reslab.tables.predicting import RowPredictor, activated

ROWS = 1024  # in a batch: as in torch, they fit in the cache


@dataclass(frozen=True, eq=False)
class Coder:
    """A TableEncoder whose tables are arrays; otherwise like the encoder of a run's member."""

    table: TableEncoder

    @property
    def kinds(self) -> Mapping[str, str]:
        return self.table.kinds

    @property
    def needed(self) -> tuple[str, ...]:
        return self.table.needed

    def transform(self, frame: Frame, *, report: Report | None = None, progress: Progress = silent) -> Rows:
        return self.table.rows(frame, report=report)


@dataclass(frozen=True, eq=False)
class Member:
    """One graph, its table encoder, and the vectors that it is given the sums of."""

    encoder: Coder
    engine: Engine
    vectors: np.ndarray | None  # float32 (V, E): of the values in bags


class TablePredictor(RowPredictor):
    """What `reslab.predict(FOLDER)` gives for tables; used like `tables.load(RUN)`, with the same results.

    Several threads may predict at once.
    """

    members: tuple[Member, ...]

    def __init__(
        self, members: Sequence[Member], target: Target, calibration: Calibration | None, *, config: Config
    ) -> None:
        super().__init__(members, target, calibration)
        self.config = config
        self.version = ""  # a digest of the folder

    def of_table(self, member: Member, table: Rows) -> np.ndarray:
        out = np.empty((len(table), self.target.outputs), np.float32)
        for start in range(0, len(table), ROWS):
            rows = np.arange(start, min(start + ROWS, len(table)))
            out[rows] = member.engine.run(table.inputs(rows, member.vectors))["scores"]
        return activated(out, self.target)

    def __repr__(self) -> str:
        one, many = self.config, len(self.members)
        nets = f"{many} nets" if many > 1 else "a net"
        return f"<{one.name}: {nets} for {one.engine} in {one.precision}, {len(self.columns)} columns to " \
               f"{self.target.kind}>"  # fmt: skip


def load(folder: Path, config: Config, *, threads: int = 0, device: str = "auto") -> TablePredictor:
    """The predictor of an exported folder. Raises ReslabError for a damaged one, and as `engines.engine` does."""
    where = named(folder / CONFIG)
    names: list[str] = held(ships.TablesConfig, {"about": config.about}, folder / CONFIG)["about"]["members"]
    if len(names) != len(config.files) or not all(name == "." or inside(name) for name in names) or not names:
        raise ReslabError(f"{where} is damaged: it names {len(names)} members and {len(config.files)} graphs; export "
                          "the model again")  # fmt: skip
    known: dict[tuple[bytes, ...], tuple[Coder, Target]] = {}  # members mostly read the table in the same way
    members, targets = [], []
    for which, name in enumerate(names):
        run = Run(folder / name)
        key = tuple(read_bytes(run.path(file)) for file in (ENCODER, ARRAYS, TARGET))
        if key not in known:
            known[key] = read_coded(run, lambda about, arrays: Coder(TableEncoder.from_dict(about, arrays)))
        coder, target = known[key]
        vectors = vectors_of(folder / name / VECTORS) if coder.table.sizes["bags"] else None
        members.append(Member(coder, engine(folder, config, which, threads=threads, device=device), vectors))
        targets.append(target)
    kinds = {(target.kind, target.outputs) for target in targets}
    ports = {one.name: one for one in (*config.inputs, *config.outputs)}
    if len(kinds) > 1 or "scores" not in ports or ports["scores"].shape[1:] != (targets[0].outputs,):
        raise ReslabError(f"{where} is damaged: its graphs and {TARGET} are of different targets; export the model "
                          "again")  # fmt: skip
    for member in members:
        refuse_other(member, config, where)
    return TablePredictor(members, targets[0], read_calibration(Run(folder), targets[0]), config=config)


def vectors_of(path: Path) -> np.ndarray:
    """Raises ReslabError for another file than a member's vectors."""
    found = read_arrays(path, what="is damaged")
    if list(found) != ["vectors"] or found["vectors"].ndim != 2 or found["vectors"].dtype != np.float32:
        raise ReslabError(f"{named(path)} is damaged: it holds no vectors; export the model again")
    return found["vectors"]


def refuse_other(member: Member, config: Config, where: str) -> None:
    """Raise ReslabError if the graph does not take the columns that the encoder makes, with vectors of their values."""
    sizes, vectors = member.encoder.table.sizes, member.vectors
    wanted: dict[str, tuple[int | None, ...]] = {}
    if sizes["numbers"]:
        wanted["numbers"] = (None, sizes["numbers"], 2)
    if sizes["categories"]:
        wanted["codes"] = (None, len(sizes["categories"]))
    if vectors is not None:
        wanted["bags"] = (None, len(sizes["bags"]), vectors.shape[1])
    fits = vectors is None or len(vectors) == sum(sizes["bags"])
    if not fits or wanted != {one.name: one.shape for one in config.inputs}:
        raise ReslabError(f"{where} is damaged: its graph and {ENCODER} are of different columns; export the model "
                          "again")  # fmt: skip
