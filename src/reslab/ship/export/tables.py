"""A run of a table as something to export: one graph a member, the table's encoder beside it."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, UsageError, one_line
from reslab.run import Run
from reslab.ship.exportable import RANDOM, Arrays, Examples, Graph
from reslab.ship.record import Kind
from reslab.tables.calibrate import write_calibration
from reslab.tables.coded import write_encoder
from reslab.tables.data.frame import Frame, Report
from reslab.tables.fields import fields_of
from reslab.tables.metrics import true_values
from reslab.tables.model import Member, load, members_of
from reslab.tables.net.net import TableNet
from reslab.tables.net.values import Bags
from reslab.tables.predicting import activated
from reslab.tables.reading import read_reading
from reslab.tables.train import TableData, stored_data

UNIT = {"classes": "accuracy", "labels": "accuracy", "numbers": "R squared"}
AXES = {"numbers": {0: "batch"}, "codes": {0: "batch"}, "bag_ids": {0: "batch", 2: "values"},
        "bag_weights": {0: "batch", 2: "values"}}  # fmt: skip
VALUES = 5  # in a bag of random inputs, at most


class PaddedBags(nn.Module):
    """`Bags` for bags padded with weight 0: ids and weights (N, Fb, M) to (N, Fb, E)."""

    starts: Tensor

    def __init__(self, bags: Bags) -> None:
        super().__init__()
        self.register_buffer("table", bags.table.detach().clone())
        self.register_buffer("starts", bags.starts.clone())

    def forward(self, ids: Tensor, weights: Tensor, _: Tensor) -> Tensor:
        e = nn.functional.embedding(ids + self.starts[:, None], self.table)  # type: ignore[arg-type]  # (N, Fb, M, E)
        return (weights[..., None, :] @ e)[..., 0, :]


class PaddedNet(nn.Module):
    """A net for tables with the inputs of `Rows.padded`, in the order of `names`; its outputs as a tuple of one."""

    def __init__(self, net: TableNet, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.names = copy.deepcopy(net), tuple(names)
        for module in list(self.net.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Bags):
                    setattr(module, name, PaddedBags(child)) if not isinstance(module, nn.ModuleDict) else (
                        module.update({name: PaddedBags(child)})
                    )
        self.eval().requires_grad_(False)

    def forward(
        self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None
    ) -> tuple[Tensor]:
        batch = dict(zip(self.names, (first, second, third, fourth), strict=False))
        if "bag_weights" in batch:
            batch["bag_offsets"] = batch["bag_weights"]  # of which padded bags have none
        return (self.net(**batch),)


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
        self.read: TableData | None = None
        self.known = True

    def graphs(self) -> list[Graph]:
        return [self.graph(member) for member in self.model.members]

    def graph(self, member: Member) -> Graph:
        example = {name: torch.from_numpy(array) for name, array in random_rows(member, 2, seed=0).items()}
        assert isinstance(member.net, TableNet)
        return Graph(module=PaddedNet(member.net, list(example)), example=example,
                     dynamic={name: AXES[name] for name in example}, outputs=("scores",))  # fmt: skip

    @torch.inference_mode()
    def reference(self, which: int, inputs: Arrays) -> dict[str, np.ndarray]:
        """By the net's own embedding bag, whose bags are concatenated: another way than the graph's."""
        batch = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        if "bag_ids" in batch:
            many = batch["bag_ids"].shape[2]
            rows = batch["bag_ids"].shape[0] * batch["bag_ids"].shape[1]
            batch |= {name: batch[name].flatten() for name in ("bag_ids", "bag_weights")}
            batch["bag_offsets"] = many * torch.arange(rows)
        return {"scores": self.model.members[which].net.eval()(**batch).numpy()}

    def proof(self, n: int) -> list[Examples]:
        data = self.data()
        if data is None:
            return self.random(n)
        part = "validation" if "validation" in data.frames else "test"
        return self.examples(data, part, n)

    def calibration(self, n: int) -> list[Examples]:
        data = self.data()
        return self.random(n) if data is None else self.examples(data, "train", n)

    def examples(self, data: TableData, part: str, n: int) -> list[Examples]:
        """At most n rows of a part, evenly spaced, for each member."""
        rows = evenly(len(data.frames[part]), n)
        frame, truth = data.frames[part].take(rows), true_values(self.model.target, data.values[part][rows], Report())
        where = f"{len(rows):,} of the {len(data.frames[part]):,} {part} rows of {read_reading(self.runs[0])[0]}"
        return [Examples(inputs=inputs, targets=truth, where=where) for inputs in self.encoded(frame)]

    def encoded(self, frame: Frame) -> list[dict[str, np.ndarray]]:
        tables = [member.encoder.table.rows(frame) for member in self.model.members]
        return [table.padded(np.arange(len(table))) for table in tables]

    def random(self, n: int) -> list[Examples]:
        return [Examples(inputs=random_rows(member, n, seed=1), where=RANDOM) for member in self.model.members]

    def data(self) -> TableData | None:
        """The run's table, split as in its training; None, with a note, if it has none or it has changed."""
        if self.read is None and self.known:
            try:
                if not self.runs[0].has("data.json"):
                    raise UsageError(f"{self.folder} holds a model without its table")
                self.read = stored_data(self.runs[0])
            except ReslabError as error:
                self.known = False
                self.notes.append(f"compared on random inputs: {one_line(str(error))}")
        return self.read

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
        write_calibration(Run(folder), self.model.calibration)


def evenly(count: int, n: int) -> np.ndarray:
    """At most n of `count` rows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(n, count)).round().astype(np.int64))


def random_rows(member: Member, n: int, *, seed: int) -> dict[str, np.ndarray]:
    """n rows that the member's encoder could have made; a tenth of the numbers are missing."""
    sizes, draws = member.encoder.table.sizes, np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    if sizes["numbers"]:
        numbers = draws.normal(size=(n, sizes["numbers"], 2)).astype(np.float32)
        numbers[draws.random(numbers.shape[:2]) < 0.1] = np.nan
        found["numbers"] = numbers
    if sizes["categories"]:
        found["codes"] = np.stack([draws.integers(0, size, n) for size in sizes["categories"]], axis=1)
    if sizes["bags"]:
        shape = (n, len(sizes["bags"]), VALUES)
        ids = [draws.integers(0, size, (n, VALUES)) for size in sizes["bags"]]
        weights = draws.random(shape) * (draws.random(shape) < 0.7)
        found |= {"bag_ids": np.stack(ids, axis=1), "bag_weights": weights.astype(np.float32)}
    return found
