"""Find the sudden drops of a run's training loss, without looking at its learning rate, and compare them with the rate.

A line of the log holds the mean loss since the line before: of an epoch, or of 100 iterations where an epoch has more.
At each place between two lines, a line with a step, a + b t + c [t > place], is fitted by least squares to log10 of the
loss within a window around the place. A drop is a place where c is negative by at least `errors` of its standard
errors, and most so within half a window. A bend of the curve, such as the steady fall at the beginning, gives no step:
around a place that is the middle of its window a parabola and a step are orthogonal.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import ReslabError
from reslab.progress import Progress
from reslab.run import Run
from reslab.study.work import train

WINDOW = 8  # lines on each side
LEAST = 3  # lines on each side, at the ends of the curve
ERRORS = 3.0  # a normal number exceeds it, in this direction, in 1 of 700 places


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """The drops of the loss, and which of them are drops of the rate.

    Settings: `places`, where the recipe divides the rate, as shares of the run (the settings of the cell name them, so
    that a run with a constant rate can be asked, too); `window`, `errors`; `near`, lines between a drop of the loss and
    one of the rate that count as the same place.

    share    of the drops of the loss, those near a drop of the rate; 0 if there are none
    found    of the drops of the rate, those near a drop of the loss
    chance   the share of all places that are near a drop of the rate: what `share` is expected to be by chance
    lead     in standard errors: how much larger the largest step down near a drop of the rate is than the largest one
             elsewhere, farther than half a window from each drop of the rate
    down     in standard errors: the largest step down near each drop of the rate; `first`, near the first of them;
             `least`, the smallest of these
    """
    lines = [line for line in Run(needs[0] / train.RUN).metrics() if line.get("event") == "train"]
    ends, losses = [line["iteration"] for line in lines], [line["loss"] for line in lines]
    if len(lines) < 4 * LEAST or min(losses) <= 0:
        raise ReslabError(f"the log of {needs[0]} has {len(lines)} lines with a loss; {4 * LEAST} are needed")
    window, near = settings.get("window", WINDOW), settings.get("near", 1)
    steps = step_errors(np.log10(losses), window=window)
    drops = lowest(steps, below=-settings.get("errors", ERRORS), apart=window // 2)
    rate = [line_after(ends, share * ends[-1]) for share in settings["places"]]
    hit = [d for d in drops if any(abs(d - r) <= near for r in rate)]
    seen = [r for r in rate if any(abs(d - r) <= near for d in drops)]
    share, of_rate = len(hit) / len(drops) if drops else 0.0, len(seen) / len(rate)
    places = [p for p in range(len(lines)) if not math.isnan(steps[p])]
    chance = sum(any(abs(p - r) <= near for r in rate) for p in places) / len(places)
    down = [-min((steps[p] for p in places if abs(p - r) <= near), default=0.0) for r in rate]
    elsewhere = -min((steps[p] for p in places if all(abs(p - r) > window // 2 for r in rate)), default=0.0)
    return {
        "drops": [ends[d - 1] for d in drops], "rate_drops": [ends[r - 1] for r in rate],
        "errors": [float(steps[d]) for d in drops], "share": share, "found": of_rate, "chance": chance,
        "lead": max(down) - elsewhere, "down": down, "first": down[0], "least": min(down),
        "iterations": ends, "losses": losses,
    }  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    return 0.1


def step_errors(heights: Any, *, window: int) -> list[float]:
    """At each place p, between the values p - 1 and p: the fitted step over its standard error; NaN near the ends."""
    found = [math.nan] * len(heights)
    for p in range(LEAST, len(heights) - LEAST + 1):
        reach = min(window, p, len(heights) - p)  # as many lines on each side
        t = np.arange(-reach, reach) + 0.5
        design = np.stack([np.ones_like(t), t, (t > 0).astype(float)], axis=1)
        values = np.asarray(heights[p - reach : p + reach])
        answer = np.linalg.lstsq(design, values, rcond=None)[0]
        left = values - design @ answer
        spread = float(left @ left) / (2 * reach - 3)
        error = math.sqrt(spread * np.linalg.inv(design.T @ design)[2, 2])
        found[min(p, len(heights) - 1)] = float(answer[2]) / max(error, 1e-12)
    return found


def lowest(steps: Sequence[float], *, below: float, apart: int) -> list[int]:
    """Places whose value is under `below` and the least within `apart` places; NaN is no value."""
    known = [math.inf if math.isnan(step) else step for step in steps]
    return [
        p for p, step in enumerate(known)
        if step <= below and step == min(known[max(0, p - apart) : p + apart + 1])
    ]  # fmt: skip


def line_after(ends: Sequence[int], iteration: float) -> int:
    """The first line whose iterations all come after this one, up to half of them."""
    starts = [0, *ends[:-1]]
    return min(range(len(ends)), key=lambda p: abs(starts[p] - iteration))
