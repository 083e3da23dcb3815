"""Temperature scaling: the one divisor of scores that makes a model's confidence match its accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

LIMITS = 0.01, 100.0  # of a temperature; the fit diverges if every row is right, or if rows are worse than chance
TRIED = 201  # temperatures, evenly spaced in their logarithm, of which the best is refined


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """The divisor of scores before the softmax, and the fitted mean negative log-likelihood (nats)."""

    temperature: float
    before: float  # at temperature 1
    after: float
    n: int
    at_limit: bool  # the optimum is outside LIMITS


def best_temperature(
    loss: Callable[[float], float], *, n: int, cost: Callable[[float], float] | None = None, tried: int = TRIED
) -> Temperature:
    """The T within LIMITS with the smallest cost (default: the loss), fitted on `n` rows.

    loss: mean negative log-likelihood at a temperature. `tried` temperatures are compared before the best is refined;
    few are enough for a cost with one minimum. If no temperature changes the cost, T is 1.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    asked = cost or loss
    low, high = (math.log(limit) for limit in LIMITS)
    grid = np.linspace(low, high, tried)
    found = [asked(math.exp(one)) for one in grid]
    best = int(np.argmin(found))
    around = grid[max(best - 1, 0)], grid[min(best + 1, tried - 1)]
    near = minimize_scalar(lambda one: asked(math.exp(one)), bounds=around, method="bounded", options={"xatol": 1e-9})
    place = 0.0 if np.ptp(found) == 0 else float(near.x)
    return Temperature(
        temperature=math.exp(place), before=loss(1.0), after=loss(math.exp(place)), n=n,
        at_limit=place != 0.0 and min(place - low, high - place) < 1e-6,
    )  # fmt: skip
