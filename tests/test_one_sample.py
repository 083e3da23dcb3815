"""One effect per seed against a number: scipy's tests, tables of power, and counting by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from reslab.statistics import differs, outside, sample, smallest_effect, smallest_margin, within

VALUES = [1.0, 2.0, 3.0, 4.0, 5.0]  # mean 3, variance 2.5, standard error sqrt(0.5)


def test_mean_and_interval_by_hand() -> None:
    one = sample(VALUES)
    assert (one.n, one.mean, one.error) == (5, 3, pytest.approx(0.5**0.5))
    assert (one.low, one.high) == (pytest.approx(3 - 2.776445 * 0.5**0.5), pytest.approx(3 + 2.776445 * 0.5**0.5))


@pytest.mark.parametrize("threshold", [-1.0, 1.0, 3.0, 4.2])
def test_differs_is_scipys_t_test(threshold: float) -> None:
    assert differs(sample(VALUES), threshold) == pytest.approx(stats.ttest_1samp(VALUES, threshold).pvalue)


@pytest.mark.parametrize(("threshold", "margin"), [(3.0, 2.0), (2.0, 1.5), (0.0, 1.0)])
def test_within_and_outside_are_scipys_one_sided_tests(threshold: float, margin: float) -> None:
    one = sample(VALUES)
    up, down = (stats.ttest_1samp(VALUES, threshold + side * margin) for side in (-1, 1))
    above, below = (up.statistic, down.statistic)
    assert within(one, threshold, margin) == pytest.approx(max(stats.t.sf(above, 4), stats.t.cdf(below, 4)))
    assert outside(one, threshold, margin) == pytest.approx(
        min(1, 2 * min(stats.t.sf(below, 4), stats.t.cdf(above, 4)))
    )


def test_values_without_spread_are_counted_as_coins() -> None:
    """Five equal values above the threshold: two sides of 1/32. A t test would divide by zero and claim p = 0."""
    one = sample([0.3] * 5)
    assert (one.error, one.low, one.high) == (None, None, None)
    assert differs(one, 0.0) == 2 / 32
    assert differs(one, 0.3) == 1
    assert within(one, 0.0, 1.0) == 1 / 32
    assert outside(one, 0.0, 0.1) == 2 / 32
    assert differs(sample([0.3] * 8), 0.0) == 2 / 256
    rounding = [0.1 + 0.2, 0.3, 0.3, 0.3, 0.3]
    assert differs(sample(rounding), 0.0) == 2 / 32


def test_a_single_value_shows_nothing() -> None:
    assert differs(sample([9.0]), 0.0) == 1
    assert within(sample([0.0]), 0.0, 1.0) == 0.5


def test_a_known_noise_stands_in_for_a_spread_that_is_not_there() -> None:
    """Noise 4: error sqrt(4 / 5), t = 0.3 / sqrt(0.8)."""
    one = sample([0.3] * 5, noise=4.0)
    assert differs(one, 0.0) == pytest.approx(2 * stats.t.sf(0.3 / 0.8**0.5, 4))
    assert sample(VALUES, noise=2.0).error == pytest.approx(0.5**0.5)  # their own variance, 2.5, is larger


@pytest.mark.parametrize(("n", "tabled"), [(10, 0.9960), (20, 0.6604), (100, 0.2829)])
def test_smallest_effect_is_that_of_tables(n: int, tabled: float) -> None:
    """Cohen's d of a two-sided one-sample t test, alpha 0.05, power 0.8, as G*Power and R's power.t.test give it."""
    assert smallest_effect(n) == pytest.approx(tabled, abs=1e-4)


@pytest.mark.parametrize(("n", "alpha"), [(3, 0.05 / 40), (5, 0.05), (5, 0.05 / 40), (8, 0.01)])
def test_smallest_effect_is_scipys_noncentral_t(n: int, alpha: float) -> None:
    shift, critical = smallest_effect(n, alpha=alpha) * math.sqrt(n), stats.t.ppf(1 - alpha / 2, n - 1)
    assert stats.nct.sf(critical, n - 1, shift) == pytest.approx(0.8, abs=1e-6)


def test_smallest_margin_by_simulation() -> None:
    drawn, margin = np.random.default_rng(0).standard_normal((20_000, 5)), smallest_margin(5)
    reach = stats.t.ppf(0.95, 4) * drawn.std(1, ddof=1) / math.sqrt(5)
    assert np.mean(abs(drawn.mean(1)) + reach < margin) == pytest.approx(0.8, abs=0.01)


def test_one_seed_has_no_power() -> None:
    assert (smallest_effect(1), smallest_margin(1)) == (math.inf, math.inf)


def test_a_spread_of_rounding_is_no_spread() -> None:
    """(a1 - a2) - (b1 - b2) may end as 1e-12: five effects, and five signs, p = 1/32 of each side."""
    rounded = sample([0, 0, 0, 0, 1e-12], rounding=1e-9)
    assert rounded.error is None
    assert within(rounded, 0, 1) == pytest.approx(1 / 32)
    assert sample([0, 0, 0, 0, 1e-12]).error is not None


def test_known_noise_is_the_least_variance() -> None:
    """Five counted rates that are alike by luck: variance 4 / 5, less than 4 of counting."""
    assert sample([1, 1, 1, 1, 3], noise=4.0).error == pytest.approx(math.sqrt(4 / 5))
    assert sample([1, 1, 1, 1, 11], noise=4.0).error == pytest.approx(2)  # its own variance, 20
