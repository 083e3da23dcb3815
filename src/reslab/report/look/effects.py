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
from reslab.statistics import Interval, newcombe, paired, reaching_zero, student, wilson


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
    """The 95 % interval of value - whole, both as drawn, over n samples.

    With the spread of the samples' differences, that of the same samples; an error without it, as if over different
    samples, which is wider.
    """
    if whole is None or not is_number(n) or n < 1:
        return None
    n = int(n)
    if metric.key == "error":
        counts = round(value * n / 100), round(whole * n / 100)
        if not all(0 <= count <= n for count in counts):
            return None
        if spread is None or n < 2:
            return percents(unpaired(*counts, n))
        moved = min(n, round((spread / 100) ** 2 * (n - 1) + (counts[0] - counts[1]) ** 2 / n))
        more = max(0, (moved + counts[0] - counts[1]) // 2)
        return percents(paired(more, max(0, more - counts[0] + counts[1]), n))
    if spread is None or n < 2:
        return None
    reach = student(n - 1) * spread / math.sqrt(n)
    return Interval(low=value - whole - reach, high=value - whole + reach)


def unpaired(a: int, b: int, n: int) -> Interval:
    """The difference of two shares counted over the same samples, if it is not known which of them changed."""
    return reaching_zero(newcombe(a, b, n), max(a - b, 0), max(b - a, 0))  # at best all changes go one way


def percents(share: Interval) -> Interval:
    return Interval(low=100 * share.low, high=100 * share.high)


def of_share(metric: Metric, value: Any, n: Any) -> Interval | None:
    """The 95 % interval of an error over n samples, in percent; None for other metrics."""
    if metric.key != "error" or not is_number(value) or not is_number(n) or n < 1 or not 0 <= value <= 100:
        return None
    return percents(wilson(round(value * int(n) / 100), int(n)))


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
