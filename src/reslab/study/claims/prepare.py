"""Plan a run of claims on some data, and what it costs on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.images.data import load as load_data
from reslab.stored.claims import Paper
from reslab.study.claims import reading
from reslab.study.claims.given import given
from reslab.study.claims.plan import Asked, Costs, Planned, plan, within_budget
from reslab.study.claims.speed import speed
from reslab.study.grid import Cell
from reslab.study.grid import plan as grid_plan
from reslab.study.grid.cell import in_order
from reslab.study.grid.plan import cost
from reslab.study.jobs import fair_jobs

QUICK = ("digits",)  # data of the quick edition, whose budget is 20 minutes by default
MINUTES = 20.0


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
    limit: bool = True,
) -> Prepared:  # fmt: skip
    """The plan of the claims named in `only` (all if empty) on `data`, and its cost on this machine.

    budget: wall minutes (default: 20 on digits, otherwise none). seeds: of each claim, counted up from `seed` (default:
    each claim's number). cache: the folder of what is finished. own: a folder of the user's claims. limit: whether a
    budget applies. Raises UsageError for unknown claims and data.
    """
    if seeds is not None and seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    if seed < 0:
        raise UsageError(f"seed must not be negative, got {seed}")
    if budget is not None and not budget > 0:
        raise UsageError(f"budget must be positive, got {budget:g}")
    if jobs < 0:
        raise UsageError(f"jobs must not be negative, got {jobs}")
    chosen = reading.chosen(only, reading.claims(own))
    loaded = given(data) or load_data(data, **(options or {}))
    loaded.announce()
    asked = Asked(data=loaded, word=data, options=dict(options or {}), seed=seed, seeds=seeds)
    runs = plan(chosen, asked)
    every = list(in_order([cell for one in runs for cell in one.all_cells]))
    todo = grid_plan(every, cache).todo if cache else costs_of(every)
    costs = Costs(todo, speed=speed() if todo else 1.0, jobs=jobs or fair_jobs(max(1, len(todo))))
    minutes = MINUTES if budget is None and data in QUICK else budget
    notes: list[str] = []
    if minutes is not None and limit:
        runs, notes = within_budget(runs, costs, minutes=minutes)
    return Prepared(asked=asked, runs=runs, costs=costs, notes=notes, papers=reading.papers(own))


def costs_of(cells: Sequence[Cell]) -> dict[Cell, float]:
    known: dict[tuple[str, str], float] = {}
    return {one: cost(one, known) for one in cells}
