"""Format the measurements of `look`: metrics with units, large counts, and simple statistics for sentences."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reslab.report.figures.charts import clipped
from reslab.report.folder import items
from reslab.report.words import DIGITS, GAP, NONE, is_number, number, percent
from reslab.statistics import student

TITLES = {
    "error": "error (%)",
    "loss": "loss (nats)",
    "kl": "KL from the intact model (nats)",
    "drift": "drift, |changed − intact| / |intact|",
}
SAID = {"error": "error", "loss": "loss", "kl": "KL divergence", "drift": "drift"}


@dataclass(frozen=True)
class Finding:
    """A finding, and which of several models it is about."""

    text: str
    who: str = ""

    def __str__(self) -> str:
        return f"{self.who}: {self.text}" if self.who else self.text


@dataclass(frozen=True)
class Metric:
    """One of the metrics measured on a changed model."""

    key: str

    @property
    def title(self) -> str:
        return TITLES.get(self.key, self.key)

    @property
    def name(self) -> str:
        return SAID.get(self.key, self.key)

    @property
    def short(self) -> str:
        """For a column heading."""
        return "KL" if self.key == "kl" else clipped(self.key, 16)

    def value(self, stored: Any) -> float | None:
        """The value as drawn: errors in percent."""
        if not is_number(stored):
            return None
        return 100 * stored if self.key == "error" else stored

    def of(self, values: Any) -> float | None:
        """This metric's value out of several, as drawn."""
        return self.value(values.get(self.key)) if isinstance(values, dict) else None

    def text(self, drawn: Any) -> str:
        if not is_number(drawn):
            return NONE
        return percent(drawn, 1) if self.key == "error" else number(float(drawn))

    def more(self, difference: Any) -> str:
        """A difference, with its sign."""
        if not is_number(difference):
            return NONE
        text = f"{difference:+.1f}{GAP}points" if self.key == "error" else f"{difference:+.3g}"
        return text.replace("-", "−")


def metrics(result: dict[str, Any]) -> list[Metric]:
    """The metrics of a result, the most informative first."""
    names = [str(name) for name in items(result.get("metrics"))]
    order = ("error", "loss", "drift")
    return [Metric(name) for name in sorted(names, key=lambda n: order.index(n) if n in order else len(order))]


def findings(looks: Sequence[Any], find: Callable[[Any], list[str]]) -> list[Finding]:
    """The findings for each model: sentences for one model; for several, a paragraph each under its name."""
    if len(looks) == 1:
        return [Finding(sentence) for sentence in find(looks[0])]
    return [Finding(" ".join(sentences), look.label) for look in looks if (sentences := find(look))]


def large(count: float) -> str:
    """18014398509481984 -> `1.8 × 10¹⁶`; integers may be too large for a float."""
    if count < 100_000:
        return f"{count:,}"
    power = math.floor(math.log10(count) + 1e-12)
    head = math.log10(count) - power
    return f"{10**head:.1f}{GAP}×{GAP}{power_of_ten(power)}"


def power_of_ten(exponent: int) -> str:
    """-7 -> `10⁻⁷`."""
    return f"10{str(exponent).translate(DIGITS)}"


def small(value: Any) -> str:
    """3.4e-07 -> `3.4 × 10⁻⁷`; a number that three digits can show stays as it is."""
    if is_number(value) and 1e3 <= abs(value) < 1e5:
        return f"{value:,.0f}".replace("-", "−")
    if not is_number(value) or value == 0 or 1e-4 <= abs(value) < 1e3:
        return number(float(value)).replace("-", "−") if is_number(value) else NONE
    head, _, power = f"{value:.1e}".partition("e")
    return f"{head}{GAP}×{GAP}{power_of_ten(int(power))}".replace("-", "−")


def power(exponent: float) -> str:
    """10 to this power."""
    return small(10**exponent) if abs(exponent) < 200 else f"10^{exponent:.0f}"


def aligned(values: Sequence[Any]) -> Callable[[Any], str]:
    """A formatter for a column's numbers: all with as many decimals as the largest needs for three digits."""
    known = [abs(value) for value in numbers(values)]
    most = max(known, default=0)
    if most == 0 or not 1e-3 <= most < 1e5:
        return small
    places = max(0, 2 - math.floor(math.log10(most)))
    if statistics.median(value for value in known if value) * 10**places < 1:
        return small  # a few are so large that most others would be rounded to zero
    zero = f"{0:.{places}f}"

    def text(value: Any) -> str:
        shown = f"{value:.{places}f}" if is_number(value) else NONE
        return zero if shown == f"-{zero}" else shown.replace("-", "−")

    return text


def numbers(values: Sequence[Any]) -> list[float]:
    return [value for value in values if is_number(value)]


def median(values: Sequence[Any]) -> float | None:
    known = numbers(values)
    return statistics.median(known) if known else None


def several(count: int, noun: str) -> str:
    """`1 block`, `3 blocks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def rank_correlation(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Spearman's rank correlation; None if undefined."""
    known = [(x, y) for x, y in pairs if is_number(x) and is_number(y)]
    if len(known) < 3 or min(len(set(side)) for side in zip(*known, strict=True)) < 2:
        return None
    xs, ys = (ranks(list(side)) for side in zip(*known, strict=True))
    return statistics.correlation(xs, ys)


def ranks(values: list[float]) -> list[float]:
    """Ranks from 1; equal values get their mean rank."""
    ordered = sorted(values)
    first = {value: ordered.index(value) for value in values}
    return [first[value] + (values.count(value) + 1) / 2 for value in values]


def trend(points: Sequence[tuple[float, Any]]) -> tuple[float, float, float] | None:
    """Least squares fit to log10 of the positive values: (slope, intercept, half of the slope's 95 % interval)."""
    known = [(x, math.log10(y)) for x, y in points if is_number(y) and y > 0]
    if len(known) < 3:
        return None
    xs, ys = zip(*known, strict=True)
    slope, start = statistics.linear_regression(xs, ys)
    left = sum((y - start - slope * x) ** 2 for x, y in known) / (len(known) - 2)
    return slope, start, student(len(known) - 2) * math.sqrt(left / (statistics.pvariance(xs) * len(known)))
