"""How much disabling a block changes a metric, with the interval of the difference: what is shown and what is not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reslab.report.folder import facts
from reslab.report.look.blocks import Block
from reslab.report.look.folder import Look
from reslab.report.look.words import Metric
from reslab.report.words import GAP, is_number, number
from reslab.statistics import Interval
from reslab.statistics.effects import change
from reslab.statistics.effects import of_share as share


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A block's metric when it is disabled, and the difference from the intact model, both as drawn."""

    block: Block
    value: float
    change: float | None  # None: the intact model has no such metric
    interval: Interval | None  # of the change; None if nothing is known about its spread

    @property
    def raised(self) -> bool:
        """Whether the change is above zero beyond its interval; without one, whether it is above zero at all."""
        return (self.interval.low if self.interval else self.change or 0) > 0

    @property
    def span(self) -> Interval | None:
        """The interval around the value itself: intact + the change's ends."""
        if self.interval is None or self.change is None:
            return None
        start = self.value - self.change
        return Interval(low=start + self.interval.low, high=start + self.interval.high)

    @property
    def lowered(self) -> bool:
        return (self.interval.high if self.interval else self.change or 0) < 0


def effects(look: Look, found: Sequence[Block], metric: Metric) -> list[Effect]:
    """The effect of disabling each block, where it was measured."""
    whole, n = metric.of(look["lesions"].get("whole")), look["lesions"].get("n")
    known = []
    for block in found:
        value = metric.value(block.values.get(f"without:{metric.key}"))
        if value is None:
            continue
        change = value - whole if whole is not None else None
        spread = metric.value(block.values.get(f"spread:{metric.key}"))
        known.append(Effect(block=block, value=value, change=change, interval=around(metric, value, whole, n, spread)))
    return known


def around(metric: Metric, value: float, whole: float | None, n: Any, spread: float | None) -> Interval | None:
    """The 95 % interval of value - whole, all as drawn (errors in percent), over n samples."""
    if whole is None or not is_number(n):
        return None
    if metric.key != "error":
        return change(metric.key, value, whole, int(n), spread)
    found = change(metric.key, value / 100, whole / 100, int(n), None if spread is None else spread / 100)
    return percents(found) if found else None


def percents(share: Interval) -> Interval:
    return Interval(low=100 * share.low, high=100 * share.high)


def of_share(metric: Metric, value: Any, n: Any) -> Interval | None:
    """The 95 % interval of an error over n samples, in percent; None for other metrics."""
    found = share(metric.key, value / 100, int(n)) if is_number(value) and is_number(n) else None
    return percents(found) if found else None


def ends(metric: Metric, interval: Interval | None) -> str:
    """`12.3 to 22.6`, in the unit of the metric; "" without an interval."""
    if interval is None:
        return ""
    shown = [f"{end:.1f}" if metric.key == "error" else number(float(end)) for end in (interval.low, interval.high)]
    return " to ".join(f"{0:.1f}" if text == "-0.0" else text for text in shown).replace("-", "−")


def with_interval(metric: Metric, value: Any, n: Any) -> str:
    """`16.8 % (95 % interval 12.3 to 22.6)`; other metrics as they are."""
    between = ends(metric, of_share(metric, value, n))
    return metric.text(value) + (f" (95{GAP}% interval {between})" if between else "")


def changed(metric: Metric, effect: Effect) -> str:
    """`+34.2 points (31.1 to 37.2)`."""
    between = ends(metric, effect.interval)
    return metric.more(effect.change) + (f" ({between})" if between else "")


def same(a: float, b: float) -> bool:
    """Whether two measured numbers are equal but for the rounding of floats."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def adds_nothing(look: Look) -> bool:
    """Whether every branch was measured to add exactly zero, as in a net whose last norms start at zero."""
    sizes = [each.get(key) for verb, key in (("influence", "ratio"), ("responses", "branch"))
             for each in look[verb].get("merges") or [] if isinstance(facts(each), dict)]  # fmt: skip
    return bool(sizes) and all(is_number(size) and size == 0 for size in sizes)
