"""A trained model of a table, from rows to predictions: one net, or the average of several."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.nets.checkpoints import read_state
from reslab.nets.matching import match
from reslab.nets.published import local
from reslab.nets.specs import read_stored
from reslab.nets.weights import insert, refuse_nan
from reslab.run import MEMBERS, Run, missing
from reslab.tables.calibrate import Calibration, read_calibration, write_calibration
from reslab.tables.coded import ENCODER, TARGET, read_coded, write_encoder
from reslab.tables.data.frame import Frame, read_frame
from reslab.tables.data.table import Table
from reslab.tables.data.target import Target
from reslab.tables.net.net import Inside, TableNet, build_table
from reslab.tables.net.spec import TableSpec, from_dict, to_dict
from reslab.tables.predicting import RowPredictor
from reslab.tables.task import CPU_ROWS, outputs
from reslab.tables.vectors import Encoder
from reslab.train.checkpoint import write_weights
from reslab.train.folder import DONE, pick_device
from reslab.train.tune import Choice
from reslab.train.world import ALONE, World

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One net and its table encoder."""

    spec: TableSpec
    encoder: Encoder
    net: nn.Module


class TableModel(RowPredictor):
    """Predicts a target from the columns it was trained on; `load` creates it from a run folder.

    `world`: processes that all ask it for the same rows; each computes some of them.
    """

    members: tuple[Member, ...]

    def __init__(
        self, members: Sequence[Member], target: Target, *, device: torch.device, choice: Choice | None = None,
        calibration: Calibration | None = None, world: World = ALONE,
    ) -> None:  # fmt: skip
        super().__init__(members, target, calibration)
        self.device, self.choice, self.world = device, choice or Choice(), world
        for member in members:
            member.net.eval().to(device)

    def of_table(self, member: Member, table: Table) -> np.ndarray:
        """One member's scores, not calibrated, of a table that its encoder made."""
        out = outputs(member.net, table, device=self.device, choice=self.choice, world=self.world).cpu().double()
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


def write_member(run: Run, member: Member, target: Target) -> None:
    run.make()
    write_encoder(run, member.encoder, target)
    write_weights(run, member.net, to_dict(member.spec))
    run.write_json("spec.json", to_dict(member.spec))  # last: with it the folder is a run


def read_encoder(run: Run, device: torch.device) -> tuple[Encoder, Target]:
    """The encoder and target of a run folder; text encoders run on `device`. Raises ReslabError."""
    return read_coded(run, lambda about, arrays: Encoder.from_dict(beside(run, about), arrays, device))


def beside(run: Run, about: dict[str, Any]) -> dict[str, Any]:
    """An encoder.json whose encoder of texts, if it lies in the run's own folder or above it, has its full path."""
    texts = about.get("texts")
    if not isinstance(texts, dict) or not isinstance(folder := texts.get("folder"), str) or Path(folder).is_absolute():
        return about
    return {**about, "texts": {**texts, "folder": str(run.path(folder).resolve())}}


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
    place, members, run = pick_device(device), [], local(run)
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
