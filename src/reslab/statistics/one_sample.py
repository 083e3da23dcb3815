"""One effect per seed against a fixed number: tests, intervals, and what a number of seeds can show."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reslab.statistics.shares import LEVEL, student

SAME = 1e-9  # of the largest value: a spread below it is rounding
POWER = 0.8
STEPS = 2_000  # of a numerical integral


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The mean of independent values, such as one per seed, and its standard error.

    `error` is None for a single value, and for values that are all the same while no noise is known: then there is no
    interval, and the tests below count signs.
    """

    values: tuple[float, ...]
    mean: float
    error: float | None

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def low(self) -> float | None:
        """The lower end of the mean's interval of level 0.95 (Student's)."""
        return None if self.error is None else self.mean - student(self.n - 1) * self.error

    @property
    def high(self) -> float | None:
        return None if self.error is None else self.mean + student(self.n - 1) * self.error


def sample(values: Sequence[float], *, noise: float = 0.0, rounding: float = 0.0) -> Sample:
    """The values' mean and its error.

    noise: the least variance to assume, such as that of a counted rate: five equal values, or five that are alike by
    luck, do not show that there is no noise. 0: unknown. rounding: a spread up to it is rounding, and no spread; so is
    one below 1e-9 of the largest value.
    """
    n, variance = len(values), statistics.variance(values) if len(values) > 1 else 0.0
    if math.sqrt(variance) <= max(rounding, SAME * max(map(abs, values))):
        variance = 0.0
    variance = max(variance, noise)
    error = math.sqrt(variance / n) if n > 1 and variance > 0 else None
    return Sample(values=tuple(values), mean=statistics.fmean(values), error=error)


def differs(one: Sample, threshold: float) -> float:
    """Two-sided p that the mean is not `threshold`: Student's t test, or the sign test of values without any spread."""
    return min(1.0, 2 * min(above(one, threshold), below(one, threshold)))


def above(one: Sample, threshold: float) -> float:
    """One-sided p that the mean is above `threshold`."""
    from scipy.stats import t

    if one.error is None:
        return signs(one.values, threshold)
    return float(t.sf((one.mean - threshold) / one.error, one.n - 1))


def below(one: Sample, threshold: float) -> float:
    """One-sided p that the mean is below `threshold`."""
    return above(Sample(values=tuple(-value for value in one.values), mean=-one.mean, error=one.error), -threshold)


def signs(values: Sequence[float], threshold: float) -> float:
    """The chance that at least as many of n fair coins as values are above `threshold` show heads; values on it count
    as neither."""
    from scipy.stats import binom

    more, fewer = sum(value > threshold for value in values), sum(value < threshold for value in values)
    return float(binom.sf(more - 1, more + fewer, 0.5))


def within(one: Sample, threshold: float, margin: float) -> float:
    """p of two one-sided tests (Schuirmann 1987): the mean is less than `margin` away from `threshold`."""
    return max(above(one, threshold - margin), below(one, threshold + margin))


def outside(one: Sample, threshold: float, margin: float) -> float:
    """p that the mean is more than `margin` away from `threshold`, on either side."""
    return min(1.0, 2 * min(above(one, threshold + margin), below(one, threshold - margin)))


@lru_cache
def smallest_effect(n: int, *, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest distance of the mean, in standard deviations, that a two-sided t test of n values shows at `alpha`
    with this power: by the noncentral t distribution. Infinite below two values."""
    from scipy.optimize import brentq
    from scipy.stats import t

    if n < 2:
        return math.inf
    critical = float(t.ppf(1 - alpha / 2, n - 1))
    most = 4.0 * critical + 4.0
    while noncentral(critical, n - 1, most) < power:
        most *= 2
    return float(brentq(lambda shift: noncentral(critical, n - 1, shift) - power, 0.0, most)) / math.sqrt(n)


def noncentral(critical: float, df: int, shift: float) -> float:
    """The chance that |T| > critical, where T = (Z + shift) / sqrt(chi2 / df); integrated over chi2's quantiles.

    scipy's nct gives nan in the far tail, which few seeds and Holm's factor reach.
    """
    import numpy as np
    from scipy.stats import chi2, norm

    spread = np.sqrt(chi2.ppf((np.arange(STEPS) + 0.5) / STEPS, df) / df)
    return float(np.mean(norm.sf(critical * spread - shift) + norm.cdf(-critical * spread - shift)))


@lru_cache
def smallest_margin(n: int, *, alpha: float = 1 - LEVEL, power: float = POWER) -> float:
    """The smallest margin, in standard deviations, within which two one-sided t tests of n values show at `alpha` and
    with this power a mean that is exactly on the threshold. Infinite below two values."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm, t

    if n < 2:
        return math.inf
    critical = float(t.ppf(1 - alpha, n - 1))
    spread = np.sqrt(chi2.ppf((np.arange(STEPS) + 0.5) / STEPS, n - 1) / (n - 1))

    def shown(margin: float) -> float:  # given the spread, |Z| < margin - critical * spread, all in standard errors
        room = np.maximum(margin - critical * spread, 0.0)
        return float(np.mean(2 * norm.cdf(room) - 1))

    return float(brentq(lambda margin: shown(margin) - power, 0.0, 10 * critical + 10)) / math.sqrt(n)
