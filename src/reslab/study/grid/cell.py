"""A cell: one piece of work, such as a training or a measurement of a trained net, named by what defines it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reslab.study.grid.works import WORKS
from reslab.version import __version__


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A piece of work and everything that decides its result; equal cells are one."""

    work: str  # a name in WORKS
    text: str  # its settings, as JSON with sorted keys
    needs: tuple["Cell", ...] = ()  # cells that must be done before: their folders are given to the work

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def cores(self) -> int:
        """How many cores, or GPUs, of one machine it takes: one for each process that trains."""
        return int(self.settings.get("nproc", 1))

    @property
    def name(self) -> str:
        """What it is called in sentences and in progress: "train resnet20 seed 0 (3f2a…)"; unique by its key."""
        chain = [self.settings, *(needed.settings for needed in self.needs[:1])]
        net = next((one["net"] for one in chain if isinstance(one.get("net"), str)), "")
        seed = f"seed {self.settings['seed']}" if "seed" in self.settings else ""
        return " ".join(filter(None, (self.work, net, seed, f"({self.key})")))

    @cached_property
    def key(self) -> str:
        """The name of its folder: 16 hexadecimal digits of a digest of all that decides the result."""
        parts = [__version__, self.work, WORKS[self.work].version, self.text, [cell.key for cell in self.needs]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a cell's work left: its values, JSON-ready, and its folder."""

    folder: Path
    values: Mapping[str, Any]
    seconds: float  # of CPU, when it was done


def cell(work: str, settings: Mapping[str, Any], *needs: Cell) -> Cell:
    """The cell of some work with these settings, JSON-ready. Raises KeyError for work that WORKS does not name."""
    assert work in WORKS, work
    return Cell(work=work, text=json.dumps(settings, sort_keys=True), needs=needs)


def plain(one: Cell) -> dict[str, Any]:
    """The cell as JSON-ready data, for another process or machine."""
    return {"work": one.work, "settings": one.settings, "needs": [plain(needed) for needed in one.needs]}


def from_plain(data: Mapping[str, Any]) -> Cell:
    """The cell of `plain`."""
    return cell(data["work"], data["settings"], *map(from_plain, data["needs"]))


def widest(cells: Iterable[Cell]) -> int:
    """The most cores that one of the cells takes."""
    return max((one.cores for one in cells), default=1)


def in_order(cells: Sequence[Cell]) -> Iterator[Cell]:
    """All cells and those that they need, each once, after those that it needs."""
    seen: set[Cell] = set()

    def visit(one: Cell) -> Iterator[Cell]:
        if one not in seen:
            for needed in one.needs:
                yield from visit(needed)
            seen.add(one)
            yield one

    for one in cells:
        yield from visit(one)
