"""A verdict on norms by layer: how much they change from layer to layer, and over the whole depth."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["healthy", "shrinks", "grows", "vanishes", "explodes", "uneven", "nothing"]

# Both limits are powers of ten of the change of the fitted line from the first layer to the last.
#
# All layers share one learning rate, and the paper's schedule changes it by a factor of 100 (0.1 to 0.001). Up to this
# factor, a layer's norm is off by no more than the range of the schedule.
HEALTHY = 2
# With Xavier's initialization each ReLU layer shrinks the signal by 1/sqrt(2). A net of 22 layers (a factor of 2,000)
# still learned; one of 30 layers (33,000) did not, "the gradients are diminishing" (He et al. 2015, arXiv 1502.01852,
# section 2.2). The limit between "shrinks" and "vanishes" lies between these two.
LOST = 4
UNCHANGED = math.log10(1.00005)  # below it four decimals show no change


@dataclass(frozen=True, kw_only=True)
class Health:
    """The trend of positive numbers over the layers, in the order of the pass."""

    verdict: Verdict
    words: str
    ratio: float | None  # largest to smallest, without zeros
    slope: float  # of log10 per layer, from the input towards the output
    start: float  # log10 of the fitted line at the first layer
    fit: float  # R^2 of the line: the share of the variance of log10 that it explains
    change: float  # change of the fitted line over all layers, in powers of ten, in the direction of the flow
    zeros: int  # layers whose value is exactly zero


def assess(values: Sequence[float], flow: Literal["forward", "backward"], *, of: str = "layer") -> Health:
    """Fit a line to log10 of `values` by layer and classify it; "backward" flows towards the input.

    Zeros are counted and not fitted. `of` names what has a value, for `words`.
    """
    points = [(i, math.log10(value)) for i, value in enumerate(values) if value > 0]
    zeros = len(values) - len(points)
    if not points:
        words = (
            f"nothing arrives: the value of every {of} is exactly zero" if values else f"there is no {of} to measure"
        )
        return Health(verdict="nothing", words=words, ratio=None, slope=0, start=0, fit=0, change=0, zeros=zeros)
    slope, start, fit = line(points)
    heights = [height for _, height in points]
    spread = max(heights) - min(heights)
    change = slope * (len(values) - 1) * (1 if flow == "forward" else -1)
    verdict = name(change, spread)
    return Health(
        verdict=verdict,
        words=phrase(verdict, flow, slope, change, spread, of=of, n=len(values), zeros=zeros),
        ratio=10**spread if spread < 300 else math.inf,
        slope=slope,
        start=start,
        fit=fit,
        change=change,
        zeros=zeros,
    )


def line(points: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """Least squares: slope, height at 0, R^2 (1 if all points lie on the line)."""
    if len(points) < 2:
        return 0.0, points[0][1], 1.0
    xs, ys = zip(*points, strict=True)
    slope, start = statistics.linear_regression(xs, ys)
    mean = statistics.fmean(ys)
    whole = sum((y - mean) ** 2 for y in ys)
    left = sum((y - start - slope * x) ** 2 for x, y in points)
    return slope, start, 1 - left / whole if whole > 1e-24 * len(ys) else 1.0


def name(change: float, spread: float) -> Verdict:
    """The verdict for a change and a spread in powers of ten."""
    if abs(change) > LOST:
        return "explodes" if change > 0 else "vanishes"
    if abs(change) > HEALTHY:
        return "grows" if change > 0 else "shrinks"
    return "uneven" if spread > LOST else "healthy"


def phrase(
    verdict: Verdict, flow: str, slope: float, change: float, spread: float, *, of: str, n: int, zeros: int
) -> str:
    """The verdict as a sentence with its numbers."""
    many = f"{n} {of}s"
    where, each = ("towards the output", slope) if flow == "forward" else ("towards the input", -slope)
    moved = f"{times(each)} per {of}, {times(change)} over {many}"
    tail = f"; {zeros} of {many} are exactly zero" if zeros else ""
    if verdict == "healthy":
        return f"healthy: {moved} {where}{tail}"
    if verdict == "uneven":
        return f"uneven: the largest is {factor(spread)} times the smallest, without a trend ({moved} {where}){tail}"
    return f"{verdict} {where}: {moved}{tail}"


def times(power: float) -> str:
    """A change by 10^power: "2.0 times larger", "1.42 times smaller", "unchanged"."""
    if abs(power) < UNCHANGED:
        return "unchanged"
    return f"{factor(abs(power))} times {'larger' if power > 0 else 'smaller'}"


def factor(power: float) -> str:
    """10^power of at least 1 in two digits, and with as many decimals as show that it is not 1."""
    if power >= 6:
        return f"10^{power:.1f}"
    value = 10**power
    if value < 9.95:
        return f"{value:.1f}" if value >= 1.95 else f"{value:.2f}" if value >= 1.05 else f"{value:.4f}"
    return f"{float(f'{value:.2g}'):,.0f}"
