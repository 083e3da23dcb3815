"""The one table of works: what a cell can do.

A work is a function (folder, settings, needs, *, device, progress) -> values:

    folder    where it may leave files; it exists, and holds what an earlier, interrupted try left
    settings  of the cell, from JSON
    needs     the folders of the cells that this one needs, in order
    values    JSON-ready: numbers, texts, lists and objects of them

It obeys SIGTERM by raising Interrupted, and it draws every random number from its settings' seed. Beside it stands
`cost(settings) -> float`: CPU seconds on the machine of docs/claims.md.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where the function stands; a new version makes all its cached results obsolete."""

    module: str  # of reslab.study.work, with the functions `work` and `cost`
    version: int = 1

    def load(self) -> Any:
        return import_module(f"reslab.study.work.{self.module}")


WORKS: dict[str, Work] = {
    "count": Work(module="count"),
    "drops": Work(module="drops", version=3),
    "field": Work(module="field"),
    "identity": Work(module="identity"),
    "jacobian": Work(module="jacobian"),
    "padded": Work(module="padded"),
    "train": Work(module="train", version=2),
    "responses": Work(module="responses"),
    "gradients": Work(module="gradients"),
    "norms": Work(module="norms", version=2),
    "lesions": Work(module="lesions", version=2),
    "paths": Work(module="paths", version=2),
    "lengths": Work(module="lengths"),
    "influence": Work(module="influence"),
    "readout": Work(module="readout"),
    "texts": Work(module="texts"),
    "layers": Work(module="layers"),
    "slim": Work(module="slim"),
    "table": Work(module="table"),
    "answers": Work(module="answers"),
    "branches": Work(module="branches"),
    "depths": Work(module="depths"),
    "mixers": Work(module="mixers"),
}
