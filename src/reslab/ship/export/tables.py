"""A run of a table as something to export: one graph a member, the table's encoder beside it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from reslab.errors import ReslabError, UsageError, one_line
from reslab.run import Run
from reslab.ship.export.passes import evenly
from reslab.ship.export.summed import SummedNet, random_rows, vectors_of
from reslab.ship.exportable import RANDOM, Arrays, Examples, Graph
from reslab.ship.record import Kind
from reslab.stored.digest import sealed_tensors
from reslab.stored.write import write_aside
from reslab.tables.calibrate import write_calibration
from reslab.tables.coded import VECTORS, write_encoder
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.table import Table
from reslab.tables.fields import fields_of
from reslab.tables.metrics import true_values
from reslab.tables.model import Member, load, members_of
from reslab.tables.net.net import TableNet
from reslab.tables.predicting import activated
from reslab.tables.reading import read_reading
from reslab.tables.task import outputs as outputs_of
from reslab.tables.train import TableData, stored_data
from reslab.train.tune import Choice

UNIT = {"classes": "accuracy", "labels": "accuracy", "numbers": "R squared"}
EQUAL = 1e-4  # of scores: sums in another order differ by less


class TableExport:
    """See `exportable.Exportable`."""

    kind: Kind = "tables"

    def __init__(self, run: Path | str) -> None:
        """`run`: of a finished training, or a folder that a model was saved to. Raises as `tables.model.load` does.

        Raises UsageError for a model that reads texts by a text encoder, which is not part of the run.
        """
        self.folder, self.model = Path(run), load(run, device="cpu")
        for member in self.model.members:
            if member.encoder.texts is not None:
                raise UsageError(
                    f"{run} reads its texts with the encoder {member.encoder.texts.folder}, which is no part of it, so "
                    "it cannot be exported: train it without a text encoder (its bags of words stay)"
                )
        self.name, self.word, self.notes = self.folder.resolve().name, str(run), list[str]()
        self.unit = UNIT[self.model.target.kind]
        self.runs = members_of(Run(run))
        self.nets: dict[int, SummedNet] = {}  # of each member, made once for `reference`

    def graphs(self) -> list[Graph]:
        return [self.graph(member) for member in self.model.members]

    def graph(self, member: Member) -> Graph:
        example = {name: torch.from_numpy(array) for name, array in self.random_rows(member, 2, seed=0).items()}
        return Graph(module=summed(member, list(example)), example=example, outputs=("scores",),
                     dynamic={name: {0: "batch"} for name in example})  # fmt: skip

    @torch.inference_mode()
    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        """From the sums of bags, which `made` compares with those of the net itself."""
        if which not in self.nets:
            self.nets[which] = summed(self.model.members[which], list(inputs))
        net = self.nets[which]
        given = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in net.names]
        return {"scores": net(*given)[0].numpy()}

    def proof(self, n: int) -> list[Examples]:
        data = self.data
        if data is None:
            return self.random(n)
        part = "validation" if "validation" in data.frames else "test"
        return self.examples(data, part, n)

    def calibration(self, n: int) -> list[Examples]:
        data = self.data
        return self.random(n) if data is None else self.examples(data, "train", n)

    def examples(self, data: TableData, part: str, n: int) -> list[Examples]:
        """At most n rows of a part, evenly spaced, for each member."""
        rows = evenly(len(data.frames[part]), n)
        where = f"{len(rows):,} of the {len(data.frames[part]):,} {part} rows of {read_reading(self.runs[0])[0]}"
        return self.made(data.frames[part].take(rows), data.values[part][rows], where)

    def made(self, frame: Frame, values: Any, where: str) -> list[Examples]:
        """Examples of these rows. Raises ReslabError if the sums of their bags lead to other scores than the bags."""
        truth, found = true_values(self.model.target, values, Report()), []
        for which, member in enumerate(self.model.members):
            assert isinstance(member.net, TableNet)
            table = member.encoder.table.rows(frame)
            inputs = table.inputs(np.arange(len(table)), vectors_of(member.net))
            whole = outputs_of(member.net, Table.of(table), device=torch.device("cpu"), choice=Choice()).numpy()
            gap = np.abs(whole - self.reference(which, inputs)["scores"]).max(initial=0)
            if not gap <= EQUAL * max(1.0, np.abs(whole).max(initial=0)):
                raise ReslabError(f"{self.folder} gives other scores for the sums of its bags than for the bags: they "
                                  f"differ by up to {gap:.2g}")  # fmt: skip
            found.append(Examples(inputs=inputs, targets=truth, where=where))
        return found

    def random(self, n: int) -> list[Examples]:
        return [Examples(inputs=self.random_rows(one, n, seed=1), where=RANDOM) for one in self.model.members]

    def random_rows(self, member: Member, n: int, *, seed: int) -> dict[str, np.ndarray]:
        assert isinstance(member.net, TableNet)
        vectors = vectors_of(member.net)
        return random_rows(member.encoder.table.sizes, 0 if vectors is None else vectors.shape[1], n, seed=seed)

    @cached_property
    def data(self) -> TableData | None:
        """The run's table, split as in its training; None, with a note, if it has none or it has changed."""
        try:
            if not self.runs[0].has("data.json"):
                raise UsageError(f"{self.folder} holds a model without its table")
            return stored_data(self.runs[0])
        except ReslabError as error:
            self.notes.append(f"compared on random inputs: {one_line(str(error))}")
            return None

    def decisions(self, outputs: Sequence[Arrays]) -> np.ndarray:
        """The class of each row as its number, its labels as 0 and 1, or its numbers."""
        scores = self.scores(outputs)
        kind = self.model.target.kind
        if kind == "classes":
            return np.asarray(scores.argmax(axis=1))
        return (scores > 0.5).astype(np.int64) if kind == "labels" else scores

    def scores(self, outputs: Sequence[Arrays]) -> np.ndarray:
        return self.model.combined([activated(np.asarray(one["scores"]), self.model.target) for one in outputs])

    def right(self, outputs: Sequence[Arrays], examples: Sequence[Examples]) -> np.ndarray | None:
        """Of classes 1 or 0, of labels the share that is right, of numbers 1 - squared error / variance, at least 0."""
        truth, target = examples[0].targets, self.model.target
        if truth is None:
            return None
        said = self.decisions(outputs)
        if target.kind == "classes":
            return np.asarray(said == truth, dtype=float)
        if target.kind == "labels":
            return np.asarray((said == truth).mean(axis=1))
        assert target.std is not None
        error = (said - truth) / np.where(target.std > 0, target.std, 1.0)
        return np.asarray(np.clip(1 - error**2, 0, 1).mean(axis=1))

    def about(self) -> dict[str, Any]:
        return {
            "members": [folder.as_posix() for folder in self.folders()], "target": list(self.target_names()),
            "fields": fields_of(self.model.members[0].encoder.table),
        }  # fmt: skip

    def folders(self) -> list[Path]:
        """Where each member's encoder stands in the exported folder."""
        many = len(self.model.members)
        return [Path()] if many == 1 else [Path(f"s{k}") for k in range(many)]

    def target_names(self) -> tuple[str, ...]:
        """The columns that are predicted; () for a model that was saved without its run."""
        return read_reading(self.runs[0])[1].target if self.runs[0].has("data.json") else ()

    def beside(self, folder: Path) -> None:
        for where, member in zip(self.folders(), self.model.members, strict=True):
            write_encoder(Run(folder / where), member.encoder.table, self.model.target)
            assert isinstance(member.net, TableNet)
            if (vectors := vectors_of(member.net)) is not None:
                write_aside(folder / where / VECTORS, sealed_tensors(save({"vectors": vectors})))
        write_calibration(Run(folder), self.model.calibration)


def summed(member: Member, names: Sequence[str]) -> SummedNet:
    assert isinstance(member.net, TableNet)
    return SummedNet(member.net, names)
