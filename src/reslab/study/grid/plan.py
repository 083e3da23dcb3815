"""What a grid has to do: which cells, in what CPU time, and in how much time with several workers."""

import contextlib
import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.progress.row import duration
from reslab.study.grid.cell import Cell, Found, widest
from reslab.study.grid.one import read
from reslab.study.grid.works import WORKS
from reslab.study.jobs import fair_jobs


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Cells to do, each after those that it needs, and cells that are done."""

    todo: Mapping[Cell, float]  # to its cost: CPU seconds on the machine of docs/claims.md
    found: Mapping[Cell, Found]
    jobs: int

    @property
    def seconds(self) -> float:
        return sum(self.todo.values())

    @property
    def wall(self) -> float:
        """Seconds that the cells take with `jobs` workers, as the pool hands them out."""
        return schedule({one: seconds / one.cores for one, seconds in self.todo.items()}, self.jobs)

    def __str__(self) -> str:
        total = len(self.todo) + len(self.found)
        counted = f"{total:,} cell{'s' * (total != 1)}: {len(self.found):,} cached, {len(self.todo):,} to do"
        if not self.todo:
            return counted
        workers = f"{self.jobs} worker{'s' * (self.jobs != 1)}"
        return (f"{counted}: about {duration(self.seconds)} of CPU time, {duration(self.wall)} with {workers} "
                "(estimated for the machine of docs/claims.md)")  # fmt: skip


def plan(
    cells: Sequence[Cell], cache: Path, *, jobs: int = 0, say: Callable[[str], None] = lambda text: None
) -> Plan:  # fmt: skip
    """What `run` would do: the cells that are not done and, of those that they need, these alone.

    `jobs`: workers, 0: one per usable core, or per as many as a cell takes, or one on an accelerator.
    """
    found: dict[Cell, Found] = {}
    todo: dict[Cell, float] = {}
    costs: dict[tuple[str, str], float] = {}

    def visit(one: Cell) -> None:
        if one in found or one in todo:
            return
        try:
            kept = read(one, cache)
        except ReslabError as error:
            say(f"{error.sentence.partition(';')[0]}; {one.name} is done again")
            kept = None
        if kept is not None:
            found[one] = kept
            return
        for needed in one.needs:
            visit(needed)
        todo[one] = cost(one, costs)

    for one in cells:
        visit(one)
    return Plan(todo=todo, found=found, jobs=jobs or fair_jobs(len(todo), each=widest(todo)))


def cost(one: Cell, known: dict[tuple[str, str], float]) -> float:
    """CPU seconds of a cell; every seed costs the same, so it is computed once for all.

    0 for settings that cannot be: the work itself will say why.
    """
    settings: dict[str, Any] = one.settings
    key = one.work, json.dumps({name: value for name, value in settings.items() if name != "seed"}, sort_keys=True)
    if key not in known:
        known[key] = 0.0
        with contextlib.suppress(ReslabError):
            known[key] = max(0.0, float(WORKS[one.work].load().cost(settings)))
    return known[key]


def chains(costs: Mapping[Cell, float]) -> dict[Cell, float]:
    """For each cell its cost and that of the dearest chain of cells that wait for it."""
    behind = dict.fromkeys(costs, 0.0)
    for one in reversed(list(costs)):  # whoever needs a cell comes after it
        for needed in one.needs:
            if needed in behind:
                behind[needed] = max(behind[needed], costs[one] + behind[one])
    return {one: costs[one] + behind[one] for one in costs}


def schedule(costs: Mapping[Cell, float], jobs: int) -> float:
    """Seconds until the last cell ends if each free worker takes the ready cell of the dearest chain."""
    chain = chains(costs)
    open_ = {one: {needed for needed in one.needs if needed in costs} for one in costs}
    users: dict[Cell, list[Cell]] = {one: [] for one in costs}
    for one, needed in open_.items():
        for other in needed:
            users[other].append(one)
    ready = [(-chain[one], k, one) for k, one in enumerate(costs) if not open_[one]]
    place = {one: k for k, one in enumerate(costs)}
    heapq.heapify(ready)
    running: list[tuple[float, int, Cell]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < jobs:
            _, k, one = heapq.heappop(ready)
            heapq.heappush(running, (now + costs[one], k, one))
        now, _, ended = heapq.heappop(running)
        for user in users[ended]:
            open_[user].discard(ended)
            if not open_[user]:
                heapq.heappush(ready, (-chain[user], place[user], user))
    return now
