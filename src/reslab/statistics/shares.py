"""Shares counted over examples, their differences and their trends, with intervals in closed form: pages need no scipy.

All intervals have the level 0.95.
"""

import math
from dataclasses import dataclass

LEVEL = 0.95  # of every interval; a difference counts as shown if p < 1 - LEVEL
Z = 1.959963984540054  # the normal distribution's quantile at (1 + LEVEL) / 2
# Student's t at (1 + LEVEL) / 2, for 1 to 12 degrees of freedom; above, Cornish and Fisher's expansion has 4 digits.
T = (12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216, 2.22814, 2.20099, 2.17881)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Both ends, in the unit of the quantity."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def wilson(count: int, n: int) -> Interval:
    """Wilson's score interval of a share count / n, 0 to 1 (1927)."""
    share, extra = count / n, Z**2 / n
    middle = (share + extra / 2) / (1 + extra)
    reach = Z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    # The ends at 0 and n are exact; rounding must not move them.
    return Interval(low=middle - reach if count else 0.0, high=middle + reach if count < n else 1.0)


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
    return Interval(low=max(up - down - reach, -1.0), high=min(up - down + reach, 1.0))


def student(df: int) -> float:
    """The quantile at (1 + LEVEL) / 2 of Student's t distribution."""
    if df <= len(T):
        return T[df - 1]
    terms = (Z**3 + Z) / (4 * df), (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * df**2)
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / (384 * df**3)
    return Z + sum(terms) + third


def rank_interval(correlation: float, n: int) -> Interval:
    """The interval of Spearman's rank correlation over n pairs (Bonett and Wright 2000); -1 to 1 below 4 pairs."""
    if n < 4:
        return Interval(low=-1.0, high=1.0)
    middle = math.atanh(max(min(correlation, 1 - 1e-12), -1 + 1e-12))
    reach = Z * math.sqrt((1 + correlation**2 / 2) / (n - 3))
    return Interval(low=math.tanh(middle - reach), high=math.tanh(middle + reach))
