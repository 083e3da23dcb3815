"""Every test, interval and correction against a second way: by hand, by brute force, or scipy called differently."""

import math
import random
import statistics as plain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reslab.errors import UsageError
from reslab.statistics import (
    Interval,
    bootstrap,
    compare_counts,
    compare_known,
    compare_rates,
    counting_variance,
    equivalence,
    f1,
    f1_interval,
    holm,
    median_interval,
    p_text,
    paired,
    plus_minus,
    rank_interval,
    ratio_interval,
    reliability,
    sign_test,
    std,
    student,
    welch,
    wilson,
)


def angle(rate: float) -> float:
    return math.asin(math.sqrt(rate / 100))


def test_mean_and_sample_deviation_in_words() -> None:
    assert plus_minus(8.4123, 0.1249) == "8.41 ± 0.12"
    assert plus_minus(8.4123, None, unit="%") == "8.41 %"
    assert plus_minus(0.85, 0.01, digits=4, gap="_", unit="x") == "0.8500_±_0.0100_x"
    assert std([1.0, 3.0]) == pytest.approx(2**0.5)  # sqrt((1 + 1) / (2 - 1)), not 1 as over a population
    assert std([1.0]) is None
    assert [p_text(p) for p in (0.0221, 1.0, 0.00009)] == ["= 0.022", "= 1", "< 0.0001"]


def test_welch_by_hand() -> None:
    """Means 2 and 6, variances 2 and 8, n = 2: t = -4 / sqrt(1 + 4), df = 25 / (1 + 16)."""
    found = welch([1.0, 3.0], [4.0, 8.0])
    assert (found.value, found.n) == (-4, 2)
    assert found.statistic == pytest.approx(-4 / 5**0.5)
    assert found.df == pytest.approx(25 / 17)


@settings(deadline=None, max_examples=50)
@given(*[st.lists(st.floats(-100, 100), min_size=2, max_size=6).filter(lambda v: plain.pstdev(v) > 1e-3)] * 2)
def test_welch_is_scipys_and_not_students(a: list[float], b: list[float]) -> None:
    found, known = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert (found.statistic, found.p, found.df) == pytest.approx((known.statistic, known.pvalue, known.df), rel=1e-6)
    low, high = known.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def test_unequal_spreads_are_not_pooled() -> None:
    """74.77 ± 18.83 against 0 ± 0: Student's pooled test says p = 0.022, Welch's 0.095."""
    a, b = [61.45, 88.08], [0.0, 0.0]
    roots = [[angle(rate) for rate in side] for side in (a, b)]
    assert stats.ttest_ind(*roots).pvalue == pytest.approx(0.022, abs=0.001)
    assert welch(*roots).p == pytest.approx(0.095, abs=0.001)
    assert compare_rates(a, b, images=1437).p == pytest.approx(0.095, abs=0.002)  # the floor changes next to nothing


def test_the_floor_is_the_counting_noise() -> None:
    """Both sides constant: each variance is 1 / (4 n), the standard error of two seeds each sqrt(1 / (4 n))."""
    found = compare_rates([90.0, 90.0], [0.0, 0.0], images=1000)
    assert found.statistic == pytest.approx(angle(90) / (1 / 4000) ** 0.5)
    assert found.df == pytest.approx(2)
    assert found.p < 0.001
    assert compare_rates([5.0, 5.0], [4.0, 4.0], images=100).p > 0.5  # one image of a hundred
    assert compare_rates([5.0, 5.0], [5.0, 5.0], images=100).p == 1
    draws = np.random.default_rng(0)  # the floor is right: counted rates vary that much, whatever the rate
    for share in (0.1, 0.5, 0.9):
        counted = np.arcsin(np.sqrt(draws.binomial(1000, share, 20_000) / 1000))
        assert counted.var() == pytest.approx(1 / 4000, rel=0.05)


def test_each_side_has_its_own_floor() -> None:
    """Constant sides of two values, variances 2 and 8 by their floors: as by hand above, t = -4 / sqrt(1 + 4)."""
    found = welch([2.0, 2.0], [6.0, 6.0], floor=(2.0, 8.0))
    assert found.statistic == pytest.approx(-4 / 5**0.5)
    assert found.df == pytest.approx(25 / 17)
    three = welch([2.0, 2.0, 2.0], [6.0, 6.0], floor=(3.0, 8.0))  # 3 / 3 + 8 / 2; the floors exchanged: 8 / 3 + 3 / 2
    assert three.statistic == pytest.approx(-4 / 5**0.5)
    assert three.df == pytest.approx(25 / (1 / 2 + 16))


def test_no_variance_at_all() -> None:
    with pytest.raises(UsageError, match="both sides are constant"):
        welch([1.0, 1.0], [2.0, 2.0])
    with pytest.raises(UsageError, match="at least two values per side, got 1 and 2"):
        welch([1.0], [1.0, 2.0])


rates = st.lists(st.floats(0, 100), min_size=2, max_size=4)


@settings(deadline=None, max_examples=100)
@given(rates, rates, st.sampled_from([50, 1000]))
def test_the_interval_in_points_says_what_p_says(a: list[float], b: list[float], images: int) -> None:
    found = compare_rates(a, b, images=images)
    assert -100 <= found.low <= found.high <= 100
    if abs(found.p - 0.05) > 1e-6 and max(map(abs, (found.low, found.high))) > 1e-9:
        assert (found.low > 0 or found.high < 0) == (found.p < 0.05)


def test_the_interval_in_points_by_hand() -> None:
    """One side is constant with (nearly) no noise: the interval is the other's on its roots, transformed back."""
    a, b = [40.0, 50.0, 60.0], [10.0, 10.0, 10.0]
    found = compare_rates(a, b, images=10**9)
    roots = [angle(rate) for rate in a]
    low, high = stats.t.interval(0.95, 2, np.mean(roots), stats.sem(roots))
    assert found.value == pytest.approx(40)
    assert (found.low, found.high) == pytest.approx(
        (100 * math.sin(low) ** 2 - 10, 100 * math.sin(high) ** 2 - 10), 1e-3
    )


def test_nineteen_of_twenty_intervals_cover() -> None:
    """Of 2,000 pairs of samples about 1,900 intervals hold the true difference (sd 10); of 90 % it would be 1,800."""
    draws, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        found = welch(draws.normal(3, 1, 5).tolist(), draws.normal(0, 2, 5).tolist())
        covered += found.low <= 3 <= found.high
    assert 1870 <= covered <= 1930


def test_one_net_each() -> None:
    found = compare_counts(9.0, 1.0, images=1000)
    z = 0.08 / (0.05 * 0.95 * 2 / 1000) ** 0.5
    assert (found.statistic, found.p) == pytest.approx((z, 2 * (1 - stats.norm.cdf(z))), abs=1e-12)
    assert found.df is None
    # Newcombe 1998, table II, example (a): 56/70 against 48/80 is 0.2, from 0.0524 to 0.3339; here of one n each
    found = compare_counts(80.0, 60.0, images=70)
    assert (found.low, found.high) == pytest.approx((4.8093, 34.0090), abs=1e-3)
    far = compare_counts(80.0, 60.0, images=10**6)  # where n is large, all intervals agree
    reach = 1.96 * 100 * (0.8 * 0.2 / 1e6 + 0.6 * 0.4 / 1e6) ** 0.5
    assert (far.low, far.high) == pytest.approx((20 - reach, 20 + reach), abs=1e-4)
    none = compare_counts(0.0, 0.0, images=100)
    assert (none.p, none.value) == (1, 0)


def test_holm_by_hand() -> None:
    """0.01 * 4, 0.02 * 3, 0.03 * 2 = 0.06 and 0.04 raised to it."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.03]) == [0.03]


def test_holm_rejects_what_its_definition_rejects() -> None:
    """Step down: reject the smallest while p <= alpha / (those left); stop at the first that is not."""
    coin = random.Random(0)
    for _ in range(200):
        p = [coin.random() ** 3 for _ in range(5)]
        rejected: set[int] = set()
        for rank, i in enumerate(sorted(range(5), key=lambda i: p[i])):
            if p[i] > 0.05 / (5 - rank):
                break
            rejected.add(i)
        assert {i for i, one in enumerate(holm(p)) if one <= 0.05} == rejected


def test_equivalence_is_two_one_sided_tests() -> None:
    a, b, margin = [1.0, 1.4, 1.1, 0.9], [1.2, 1.0, 1.3], 0.6
    found = equivalence(a, b, margin=margin)
    above = stats.ttest_ind([x + margin for x in a], b, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind([x - margin for x in a], b, equal_var=False, alternative="less").pvalue
    assert found.p == pytest.approx(max(above, below))
    low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.90)
    assert (found.low, found.high) == pytest.approx((low, high))
    for margin in (0.05, 0.2, 0.4, 1.0):  # shown just where the 90 % interval lies within the margin
        found = equivalence(a, b, margin=margin)
        assert found.shown == (-margin < found.low and found.high < margin)
    assert not equivalence([0.0, 50.0], [0.0, 50.0], margin=5).shown  # equal means, but who knows
    assert equivalence([5.0, 5.0], [5.0, 5.0], margin=9, floor=counting_variance(5, 1000)).shown
    with pytest.raises(UsageError, match="margin must be positive, got 0"):
        equivalence(a, b, margin=0)


def test_counting_variance() -> None:
    """Half of 96 wrong: (48 + 2) / 100, and 2,500 / 96 points squared; none wrong is not for sure none."""
    assert counting_variance(50, 96) == pytest.approx(2500 / 96)
    assert counting_variance(0, 96) == pytest.approx(1e4 * 0.02 * 0.98 / 96)


@pytest.mark.parametrize(("count", "n"), [(0, 10), (5, 10), (10, 10), (100, 1000), (853, 10_000)])
def test_wilsons_ends_are_where_the_score_test_is_just_not_significant(count: int, n: int) -> None:
    found = wilson(count, n)
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert abs(count / n - end) / (end * (1 - end) / n) ** 0.5 == pytest.approx(1.959964, abs=1e-5)
    assert 0 <= found.low <= count / n <= found.high <= 1


def test_bootstrap_is_scipys_but_for_the_draws() -> None:
    values = np.random.default_rng(3).exponential(size=60)
    found = bootstrap(lambda rows: {"mean": values[rows].mean(), "no": None}, 60, resamples=4000)
    assert set(found) == {"mean"}  # a score that no resample defines has no interval
    known = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert (found["mean"].low, found["mean"].high) == pytest.approx((known.low, known.high), abs=0.02)


def test_bootstrap_of_its_seed_and_all_resamples() -> None:
    """Of two values, 0 and 1, the mean of a resample is 0, 1/2 or 1, with chances 1/4, 1/2, 1/4."""
    values, seen = np.array([0.0, 1.0]), []

    def score(rows: np.ndarray) -> dict[str, float | None]:
        seen.append(values[rows].mean())
        return {"mean": seen[-1]}

    one = bootstrap(score, 2, resamples=4000)["mean"]
    assert (one.low, one.high) == (0, 1)
    assert [seen.count(value) / 4000 for value in (0, 0.5, 1)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    spread = np.arange(100.0)
    ends = [bootstrap(lambda rows: {"mean": spread[rows].mean()}, 100, seed=seed)["mean"] for seed in (0, 0, 1)]
    assert ends[0] == ends[1] != ends[2]


def test_calibration_of_the_six() -> None:
    """0.6 three times right, 0.65 three times wrong: 9 / 15 = 0.6 ends a bin, and 0.65 lies in the next.

    (3 * 0.4 + 3 * 0.65) / 6 = 0.525; with bins [low, high) both would share one, and it would be 0.125.
    """
    sure, right = [0.6] * 3 + [0.65] * 3, [True] * 3 + [False] * 3
    assert reliability(sure, right).ece == pytest.approx(0.525)
    assert reliability(np.array(sure, dtype=np.float32), right).ece == pytest.approx(0.525)


def test_calibration_by_brute_force() -> None:
    coin = random.Random(0)
    sure = [coin.choice([coin.random(), k / 15]) for k in range(16) for _ in range(10)]
    right = [coin.random() < 0.6 for _ in sure]
    total = 0.0
    for k in range(15):
        held = [(s, r) for s, r in zip(sure, right, strict=True)
                if (k / 15 < s or (k == 0 and s == 0)) and (s <= (k + 1) / 15)]  # fmt: skip
        if held:
            total += abs(sum(s for s, _ in held) - sum(r for _, r in held))
    assert reliability(sure, right).ece == pytest.approx(total / len(sure))


def test_a_paired_difference_by_hand_and_by_its_coverage() -> None:
    """4 of 98 newly wrong, 1 newly right: (5 - 2) / 100 ± 1.96 sqrt((0.05 + 0.02 - 0.03²) / 100)."""
    found = paired(4, 1, 98)
    assert (found.low, found.high) == pytest.approx((0.03 - 0.051524, 0.03 + 0.051524), abs=1e-5)
    assert paired(0, 0, 198).high == pytest.approx(
        1.959964 * (2 * 0.005 / 200) ** 0.5
    )  # 1.4 points although none differs
    dice, held, truth = np.random.default_rng(0), 0, 0.06 - 0.03
    for wrong, right, _ in dice.multinomial(200, [0.06, 0.03, 0.91], size=2000):
        held += paired(int(wrong), int(right), 200).holds(truth)
    assert 0.94 <= held / 2000 <= 0.98


def test_a_rank_correlation_of_few_pairs_shows_nothing() -> None:
    """atanh(0.8) ± 1.96 sqrt((1 + 0.32) / (n - 3))."""
    few, many = rank_interval(0.8, 5), rank_interval(0.8, 30)
    assert few.low == pytest.approx(math.tanh(math.atanh(0.8) - 1.959964 * math.sqrt(1.32 / 2)), abs=1e-6)
    assert few.low < 0 < many.low
    assert rank_interval(1.0, 3).low == -1
    assert rank_interval(1.0, 5).high <= 1
    assert rank_interval(1.0, 10).holds(1.0)
    assert rank_interval(-1.0, 10).holds(-1.0)


def test_a_test_that_could_not_be_made_is_not_one_of_the_family() -> None:
    """Three p-values: 3 x 0.001, 2 x 0.002 and 0.01, which stays the largest."""
    first, none, second, third = holm([0.01, math.nan, 0.001, 0.002])
    assert math.isnan(none)
    assert (first, second, third) == pytest.approx((0.01, 0.003, 0.004))


def test_what_has_no_variance_or_no_examples() -> None:
    """Scores that are known exactly differ for certain or not at all; no example says nothing of a share."""
    assert (compare_known(90, 10, variance=0).p, compare_known(10, 10, variance=0).p) == (0.0, 1.0)
    assert compare_known(10, 90, variance=0).statistic == -math.inf
    assert compare_known(91, 90, variance=0.25).p == pytest.approx(2 * stats.norm.sf(2))
    assert wilson(0, 0) == Interval(low=0.0, high=1.0)


def test_a_resample_without_a_score_is_skipped() -> None:
    """Whether it says None or NaN."""
    values = np.array([1.0, 2.0, 3.0])

    def scores(rows: np.ndarray) -> dict[str, float | None]:
        found = values[rows].mean() if len(set(rows)) > 1 else None
        return {"none": found, "nan": math.nan if found is None else found}

    found = bootstrap(scores, 3, resamples=200)
    assert found["nan"] == found["none"]
    assert 1 < found["nan"].low < 2 < found["nan"].high < 3


def test_the_interval_of_a_median_lies_between_two_values() -> None:
    """Of 9: the second and eighth, because P(at most 1 of 9 coins) = 10 / 512 < 0.025 < 46 / 512."""
    assert median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5]) == Interval(low=2, high=8)
    assert median_interval([3, 1, 2, 6, 5, 4]) == Interval(low=1, high=6)  # 1 / 64 on each side
    assert median_interval([2.0]) == Interval(low=2, high=2)


def test_the_interval_of_a_ratio_counts_samples_and_not_items() -> None:
    """Of one item each, it is Student's; doubling every item changes nothing."""
    values = [0.1, 0.5, 0.3, 0.9]
    reach = student(3) * std(values) / 2
    alone = ratio_interval(values, [1, 1, 1, 1])
    assert (alone.low, alone.high) == pytest.approx((0.45 - reach, 0.45 + reach))
    twice = ratio_interval([2 * value for value in values], [2, 2, 2, 2])
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))
    assert ratio_interval([*values, 0], [1, 1, 1, 1, 0]) == alone  # a sample without items
    assert ratio_interval([1], [1]).high == math.inf
    assert ratio_interval(values, [1] * 4, 0.999).high > alone.high


def test_a_sign_test_by_hand() -> None:
    """Of 5 coins all on one side: 2 / 32; of 6: 2 / 64."""
    assert (sign_test(5, 0), sign_test(0, 6), sign_test(3, 3)) == (0.0625, 0.03125, 1)
    assert (sign_test(0, 0), sign_test(600, 600)) == (1, 1)  # of many coins, too
    assert sign_test(1000, 1100) == pytest.approx(math.erfc(99 / math.sqrt(2 * 2100)), rel=0.01)  # normal: 99 / sqrt(n)
    assert paired(5, 0, 5).low == 0 < paired(6, 0, 6).low


def test_f1_by_hand_and_its_interval_by_its_coverage() -> None:
    """4 right, 1 false, 3 missed: precision 0.8, recall 4 / 7, so 2 / 3. Of 2,000 draws, 95 % hold the true F1."""
    assert f1(4, 1, 3) == pytest.approx(2 / (1 / 0.8 + 7 / 4))
    assert f1(0, 0, 0) == 0
    assert f1_interval(0, 0, 0) == Interval(low=0, high=1)
    draws = np.random.default_rng(0)
    shares = np.array([0.1, 0.03, 0.05])
    true = 2 * shares[0] / (2 * shares[0] + shares[1] + shares[2])
    spans: dict[tuple[int, ...], Interval] = {}
    held = 0
    for counts in draws.multinomial(300, [*shares, 1 - shares.sum()], size=2000):
        key = tuple(int(n) for n in counts[:3])
        if key not in spans:
            spans[key] = f1_interval(*key)
        held += spans[key].holds(true)
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
    assert all(span.holds(f1(*key)) for key, span in spans.items())
