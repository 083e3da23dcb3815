"""Claims, plans and predictions in words. Nothing here needs torch."""

from typing import TYPE_CHECKING, Any

from reslab.progress.row import duration
from reslab.stored.claims import Paper
from reslab.study.claims.fixed import digest
from reslab.study.claims.judge import needed, with_unit
from reslab.study.claims.record import Claim, Prediction

if TYPE_CHECKING:
    from reslab.study.claims.plan import Planned
    from reslab.study.claims.prepare import Prepared

UNSEALED = "not fixed beforehand"


def group(paper: Paper) -> str:
    """`He et al. 2015`: under which a claim is listed."""
    first, more, _ = paper["authors"].partition(", ")
    return " ".join(str(part) for part in (f"{first} et al." if more else first, paper.get("year", "")) if part)


def predicted(one: Prediction) -> str:
    """The prediction in a sentence."""
    line, near = with_unit(one.threshold, one.unit), with_unit(one.margin, one.unit)
    start = f"{one.quantity[:1].upper()}{one.quantity[1:]}"
    if one.direction == "exact":
        return f"{start} is {f'within {near} of ' if one.margin else 'exactly '}{line} in every case."
    if one.direction == "same":
        return f"{start} is within {near} of {line}."
    start += f" is {one.direction} {line}"
    return f"{start}. If it is shown to lie within {near} of {line}, that is too little to matter: equivalent."


def sealed(claim: Claim) -> str:
    """When the prediction was fixed, and the digest that holds it."""
    if claim.hash:
        return f"on {claim.fixed}, digest {claim.hash}"
    return f'{UNSEALED}; the line hash = "{digest(claim)}" in its file fixes it'


def unsealed(claim: Any) -> str:
    """` (not fixed beforehand)` for a stored claim without a digest."""
    return "" if claim.get("hash") else f" [{UNSEALED}]"


def told(ready: "Prepared") -> list[str]:
    """The plan in sentences: what is run, what it costs, what is not run."""
    runs, cells, costs = [one for one in ready.runs if one.cells], ready.cells, ready.costs
    todo = sum(cell in costs.todo for cell in cells)
    start = f"{len(runs)} of {len(ready.runs)} claims on {ready.asked.data.name}: {len(cells):,} cells"
    start += f", {len(cells) - todo:,} of them done" if todo < len(cells) else ""
    seconds, wall, jobs = costs.seconds(runs), 60 * costs.minutes(runs), f"{costs.jobs} job{'s' * (costs.jobs > 1)}"
    time = "nothing is left to compute"
    if todo:
        time = (f"about {duration(seconds)} of CPU time, {duration(wall)} with {jobs}, longer on a busy machine (a "
                f"core has {costs.speed:.2f} times the speed of docs/claims.md's)")  # fmt: skip
    lines = [f"{start}; {time}", *ready.notes]
    return lines + [f"not run: {one.claim.name}: {one.why_not}" for one in ready.runs if not one.cells]


def cost_of(one: "Planned", ready: "Prepared") -> str:
    seeds = f"{len(one.seeds)} seed{'s' * (len(one.seeds) > 1)}"
    return f"{len(one.all_cells):,} cells with {seeds}, about {duration(ready.costs.seconds([one]))} of CPU time here"


def shown(one: "Planned", *, family: int) -> str:
    """The smallest effect that its seeds show with power 80 %, in the claim's unit, or in standard deviations."""
    asked, n = one.claim.prediction, len(one.seeds)
    if asked.direction == "exact":
        return "exact"
    if n < 2:
        return "nothing"
    size = needed(asked, n=n, spread=asked.spread or 1.0, family=max(1, family))[0] or 0.0
    return with_unit(size, asked.unit or "(no unit)" if asked.spread else "std", digits=2)


def power(one: "Planned", *, family: int) -> str:
    """What this number of seeds shows, before the run."""
    asked = one.claim.prediction
    if asked.direction == "exact":
        return "No chance is involved: every case must agree."
    return needed(asked, n=len(one.seeds), spread=asked.spread, family=max(1, family))[1]


def powers(one: "Planned", *, family: int) -> str:
    """What its seeds show if it is run alone, and on a page with all claims."""
    alone, asked = power(one, family=1), one.claim.prediction
    if asked.direction == "exact" or len(one.seeds) < 2 or family < 2:
        return alone
    return (
        f"Alone: {alone} On a page of all {family} tested claims: {shown(one, family=family)} (alpha 5 % / {family})."
    )


def plan_of(ready: "Prepared") -> dict[str, Any]:
    """The plan, JSON-ready."""
    listed = [{"name": one.claim.name, "seeds": list(one.seeds), "cells": len(one.all_cells),
               "cpu_seconds": ready.costs.seconds([one]), "why_not": one.why_not, "settings": dict(one.settings),
               "power": power(one, family=ready.family) if one.cells else "", "sealed": bool(one.claim.hash)}
              for one in ready.runs]  # fmt: skip
    costs = ready.costs
    return {"claims": listed, "cpu_seconds": costs.seconds(ready.runs), "minutes": costs.minutes(ready.runs),
            "jobs": costs.jobs, "speed": costs.speed, "notes": ready.notes}  # fmt: skip
