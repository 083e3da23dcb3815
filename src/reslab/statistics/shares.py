"""Shares counted over examples, their differences and their trends, with intervals: scipy's where it has them.

All intervals have the level 0.95.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEVEL = 0.95  # of every interval; a difference counts as shown if p < 1 - LEVEL
Z = 1.959963984540054  # the normal distribution's quantile at (1 + LEVEL) / 2


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends, in the unit of the quantity."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(count: int, n: int) -> Interval:
    """Wilson's score interval of a share count / n, 0 to 1; all of it for n = 0, which says nothing."""
    if not n:
        return Interval(low=0.0, high=1.0)
    low, high = around(count / n, n)  # by hand: importing scipy.stats would take most of a second of each training
    return Interval(low=low if count else 0.0, high=high if count < n else 1.0)


def clustered(shares: Sequence[float]) -> Interval:
    """Wilson's interval of the mean of shares, 0 to 1, each counted over several decisions on one example.

    Decisions on one example are not independent: the mean counts as that of as many independent decisions as have its
    variance over examples (Korn and Graubard 1998 do so with survey clusters), at least one an example.
    """
    n, p = len(shares), statistics.fmean(shares)
    variance = math.fsum((share - p) ** 2 for share in shares) / n**2
    size = max(float(n), p * (1 - p) / variance) if 0 < p < 1 and variance > 0 else float(n)
    low, high = around(p, size)
    return Interval(low=low, high=high)


def around(p: float, n: float) -> tuple[float, float]:
    """Both ends of Wilson's interval of a share p of n decisions: all q with (p - q)^2 <= Z^2 q (1 - q) / n."""
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def f1(right: int, false: int, missed: int) -> float:
    """F1 = 2 right / (2 right + false + missed), the harmonic mean of precision and recall; 0 if nothing counts.

    Of one class: `right` examples of it predicted as it, `false` ones of other classes, `missed` ones of its own.
    """
    return 2 * right / max(2 * right + false + missed, 1)


def f1_interval(right: int, false: int, missed: int) -> Interval:
    """Wilson's interval of J = right / (right + false + missed), through F1 = 2 J / (1 + J), which grows with J.

    Given how many examples are of the class or predicted as it, the right ones among them are a binomial count if
    examples are independent, so this needs no resampling. 0 to 1 if there are none.
    """
    n = right + false + missed
    if n == 0:
        return Interval(low=0.0, high=1.0)
    around = wilson(right, n)
    return Interval(low=2 * around.low / (1 + around.low), high=2 * around.high / (1 + around.high))


def newcombe(a: int, b: int, n: int) -> Interval:
    """The difference a / n - b / n of shares counted over different examples (Newcombe 1998, method 10)."""
    one, other = wilson(a, n), wilson(b, n)
    down, up = math.hypot(a / n - one.low, other.high - b / n), math.hypot(one.high - a / n, b / n - other.low)
    return Interval(low=(a - b) / n - down, high=(a - b) / n + up)


def paired(more: int, fewer: int, n: int) -> Interval:
    """The difference (more - fewer) / n of two shares counted over the same n examples (Bonett and Price 2012).

    `more` examples count in the first alone, `fewer` in the second alone.
    """
    up, down = (more + 1) / (n + 2), (fewer + 1) / (n + 2)
    reach = Z * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return reaching_zero(Interval(low=max(up - down - reach, -1.0), high=min(up - down + reach, 1.0)), more, fewer)


def reaching_zero(interval: Interval, more: int, fewer: int) -> Interval:
    """The interval, extended to zero if the exact sign test does not show a difference: approximations fail below 6."""
    if interval.holds(0) or sign_test(more, fewer) < 1 - LEVEL:
        return interval
    return Interval(low=min(interval.low, 0.0), high=max(interval.high, 0.0))


def sign_test(more: int, fewer: int) -> float:
    """McNemar's exact test: the chance that of more + fewer fair coins the sides differ at least as much."""
    from scipy.stats import binomtest

    n = more + fewer
    return float(binomtest(min(more, fewer), n).pvalue) if n else 1.0


def student(df: int, level: float = LEVEL) -> float:
    """The quantile at (1 + level) / 2 of Student's t distribution."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, df))


def median_interval(values: Sequence[float]) -> Interval:
    """The interval of the median of what the values were sampled from, between two of them, whatever its distribution.

    Below 6 values it is their range, which misses the median in 2 ** (1 - n) of all cases: more often than LEVEL says.
    """
    from scipy.stats import binom

    ranked, n = sorted(values), len(values)
    below = max(0, int(binom.ppf((1 - LEVEL) / 2, n, 0.5)) - 1)  # P(at most `below` values under the median) < 0.025
    return Interval(low=float(ranked[below]), high=float(ranked[n - 1 - below]))


def ratio_interval(sums: "ArrayLike", sizes: "ArrayLike", level: float = LEVEL) -> Interval:
    """The interval of sum(sums) / sum(sizes), a mean over all items, where items of one sample are not independent.

    Sample i holds `sizes[i]` items, whose values add up to `sums[i]` (the ratio estimator of survey statistics:
    Cochran 1977, section 6.3). Samples without items do not count; with fewer than two there is no interval: infinite.
    """
    import numpy as np

    total, size = np.asarray(sums, dtype=float), np.asarray(sizes, dtype=float)
    total, size = total[size > 0], size[size > 0]
    n = len(total)
    if n < 2:
        return Interval(low=-math.inf, high=math.inf)
    mean = total.sum() / size.sum()
    spread = math.sqrt(float(((total - mean * size) ** 2).sum()) * n / (n - 1)) / float(size.sum())
    reach = student(n - 1, level) * spread
    return Interval(low=float(mean) - reach, high=float(mean) + reach)


def rank_interval(correlation: float, n: int) -> Interval:
    """The interval of Spearman's rank correlation over n pairs (Bonett and Wright 2000); -1 to 1 below 4 pairs."""
    if n < 4:
        return Interval(low=-1.0, high=1.0)
    middle = math.atanh(max(min(correlation, 1 - 1e-12), -1 + 1e-12))
    reach = Z * math.sqrt((1 + correlation**2 / 2) / (n - 3))
    return Interval(low=min(correlation, math.tanh(middle - reach)), high=max(correlation, math.tanh(middle + reach)))
