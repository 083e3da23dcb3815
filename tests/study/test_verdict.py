"""Words must follow from numbers: the verdicts on errors made up by hand."""

import pytest

from reslab.statistics import compare_rates, holm
from reslab.study.degradation import summarize
from reslab.study.verdict import compare, verdicts


def runs(**errors: list[float]) -> list[dict]:
    """plain20=[..], residual56=[..]: one run a value, of 1,000 images; the test error is the training error plus 5."""
    return [
        {"net": key, "kind": key[:-2], "depth": int(key[-2:]), "seed": seed, "parameters": 7, "train_n": 1000,
         "test_n": 1000, "train_error": error, "train_error_eval": error, "test_error": error + 5}
        for key, values in errors.items() for seed, error in enumerate(values)
    ]  # fmt: skip


def test_degradation_and_cure_are_shown() -> None:
    found = verdicts(runs(plain20=[0.1, 0.2], plain56=[30.0, 31.0], residual20=[0.1, 0.2], residual56=[0.3, 0.1]))
    assert [v["answer"] for v in found] == ["yes", "yes", "not shown"]
    assert "30.50 ± 0.71 %" in found[0]["sentence"]
    assert "30.35 points higher" in found[0]["sentence"]


def test_a_spread_as_wide_as_the_difference_shows_nothing() -> None:
    found = verdicts(runs(plain20=[0.1, 60.0], plain56=[5.0, 70.0], residual20=[1.0, 2.0], residual56=[1.0, 2.0]))
    assert [v["answer"] for v in found] == ["not shown", "not shown", "no difference"]


def test_the_opposite_is_a_no() -> None:
    found = verdicts(runs(plain20=[30.0, 31.0], plain56=[1.0, 1.1], residual20=[1.0, 1.1], residual56=[19.0, 19.1]))
    assert [v["answer"] for v in found] == ["no", "no", "no"]


def test_one_seed_is_said_to_be_one() -> None:
    found = verdicts(runs(plain20=[1.0], plain56=[9.0], residual20=[1.0], residual56=[1.0]))
    assert found[0]["answer"] == "yes, on one seed"
    assert found[2]["answer"] == "no difference, on one seed"
    # Pooled share 0.05 of 1,000 images a side: z = 0.08 / sqrt(0.05 x 0.95 x 2 / 1000)
    assert found[0]["statistic"]["value"] == pytest.approx(0.08 / (0.05 * 0.95 * 2 / 1000) ** 0.5)


def test_no_spread_on_either_side_is_tested_against_the_counting_noise() -> None:
    """90 % twice against 0 % twice: seeds that agree so well show more, not nothing."""
    found = verdicts(runs(plain20=[0.0, 0.0], plain56=[90.0, 90.0], residual20=[5.0, 5.0], residual56=[4.8, 4.8]))
    assert [v["answer"] for v in found] == ["yes", "yes", "not shown"]
    assert found[0]["statistic"]["p"] < 0.001
    assert found[2]["statistic"]["p"] > 0.5  # two images of a thousand


def test_statistic_by_hand() -> None:
    # arcsin(sqrt(0.25)) = 30 degrees, arcsin(sqrt(0.75)) = 60, arcsin(sqrt(0)) = 0: means 45 and 15 degrees,
    # both variances 450, so t = 30 / sqrt(450) = sqrt(2), with 2 degrees of freedom p = 1 - sqrt(t^2 / (t^2 + 2)).
    found = compare([25.0, 75.0], [0.0, 25.0], images=1000)
    assert (found.statistic, found.df) == pytest.approx((2**0.5, 2))
    assert found.p == pytest.approx(1 - 0.5**0.5)


def test_the_verdict_is_what_welch_says() -> None:
    """The published demo: 74.77 ± 18.83 % against 0 ± 0 % is p = 0.022 by Student's pooled test, 0.095 by Welch's."""
    found = verdicts(runs(plain20=[0.0, 0.0], plain56=[61.45, 88.08], residual20=[1.0, 1.1], residual56=[0.0, 0.0]))
    assert found[0]["statistic"]["p"] == pytest.approx(0.095, abs=0.002)
    assert found[0]["answer"] == found[1]["answer"] == "not shown"


def test_what_one_of_three_questions_shows_counts_thrice() -> None:
    """p of 0.03 alone is 0.06 or more among three: Holm."""
    found = verdicts(runs(plain20=[1.0, 2.0, 3.0], plain56=[4.0, 7.0, 8.0], residual20=[5.0, 5.0, 5.0],
                          residual56=[5.0, 5.1, 5.0]))  # fmt: skip
    p = [v["statistic"]["p"] for v in found]
    assert p[0] < 0.05 < 2 * p[0]
    assert [v["statistic"]["p_holm"] for v in found] == holm(p)
    assert found[0]["answer"] == "not shown"
    assert f"p = {3 * p[0]:.2g} after Holm's correction for 3 questions" in found[0]["statistic"]["words"]


def test_the_effect_stands_beside_p_with_its_interval() -> None:
    found = verdicts(runs(plain20=[0.1, 0.2], plain56=[30.0, 31.0], residual20=[0.1, 0.2], residual56=[0.3, 0.1]))
    known = compare_rates([30.0, 31.0], [0.1, 0.2], images=1000)
    assert found[0]["effect"] == {"points": pytest.approx(30.35), "low": known.low, "high": known.high}
    assert f"30.35 points higher (95 % interval {known.low:.2f} to {known.high:.2f})." in found[0]["sentence"]
    # the other way round: lower by between -high and -low
    cured = found[1]["effect"]
    assert f"30.30 points lower (95 % interval {-cured['high']:.2f} to {-cured['low']:.2f})." in found[1]["sentence"]
    assert (found[0]["statistic"]["n"], found[0]["statistic"]["name"]) == (2, "Welch's t on arcsine roots")


def test_table_is_mean_and_sample_deviation() -> None:
    rows = summarize(runs(plain20=[1.0, 3.0], plain56=[4.0, 4.0], residual20=[0.0, 1.0], residual56=[0.0, 0.0]))
    assert [row["train_mean"] for row in rows] == [2.0, 4.0, 0.5, 0.0]
    assert rows[0]["train_std"] == pytest.approx(2**0.5)  # sqrt((1 + 1) / (2 - 1))
    assert rows[0]["test_mean"] == 7.0


def test_one_seed_beside_several_is_compared_with_their_mean() -> None:
    found = compare([30.0, 10.0, 11.0], [20.0], images=1000)
    assert found.value == pytest.approx(-3)
