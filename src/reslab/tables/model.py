"""A trained model of a table, from rows to predictions: one net, or the average of several."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.nets.checkpoints import read_state
from reslab.nets.matching import match
from reslab.nets.specs import read_stored
from reslab.nets.weights import insert, refuse_nan
from reslab.progress import Progress, silent
from reslab.run import MEMBERS, Run, missing
from reslab.stored.digest import sealed_tensors
from reslab.stored.files import MissingFile
from reslab.stored.tensors import read_tensors
from reslab.stored.write import write_aside
from reslab.tables.calibrate import Calibration, mean_of, read_calibration, write_calibration
from reslab.tables.data.encoder import Table
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.target import Target
from reslab.tables.net.net import Inside, TableNet, build_table
from reslab.tables.net.spec import TableSpec, from_dict, to_dict
from reslab.tables.task import CPU_ROWS, outputs
from reslab.tables.vectors import Encoder
from reslab.train.checkpoint import write_weights
from reslab.train.folder import DONE, pick_device
from reslab.train.tune import Choice

ENCODER, ARRAYS, TARGET, WEIGHTS = "encoder.json", "encoder.safetensors", "target.json", "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One net and its table encoder."""

    spec: TableSpec
    encoder: Encoder
    net: nn.Module


class TableModel:
    """Predicts a target from the columns it was trained on; `load` creates it from a run folder."""

    def __init__(
        self, members: Sequence[Member], target: Target, *, device: torch.device, choice: Choice | None = None,
        calibration: Calibration | None = None,
    ) -> None:  # fmt: skip
        self.calibration = calibration
        self.members, self.target, self.device, self.choice = tuple(members), target, device, choice or Choice()
        for member in members:
            member.net.eval().to(device)

    @property
    def format(self) -> Format:
        """What a table for this model is known to be."""
        encoder = self.members[0].encoder
        spelling = encoder.table.spelling
        return Format(
            decimal=spelling.decimal, missing=spelling.missing, names=tuple(encoder.kinds), only=encoder.needed
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that it uses."""
        return self.members[0].encoder.needed

    def predict(self, data: Any, *, report: Report | None = None) -> np.ndarray:
        """The class of each row, (N,); its labels as 0 and 1, (N, K); or its numbers, (N,) or (N, K).

        `data`: a path, a pandas, polars or pyarrow table, an array, or a mapping of columns. Unseen categories and
        the like go to `report`, or are warned about without it. Raises UsageError for missing columns, naming them.
        """
        own = Report()
        found = self.target.decode(self.scores(data, report=own if report is None else report))
        own.warn(stacklevel=3)
        return found

    def predict_proba(self, data: Any, *, report: Report | None = None) -> np.ndarray:
        """The probability of each class or label, (N, K). Raises UsageError for a target of numbers."""
        if self.target.kind == "numbers":
            raise UsageError("a target of numbers has no probabilities; use predict")
        own = Report()
        found = self.scores(data, report=own if report is None else report)
        own.warn(stacklevel=3)
        return found

    def scores(self, data: Any, *, report: Report | None = None, progress: Progress = silent) -> np.ndarray:
        """Float64 (N, K): probabilities, or numbers in the target's unit; the members' mean."""
        frame = data if isinstance(data, Frame) else read_frame(data, report=report, how=self.format)
        return self.of_tables(self.tables(frame, report, progress))

    def tables(self, frame: Frame, report: Report | None = None, progress: Progress = silent) -> list[Table]:
        """The frame encoded for each member."""
        made: dict[int, Table] = {}
        for member in self.members:
            if id(member.encoder) not in made:
                table = member.encoder.transform(frame, report=None if made else report, progress=progress)
                made[id(member.encoder)] = table
        return [made[id(member.encoder)] for member in self.members]

    def of_tables(self, tables: Sequence[Table]) -> np.ndarray:
        """The members' mean scores of the tables that `tables` made, calibrated if the model is."""
        each = [self.of_table(member, table) for member, table in zip(self.members, tables, strict=True)]
        if self.calibration is not None:
            return self.calibration.apply(mean_of(each, self.target.kind), self.target)
        found: np.ndarray = np.mean(each, axis=0)
        return found

    def of_table(self, member: Member, table: Table) -> np.ndarray:
        """One member's scores, not calibrated, of a table that its encoder made."""
        out = outputs(member.net, table, device=self.device, choice=self.choice).cpu().double()
        if self.target.kind == "classes":
            return out.softmax(dim=1).numpy()
        if self.target.kind == "labels":
            return out.sigmoid().numpy()
        return self.target.unscaled(out.numpy())

    def inside(self, data: Any, *, member: int = 0) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """A member's net after its columns, and these rows as it reads them: what `reslab.look` measures.

        `data` as `predict` takes it, raising what it raises; labels are torch.from_numpy(target.encode(values)).
        """
        chosen, frame = self.members[member], data if isinstance(data, Frame) else read_frame(data, how=self.format)
        table, net = self.tables(frame)[member], chosen.net
        assert isinstance(net, TableNet)
        parts = [net.read(**table.batch(np.arange(start, min(start + CPU_ROWS, len(table))), self.device))
                 for start in range(0, len(table), CPU_ROWS)]  # fmt: skip
        return Inside(net).eval(), {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def save(self, folder: Path | str) -> Path:
        """Write a folder that `load` reads. Raises UsageError if it is not empty."""
        run = Run(folder)
        if run.folder.exists() and not (run.folder.is_dir() and not any(run.folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; choose another one")
        if len(self.members) == 1:
            run.make()
            write_calibration(run, self.calibration)
            write_member(run, self.members[0], self.target)
            return run.folder
        names = [f"s{k}" for k in range(len(self.members))]
        for name, member in zip(names, self.members, strict=True):
            write_member(Run(run.path(name)), member, self.target)
        write_calibration(run, self.calibration)
        run.write_json(MEMBERS, {"members": names})
        return run.folder


def write_encoder(run: Run, encoder: Encoder, target: Target) -> None:
    """Write how a run folder's table is encoded: JSON, and arrays as safetensors."""
    about, arrays = encoder.to_dict()
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_aside(run.path(ARRAYS), sealed_tensors(save(whole)))
    run.write_json(ENCODER, about)
    run.write_json(TARGET, target.to_dict())


def write_member(run: Run, member: Member, target: Target) -> None:
    run.make()
    write_encoder(run, member.encoder, target)
    write_weights(run, member.net, to_dict(member.spec))
    run.write_json("spec.json", to_dict(member.spec))  # last: with it the folder is a run


def read_encoder(run: Run, device: torch.device) -> tuple[Encoder, Target]:
    """The encoder and target that `write_encoder` wrote; text encoders run on `device`. Raises ReslabError."""
    about, target = run.read_json(ENCODER), run.read_json(TARGET)
    path = run.path(ARRAYS)
    try:
        arrays = {name: tensor.numpy() for name, tensor in read_tensors(path, what="is damaged").items()}
        encoder, known = Encoder.from_dict(about, arrays, device), Target.from_dict(target)
        values = known.mean if known.kind == "numbers" else known.classes
        if values is None or len(values) != known.outputs:
            raise ReslabError(f"a target of {known.kind} with {known.outputs} outputs has other values")
        return encoder, known
    except MissingFile as error:
        raise missing(path) from error
    except (ReslabError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise ReslabError(f"{run.path(ENCODER)}, {ARRAYS} or {TARGET} is damaged ({error}); restore them") from error


def same_encoders(one: Encoder, other: Encoder) -> bool:
    """Whether two encoders turn every table into the same numbers."""
    (about, arrays), (about2, arrays2) = one.to_dict(), other.to_dict()
    plain = json.loads(json.dumps([about, about2]))
    return bool(plain[0] == plain[1] and arrays.keys() == arrays2.keys()
                and all(np.array_equal(arrays[key], arrays2[key], equal_nan=True) for key in arrays))  # fmt: skip


def members_of(run: Run) -> list[Run]:
    """The run folders of an ensemble's members; of a single net, the run itself. Raises ReslabError if damaged."""
    if not run.has(MEMBERS):
        return [run]
    names = run.read_json(MEMBERS, "members")["members"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ReslabError(f"{run.path(MEMBERS)} is damaged: it names no members; restore a copy of it")
    found = [Run(run.path(name)) for name in names]
    for member in found:
        if not member.has("spec.json"):
            raise missing(member.path("spec.json"))
    return found


def load(run: Path | str, *, device: str = "auto") -> TableModel:
    """The model of a finished training, an ensemble's folder, or one that `save` wrote. Nothing is unpickled.

    Raises UsageError if the folder is not one of these, ReslabError if it is damaged.
    """
    place, members = pick_device(device), []
    for folder in members_of(Run(run)):
        spec = read_table_spec(folder)
        if not folder.has(WEIGHTS):
            if folder.has(DONE):
                raise missing(folder.path(WEIGHTS))
            raise UsageError(f"{folder.folder} cannot predict yet: its training is not finished")
        encoder, target = read_encoder(folder, place)
        if spec.outputs != target.outputs:
            raise ReslabError(
                f"{folder.folder} is damaged: {TARGET} and spec.json are of different targets; restore them"
            )
        sizes = encoder.table.sizes
        if any(getattr(spec, name) != sizes[name] for name in ("numbers", "categories", "bags")):
            raise ReslabError(
                f"{folder.folder} is damaged: {ENCODER} and spec.json are of different columns; restore them"
            )
        try:
            net = filled(spec, read_state(folder.path(WEIGHTS)))
        except UsageError as error:
            differ = f"{WEIGHTS} and spec.json are of different nets; restore them ({error})"
            raise ReslabError(f"{folder.folder} is damaged: {differ}") from error
        refuse_nan(net, str(folder.folder))
        members.append(Member(spec=spec, encoder=encoder, net=net))
    return TableModel(members, target, device=place, calibration=read_calibration(Run(run), target))


def filled(spec: TableSpec, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The spec's net with these weights. Raises UsageError, before allocating memory, if they do not match."""
    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"):
            match(build_table(spec), state)
        net = build_table(spec)
    insert(net, state)
    return net.requires_grad_(False)


def read_table_spec(run: Run) -> TableSpec:
    """The spec of a run folder whose net is for tables. Raises as `read_stored` does."""
    return read_stored(run, "tables", from_dict)
