"""Intervals of what `look` measures: an error, and its difference when a block is disabled."""

import math

from reslab.statistics.shares import Interval, newcombe, paired, reaching_zero, student, wilson


def of_share(metric: str, value: float, n: int) -> Interval | None:
    """The 95 % interval of an error, 0 to 1, counted over n samples; None for another metric."""
    if metric != "error" or n < 1 or not 0 <= value <= 1:
        return None
    return wilson(round(value * n), n)


def change(metric: str, value: float, whole: float, n: int, spread: float | None) -> Interval | None:
    """The 95 % interval of value - whole over the same n samples; an error is 0 to 1.

    `spread`: standard deviation of the samples' differences. An error without it gets the interval for different
    samples, which is wider; another metric none.
    """
    if n < 1:
        return None
    if metric == "error":
        a, b = round(value * n), round(whole * n)
        if not (0 <= a <= n and 0 <= b <= n):
            return None
        return unpaired(a, b, n) if spread is None or n < 2 else of_the_same(a, b, n, spread)
    if spread is None or n < 2:
        return None
    reach = student(n - 1) * spread / math.sqrt(n)
    return Interval(low=value - whole - reach, high=value - whole + reach)


def of_the_same(a: int, b: int, n: int, spread: float) -> Interval:
    """a / n - b / n over the same samples: the spread tells how many of them changed."""
    changed = min(n, round(spread**2 * (n - 1) + (a - b) ** 2 / n))  # the sum of squares of differences of -1, 0, 1
    more = max(0, (changed + a - b) // 2)
    return paired(more, max(0, more - a + b), n)


def unpaired(a: int, b: int, n: int) -> Interval:
    """a / n - b / n if it is not known which samples changed."""
    return reaching_zero(newcombe(a, b, n), max(a - b, 0), max(b - a, 0))  # at best all changes go one way
