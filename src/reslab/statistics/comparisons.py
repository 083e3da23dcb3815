"""Compare runs: tests of differences, their intervals and corrections, computed by scipy where possible.

Rates are in percent. They are compared on the scale arcsin(sqrt(rate)), in radians: on it, an error rate counted over
n images has the variance 1 / (4 n), whatever the rate is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reslab.errors import UsageError
from reslab.statistics.shares import LEVEL, Interval, Z, newcombe, student

if TYPE_CHECKING:  # numpy and scipy are imported where they are used: `reslab --help` needs neither
    import numpy as np

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of a minus mean of b, with its interval; p: probability of a difference at least as large under chance."""

    value: float
    low: float
    high: float
    p: float
    statistic: float  # t, or z if df is None
    df: float | None
    n: int  # number of values on the smaller side


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Two one-sided tests: p is the larger of both; low and high are the interval of level 1 - 2 alpha."""

    value: float
    low: float
    high: float
    margin: float
    p: float
    shown: bool  # p < alpha: the difference lies within the margin


def mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def std(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n - 1); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Student's interval of the mean of independent values, such as seeds; None for fewer than two."""
    if len(values) < 2:
        return None
    middle, reach = mean(values), student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(low=middle - reach, high=middle + reach)


def plus_minus(mean: float, std: float | None, *, digits: int = 2, gap: str = " ", unit: str = "") -> str:
    """`8.41 ± 0.12 %`; a single run has no standard deviation, so none is shown."""
    spread = "" if std is None else f"{gap}±{gap}{std:.{digits}f}"
    return f"{mean:.{digits}f}{spread}" + (f"{gap}{unit}" if unit else "")


def p_text(p: float) -> str:
    """`= 0.022`, `< 0.0001`."""
    return f"= {p:.2g}" if p >= 1e-4 else "< 0.0001"


def welch(a: Sequence[float], b: Sequence[float], *, floor: float | tuple[float, float] = 0.0) -> Difference:
    """Welch's t test of two means, with separate variances, each at least `floor`.

    The floor, one for both sides or one for each, is the known noise variance of a single value: two equal values do
    not show that there is no noise. Raises UsageError for fewer than two values on a side, or no variance on either.
    """
    from scipy.stats import t, ttest_ind_from_stats

    if min(len(a), len(b)) < 2:
        raise UsageError(f"Welch's test needs at least two values per side, got {len(a)} and {len(b)}")
    floors = floor if isinstance(floor, tuple) else (floor, floor)
    va, vb = (max(statistics.variance(side), least) for side, least in zip((a, b), floors, strict=True))
    if va + vb <= 0:
        raise UsageError("Welch's test needs some variance: both sides are constant and floor is 0")
    found = ttest_ind_from_stats(mean(a), math.sqrt(va), len(a), mean(b), math.sqrt(vb), len(b), equal_var=False)
    va, vb = va / len(a), vb / len(b)
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    value, reach = mean(a) - mean(b), float(t.ppf((1 + LEVEL) / 2, df)) * math.sqrt(va + vb)
    return Difference(value=value, low=value - reach, high=value + reach, p=float(found.pvalue),
                      statistic=float(found.statistic), df=df, n=min(len(a), len(b)))  # fmt: skip


def compare_rates(a: Sequence[float], b: Sequence[float], *, images: int) -> Difference:
    """Tests whether two error rates (%) over seeds differ: Welch's test on arcsine roots; interval in points.

    Each rate is counted over `images` images, so each side's variance is at least 1 / (4 images) on that scale. The
    interval is transformed back to points by moving each side by its share of the variance; it contains 0 exactly if
    p >= 1 - LEVEL.
    """
    scaled = [[math.asin(math.sqrt(rate / 100)) for rate in side] for side in (a, b)]
    floor = 1 / (4 * images)
    found = welch(scaled[0], scaled[1], floor=floor)
    va, vb = (max(statistics.variance(side), floor) / len(side) for side in scaled)
    centers = mean(scaled[0]), mean(scaled[1])

    def points(difference: float) -> float:
        further = difference - found.value
        ends = centers[0] + further * va / (va + vb), centers[1] - further * vb / (va + vb)
        share_a, share_b = (math.sin(min(max(end, 0.0), math.pi / 2)) ** 2 for end in ends)
        return 100 * (share_a - share_b)

    return Difference(value=mean(a) - mean(b), low=points(found.low), high=points(found.high), p=found.p,
                      statistic=found.statistic, df=found.df, n=found.n)  # fmt: skip


def compare_counts(a: float, b: float, *, images: int) -> Difference:
    """Compare two error rates (%) of one net each: a z test over images, which says nothing about other seeds.

    The interval, in points, is Newcombe's, built from two Wilson intervals (1998, method 10).
    """
    from scipy.stats import norm

    shares = a / 100, b / 100
    pooled = mean(shares)
    error = math.sqrt(max(pooled * (1 - pooled), 1e-12) * 2 / images)
    z = (shares[0] - shares[1]) / error
    around = newcombe(round(shares[0] * images), round(shares[1] * images), images)
    return Difference(value=a - b, low=100 * around.low, high=100 * around.high, p=float(2 * norm.sf(abs(z))),
                      statistic=z, df=None, n=1)  # fmt: skip


def compare_known(a: float, b: float, *, variance: float) -> Difference:
    """Compare two scores of one net each whose difference has a known variance over examples: a z test.

    It says nothing about other seeds. Without any variance, scores that differ do so for certain (p = 0).
    """
    from scipy.stats import norm

    reach = Z * math.sqrt(variance)
    z = (a - b) / math.sqrt(variance) if variance else math.copysign(math.inf, a - b) if a != b else 0.0
    return Difference(value=a - b, low=a - b - reach, high=a - b + reach, p=float(2 * norm.sf(abs(z))), statistic=z,
                      df=None, n=1)  # fmt: skip


def interval_variance(low: float, high: float) -> float:
    """The variance of a score whose 95 % interval goes from low to high, as if it were a normal one."""
    return ((high - low) / (2 * Z)) ** 2


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): each p-value, adjusted for all that are tested together.

    NaN, a test that could not be made, stays NaN and is none of them.
    """
    order = sorted((i for i in range(len(p)) if not math.isnan(p[i])), key=lambda i: p[i])
    adjusted, least = [math.nan] * len(p), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = least
    return adjusted


def equivalence(
    a: Sequence[float], b: Sequence[float], *, margin: float, floor: float | tuple[float, float] = 0.0,
    alpha: float = 1 - LEVEL,
) -> Equivalence:  # fmt: skip
    """Tests whether two means differ by less than `margin`: two one-sided Welch tests (Schuirmann 1987).

    The margin must have been fixed before the data were seen. `floor` as for `welch`; `counting_variance` gives that of
    rates. Raises UsageError for a margin that is not positive, and as `welch`.
    """
    from scipy.stats import t

    if not margin > 0:
        raise UsageError(f"margin must be positive, got {margin}")
    found = welch(a, b, floor=floor)
    assert found.df is not None
    error = (found.high - found.value) / float(t.ppf((1 + LEVEL) / 2, found.df))
    p = max(
        float(t.sf((found.value + margin) / error, found.df)), float(t.cdf((found.value - margin) / error, found.df))
    )
    reach = float(t.ppf(1 - alpha, found.df)) * error
    return Equivalence(value=found.value, low=found.value - reach, high=found.value + reach, margin=margin, p=p,
                       shown=p < alpha)  # fmt: skip


def counting_variance(rate: float, images: int) -> float:
    """The variance (points squared) of a rate (%) over `images` images; 2 errors in 4 added images keep it above 0."""
    share = (rate / 100 * images + 2) / (images + 4)  # Agresti and Coull 1998
    return 1e4 * share * (1 - share) / images


def bootstrap(
    scores: Callable[[np.ndarray], Mapping[str, float | None]], n: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals of scores over n examples: each is recomputed on n rows sampled with replacement.

    `scores(rows)` computes them for these rows; None or NaN if a score is undefined there: that resample is skipped.
    (scipy's bootstrap takes one score at a time and no None.)
    """
    import numpy as np

    draws = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(resamples):
        for name, value in scores(draws.integers(n, size=n)).items():
            if value is not None and not math.isnan(value):
                found.setdefault(name, []).append(value)
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    ends = {name: np.percentile(values, tails) for name, values in found.items()}
    return {name: Interval(low=float(low), high=float(high)) for name, (low, high) in ends.items()}
