"""What a plan has measured, in a folder: it resumes there, and another target of the same plan begins with it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from reslab.errors import OtherSettings, UsageError, arg
from reslab.look.graph.example import tensors
from reslab.look.measure import Batch
from reslab.slim.planning.search import Node
from reslab.slim.planning.table import Table
from reslab.slim.record import Timing
from reslab.stored.digest import digest, sealed
from reslab.stored.read import read_json
from reslab.stored.typed import typed
from reslab.stored.write import write_aside

NAME = "plan-state.json"


class StoredNode(TypedDict):
    removed: list[int]
    values: dict[str, float]
    change: float
    low: float
    high: float
    ranges: NotRequired[dict[str, tuple[float, float]]]


class StoredTable(TypedDict):
    timing: dict[str, Any]
    blocks: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]


class Stored(TypedDict):
    """The file: what the plan belongs to; the table; the sets of each step; the order of a one-shot score."""

    about: dict[str, Any]
    table: StoredTable | None
    scores: dict[str, float] | None
    levels: list[list[StoredNode]]
    seconds: float
    outputs: NotRequired[list[float]]  # a few scores of the intact model


class State:
    """The file of a plan, written after every step; without a folder nothing is kept."""

    def __init__(self, folder: str | Path | None, about: Mapping[str, Any], began: float | None = None) -> None:
        self.path = None if folder is None else Path(folder) / NAME
        self.about = json.loads(json.dumps(about))
        self.table: Table | None = None
        self.scores: dict[int, float] | None = None
        self.levels: list[list[Node]] = []
        self.began = time.perf_counter() if began is None else began
        self.before = 0.0  # seconds of earlier calls
        self.outputs: list[float] = []
        if self.path is not None and self.path.exists():
            self.read(self.path)

    def read(self, path: Path) -> None:
        """Raises OtherSettings if the plan in the folder is another one's, ReslabError if the file is damaged."""
        found: Stored = read_json(path, Stored)
        other = [name for name in {**self.about, **found["about"]} if self.about.get(name) != found["about"].get(name)]
        if other:
            raise OtherSettings(f"{path} belongs to a plan with other settings ({', '.join(sorted(other))}); choose "
                                "another ", arg("folder"), ", or delete the file to start again")  # fmt: skip
        if table := found["table"]:
            blocks, low, high = (whole_keys(found) for found in (table["blocks"], table["low"], table["high"]))
            self.table = Table(timing=typed(Timing, table["timing"]), blocks=blocks, low=low, high=high)
        self.scores = whole_keys(found["scores"]) if found["scores"] else None
        self.levels = [
            [
                Node(
                    tuple(one["removed"]),
                    one["values"],
                    one["change"],
                    one["low"],
                    one["high"],
                    {name: (low, high) for name, (low, high) in one.get("ranges", {}).items()},
                )
                for one in level
            ]
            for level in found["levels"]
        ]
        self.before = found["seconds"]
        self.outputs = found.get("outputs", [])

    @property
    def seconds(self) -> float:
        """Of this call so far and of all earlier ones."""
        return self.before + time.perf_counter() - self.began

    def same_model(self, outputs: list[float], rounding: float) -> None:
        """Note the intact model's outputs. Raises OtherSettings if those of the stored steps were others.

        The weights do not tell: the code that uses them may have changed since.
        """
        known, self.outputs = self.outputs, outputs
        apart = max((abs(a - b) for a, b in zip(known, outputs, strict=False)), default=0.0)
        if known and (len(known) != len(outputs) or apart > rounding * (1e-6 + max(map(abs, known)))):
            raise OtherSettings(f"{self.path} belongs to a plan of a model that gave other outputs with the same "
                                "weights, so its code or a library has changed since; choose another ",
                                arg("folder"), ", or delete the file to start again")  # fmt: skip

    def write(self) -> None:
        if self.path is None:
            return
        table = None if self.table is None else {
            "timing": asdict(self.table.timing), "blocks": self.table.blocks, "low": self.table.low,
            "high": self.table.high,
        }  # fmt: skip
        levels = [[{name: getattr(node, name) for name in StoredNode.__annotations__} for node in level]
                  for level in self.levels]  # fmt: skip
        content = {"about": self.about, "table": table, "scores": self.scores, "levels": levels,
                   "seconds": self.seconds, "outputs": self.outputs}  # fmt: skip
        plain = json.loads(json.dumps(content))  # keys as they are read again, for the digest
        text = json.dumps(sealed(plain), indent=1, ensure_ascii=False) + "\n"
        write_aside(self.path, lambda file: file.write(text.encode()))


def whole_keys(found: Mapping[str, float]) -> dict[int, float]:
    """By index of the block again: JSON has no numbers as keys."""
    return {int(key): value for key, value in found.items()}


def digest_of_weights(model: nn.Module) -> str:
    """16 hex digits for the names, types and values of parameters and buffers."""
    return of_tensors({**dict(model.named_parameters()), **dict(model.named_buffers())})


def digest_of_data(batches: Sequence[Batch]) -> str:
    """16 hex digits for the inputs and labels."""
    found: dict[str, Tensor] = {}
    for i, (example, labels) in enumerate(batches):
        held = tensors(dict(example) if isinstance(example, Mapping) else example)
        found |= {f"{i} {j}": tensor for j, tensor in enumerate([*held, *([] if labels is None else [labels])])}
    return of_tensors(found)


def of_tensors(named: Mapping[str, Tensor]) -> str:
    whole = []
    for name, tensor in named.items():
        plain = tensor.detach().cpu().contiguous()
        try:
            data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"{name} cannot be read as plain numbers: {error}") from error
        whole.append(digest(f"{name} {plain.dtype} {list(plain.shape)}".encode(), data))
    return digest(*(one.encode() for one in whole))[:16]


def fits(table: Table | None, now: Timing) -> bool:
    """Whether a stored table was measured as passes run now: device, threads, batch, precision."""
    if table is None:
        return False
    one, other = (replace(timing, milliseconds=0.0, low=0.0, high=0.0, n=0) for timing in (table.timing, now))
    return one == other
