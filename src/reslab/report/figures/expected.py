"""What a plan expects at each of its steps, in the metric that people read: the error, if it was measured."""

from dataclasses import dataclass
from typing import Any

from reslab.report import words
from reslab.report.folder import Facts, dicts, facts
from reslab.report.look.words import Metric
from reslab.statistics.effects import of_share


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Values of the steps as drawn, an error in percent, each with its interval; None where it is unknown."""

    metric: Metric
    values: list[float | None]
    low: list[float | None]
    high: list[float | None]
    what: str  # what the intervals are of

    def text(self, k: int) -> str:
        """`20.1 % (18.3 to 22.0)`."""
        low, high = self.low[k], self.high[k]
        around = "" if low is None or high is None else f" ({plain(low)} to {plain(high)})"
        return f"{self.metric.text(self.values[k])}{around}"


def expected(plan: Facts) -> Expected | None:
    """None for a plan without steps.

    A plan that decides by the loss measures the error beside it: the interval is then that of the error itself, over
    the n examples; otherwise that of the change from the intact model, at the same examples.
    """
    steps = dicts(plan.get("steps"))
    if not steps:
        return None
    own = str(plan["measure"])
    metric = Metric("error" if "error" in facts(steps[0].get("values")) else own)
    values = [metric.of(facts(step.get("values"))) for step in steps]
    if metric.key == own:
        first = values[0]
        ends = [[None if first is None or moved is None else first + moved for moved in
                 (metric.value(step.get(key)) for step in steps)] for key in ("low", "high")]  # fmt: skip
        return Expected(metric=metric, values=values, low=ends[0], high=ends[1],
                        what="of the change from the intact model on the same examples")  # fmt: skip
    around = [of_share("error", value / 100, plan["n"]) if value is not None and words.is_number(plan.get("n"))
              else None for value in values]  # fmt: skip
    return Expected(metric=metric, values=values, low=[100 * one.low if one else None for one in around],
                    high=[100 * one.high if one else None for one in around],
                    what="of the error over these examples")  # fmt: skip


def plain(value: Any) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
