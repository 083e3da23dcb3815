"""Plan a run of claims on some data, and what it costs on this machine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError
from reslab.images.data import ImageData
from reslab.images.data import load as load_data
from reslab.stored.claims import Paper
from reslab.study.claims import reading
from reslab.study.claims.budget import within_budget
from reslab.study.claims.given import given
from reslab.study.claims.joined import joined, lost
from reslab.study.claims.plan import Asked, Costs, Planned, named, plan, unsuited
from reslab.study.claims.speed import speed
from reslab.study.grid import Cell
from reslab.study.grid.cell import in_order
from reslab.study.grid.one import read
from reslab.study.grid.works import WORKS
from reslab.study.jobs import fair_jobs
from reslab.study.work.train import loaded as loaded_once

QUICK = ("digits",)  # data of the quick edition, whose budget is 20 minutes by default
MINUTES = 20.0
MOST = 1000  # seeds, as in a claim's file
FLOOR = 0.2  # CPU seconds of the least cell: its folder, its files; on the machine of docs/claims.md
START = 3.0  # of a process that does cells: PyTorch, the data


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a run would do, and what it costs."""

    asked: Asked
    runs: list[Planned]
    costs: Costs
    papers: Mapping[str, Paper]
    notes: list[str]  # what a budget lowered

    @property
    def cells(self) -> list[Cell]:
        """Of all claims that are run, each once."""
        return list(in_order([cell for one in self.runs for cell in one.all_cells]))

    @property
    def family(self) -> int:
        """How many claims are tested together."""
        return sum(bool(one.cells) and one.claim.prediction.direction != "exact" for one in self.runs)


def prepare(
    *, only: str = "", data: str = "digits", options: Mapping[str, Any] | None = None, budget: float | None = None,
    seed: int = 0, seeds: int | None = None, jobs: int = 0, cache: Path | None = None, own: Path | None = None,
    limit: bool = True, out: Path | None = None,
) -> Prepared:  # fmt: skip
    """The plan of the claims named in `only` (all if empty) on `data`, and its cost on this machine.

    budget: wall minutes (default: 20 on digits, otherwise none). seeds: of each claim, counted up from `seed` (default:
    each claim's number). cache: the folder of what is finished. own: a folder of the user's claims. limit: whether a
    budget applies. out: the folder of the results; claims that it holds already stay there and are judged with these.
    Raises UsageError for unknown claims and data, and if verdicts in `out` would be lost.
    """
    if seeds is not None and not 1 <= seeds <= MOST:
        raise UsageError(
            f"seeds must be positive, got {seeds}" if seeds < 1 else f"seeds must be 1 to {MOST}, got {seeds}"
        )
    if seed < 0:
        raise UsageError(f"seed must not be negative, got {seed}")
    if budget is not None and not budget > 0:
        raise UsageError(f"budget must be positive, got {budget:g}")
    if jobs < 0:
        raise UsageError(f"jobs must not be negative, got {jobs}")
    faults: dict[str, UsageError] = {}
    table = reading.claims(own, faults=faults)
    chosen = reading.chosen(only, table, faults)
    loaded = given(data) or images(data, options or {})
    loaded.announce()
    asked = Asked(data=loaded, word=data, options=dict(options or {}), seed=seed, seeds=seeds)
    runs = plan(chosen, asked)
    kept = joined(out, table, asked, runs) if out else []
    runs, todo = left([*runs, *kept], cache)
    if gone := [one.claim.name for one in kept if any(cell in todo for cell in one.all_cells)]:
        assert out is not None
        raise lost(out, gone, f"what was computed for them is not in {cache}")
    costs = Costs(todo, speed=speed() if todo else 1.0, jobs=jobs or fair_jobs(max(1, len(todo))), floor=FLOOR,
                  start=START)  # fmt: skip
    minutes = MINUTES if budget is None and data in QUICK else budget
    notes = [f"not run: {error}" for error in faults.values()] if not only else []
    if kept:
        names = ", ".join(one.claim.name for one in kept)
        notes.append(f"kept in {out} from an earlier run, and judged anew with these as one family: {names}")
    if minutes is not None and limit:
        runs, lowered = within_budget(runs, costs, minutes=minutes)
        notes += lowered
    return Prepared(asked=asked, runs=runs, costs=costs, notes=notes, papers=reading.papers(own))


def images(word: str, options: Mapping[str, Any]) -> ImageData:
    """The images, loaded once for the plan and for its costs."""
    if options.get("download"):
        load_data(word, **options)
    return loaded_once(named(word, options))


def left(runs: list[Planned], cache: Path | None) -> tuple[list[Planned], dict[Cell, float]]:
    """The claims; of their cells those that are not done, with CPU seconds on the machine of docs/claims.md.

    A claim that names settings with which a work cannot even tell its cost is not run, and says why.
    """
    known: dict[str, float] = {}
    done: dict[Cell, bool] = {}
    todo: dict[Cell, float] = {}

    def visit(cell: Cell, costs: dict[Cell, float]) -> None:
        if cell not in done:
            done[cell] = bool(cache and is_done(cell, cache))
        if not done[cell] and cell not in costs:
            for needed in cell.needs:
                visit(needed, costs)
            costs[cell] = todo[cell] if cell in todo else cost(cell, known)

    out = []
    for one in runs:
        costs: dict[Cell, float] = {}
        try:
            for arm in one.cells.values():
                for cell in arm:
                    visit(cell, costs)
            todo |= costs
            out.append(one)
        except Exception as error:
            out.append(
                replace(one, cells={}, why_not=f"{one.claim.name}.toml: {unsuited(error, one.claim.experiment)}")
            )
    return out, todo


def is_done(cell: Cell, cache: Path) -> bool:
    try:
        return read(cell, cache) is not None
    except ReslabError:  # damaged: it is done again
        return False


def costs_of(cells: Sequence[Cell]) -> dict[Cell, float]:
    """CPU seconds of each, on the machine of docs/claims.md. Raises what a work raises that cannot tell its cost."""
    known: dict[str, float] = {}
    return {one: cost(one, known) for one in cells}


def cost(one: Cell, known: dict[str, float]) -> float:
    """Every seed costs the same."""
    key = json.dumps(
        [one.work, {name: value for name, value in one.settings.items() if name != "seed"}], sort_keys=True
    )
    if key not in known:
        known[key] = max(0.0, float(WORKS[one.work].load().cost(one.settings)))
    return known[key]
