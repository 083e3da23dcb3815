"""What fits into a budget of minutes."""

from collections.abc import Sequence
from dataclasses import replace

from reslab.progress.row import duration
from reslab.study.claims.plan import Costs, Planned, with_seeds
from reslab.study.grid import Cell

LEAST = 3  # seeds that a budget leaves


def within_budget(several: Sequence[Planned], costs: Costs, *, minutes: float) -> tuple[list[Planned], list[str]]:
    """What fits into these minutes: first fewer seeds, down to LEAST; then the dearest claims are not run.

    A claim costs what it adds to those that are kept: cells that are done or shared are free. The cheapest are kept
    first, and whatever costs nothing is kept with all its seeds. Returns the plan, and sentences that say what was
    lowered.
    """
    runs, notes = list(several), []
    most = max((len(one.seeds) for one in runs if costs.of([one])), default=0)
    for n in range(most - 1, LEAST - 1, -1):
        if costs.minutes(runs) <= minutes:
            break
        runs = [with_seeds(one, one.seeds[:n]) if len(one.seeds) > n and costs.of([one]) else one for one in runs]
        notes = [f"a budget of {minutes:g} minutes leaves at most {n} seeds per claim"]
    if costs.minutes(runs) <= minutes:
        return runs, notes
    needed = {i: costs.of([one]) for i, one in enumerate(runs) if one.cells}
    kept: dict[Cell, float] = {}
    over: dict[int, str] = {}
    while needed:
        i = min(needed, key=lambda i: sum(seconds for cell, seconds in needed[i].items() if cell not in kept))
        more = {**kept, **needed.pop(i)}
        if len(more) == len(kept) or costs.wall(more) <= minutes:
            kept = more
        else:
            over[i] = duration(60 * (costs.wall(more) - costs.wall(kept)))
    runs = [replace(one, cells={}, why_not=f"over the budget: it would take {over[i]} more") if i in over else one
            for i, one in enumerate(runs)]  # fmt: skip
    return runs, notes
