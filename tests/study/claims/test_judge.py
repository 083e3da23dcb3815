"""Every verdict at its edges: effects whose t values are known by hand, and Holm's correction over a page."""

import math
from dataclasses import replace

import pytest
from claiming import claim, measured
from scipy import stats

from reslab.study.claims.judge import Judgment, judge, needed, number, verdict
from reslab.study.claims.record import Prediction

CRITICAL = float(stats.t.ppf(0.975, 4))  # 2.776: of five effects, two-sided 5 %
SPREAD = (-2.0, -1.0, 0.0, 1.0, 2.0)  # mean 0, standard error sqrt(2.5 / 5) = sqrt(0.5)
ERROR = 0.5**0.5


def around(middle: float) -> tuple[float, ...]:
    return tuple(middle + one for one in SPREAD)


def one(direction: str, *effects: float, threshold: float = 0.0, margin: float = 0.1, noise: float = 0.0) -> str:
    (found,) = judge([claim(direction, threshold=threshold, margin=margin)], [measured(*effects, noise=noise)])
    return found.verdict


@pytest.mark.parametrize(("direction", "side"), [("above", 1), ("below", -1)])
def test_a_direction_turns_at_the_critical_t(direction: str, side: int) -> None:
    just = CRITICAL * ERROR
    assert one(direction, *around(side * just * 1.001)) == "holds"
    assert one(direction, *around(side * just * 0.999)) == "not shown"
    assert one(direction, *around(-side * just * 0.999)) == "not shown"
    assert one(direction, *around(-side * just * 1.001)) == "contradicted"
    assert one(direction, *around(7 + side * just * 1.001), threshold=7) == "holds"


def test_a_small_difference_is_equivalent_even_where_the_t_test_shows_it() -> None:
    """One-sided t(4) at 5 %: 2.132. The mean plus 2.132 errors must be below the margin."""
    reach = float(stats.t.ppf(0.95, 4)) * ERROR
    assert one("above", *around(3.0), margin=3.0 + reach * 1.001) == "equivalent"
    assert one("above", *around(3.0), margin=3.0 + reach * 0.999) == "holds"
    assert one("below", *around(0.0), margin=reach * 0.999) == "not shown"


def test_sameness_holds_within_the_margin_and_is_contradicted_outside_it() -> None:
    inside, outside = (float(stats.t.ppf(level, 4)) * ERROR for level in (0.95, 0.975))
    assert one("same", *around(5.0), threshold=5, margin=inside * 1.001) == "holds"
    assert one("same", *around(5.0), threshold=5, margin=inside * 0.999) == "not shown"
    assert one("same", *around(1 + outside * 1.001), margin=1) == "contradicted"
    assert one("same", *around(-1 - outside * 1.001), margin=1) == "contradicted"
    assert one("same", *around(1 + outside * 0.999), margin=1) == "not shown"


def test_exact_needs_every_case() -> None:
    assert one("exact", 4.0, 4.1, 3.9, threshold=4, margin=0.11) == "holds"
    assert one("exact", 4.0, 4.2, threshold=4, margin=0.11) == "contradicted"
    assert one("exact", 4.0, threshold=4, margin=0) == "holds"
    assert one("exact", 4.0, math.nan, threshold=4, margin=1) == "contradicted"
    (found,) = judge([claim("exact", margin=0)], [measured(0, 3, 0)])
    assert (
        found.answer == "Error of a minus that of b: 1 of 3 cases are not exactly 0 points, such as seed 1: 3 points."
    )
    assert "p" not in found.judged


def test_effects_without_spread_are_no_proof() -> None:
    """The sign test of five: 2 / 32 = 0.0625. With eight seeds it is 2 / 256."""
    assert one("above", *[30.0] * 5) == "not shown"
    assert one("above", *[30.0] * 8) == "holds"
    assert one("above", *[30.0] * 5, noise=1.0) == "holds"  # the noise of a counted rate is known
    (found,) = judge([claim()], [measured(*[30.0] * 5)])
    assert "the effects are all the same, so a t test has no spread to go by" in found.judged["test"]
    assert (found.judged["low"], found.judged["p"]) == (None, 0.0625)


def test_one_seed_and_a_number_that_is_not_finite_show_nothing() -> None:
    assert one("above", 99.0) == "not shown"
    assert one("same", 0.0) == "not shown"
    assert one("above", 1.0, math.inf) == "not shown"


def test_holms_correction_takes_a_claim_that_holds_alone() -> None:
    """t = 4 of five effects: p = 0.016 alone, 0.64 among 40 claims that show nothing."""
    alone = measured(*around(4 * ERROR))
    assert stats.t.sf(4, 4) * 2 == pytest.approx(0.0161, abs=1e-4)
    assert judge([claim()], [alone])[0].verdict == "holds"
    page = judge([claim()] * 40, [alone, *[measured(*around(0.1))] * 39])
    assert page[0].verdict == "not shown"
    assert page[0].judged["p_holm"] == pytest.approx(40 * 0.016130, abs=1e-3)
    assert "Holm's correction for 40 claims" in page[0].answer
    strong = judge([claim()] * 40, [alone, *[measured(*around(100 * ERROR))] * 39])
    assert strong[0].verdict == "holds"  # the others' p are smaller, so Holm's last step leaves its own


def test_claims_without_chance_do_not_join_the_family() -> None:
    page = judge([claim(), claim("exact")], [measured(*around(4 * ERROR)), measured(0.0)])
    assert page[0].judged["family"] == 1


def test_the_opposite_findings_are_a_family_of_their_own() -> None:
    """Of 30 claims one is within the margin: its p is corrected 30 times, and no prediction's p changes it."""
    far, near = measured(*around(50.0)), measured(*around(0.0))
    page = judge([claim(margin=4.0)] * 30, [near, *[far] * 29])
    raw = float(stats.t.sf(4 / ERROR, 4))
    assert page[0].judged["p_opposite"] == pytest.approx(raw)
    assert page[0].judged["p_opposite_holm"] == pytest.approx(30 * raw)
    assert [each.verdict for each in page[1:]] == ["holds"] * 29


def test_verdict_by_corrected_p() -> None:
    predicted = claim("above", threshold=2.0).prediction
    assert [verdict(predicted, 3.0, p, other) for p, other in ((0.04, 1), (0.05, 1), (0.04, 0.04), (1, 0.05))] == [
        "holds", "not shown", "equivalent", "not shown"
    ]  # fmt: skip
    assert verdict(predicted, 1.0, 0.04, 1.0) == "contradicted"


def test_the_answer_says_effect_interval_and_p() -> None:
    (found,) = judge([claim()], [measured(*around(10.0))])
    assert found.answer == (
        "Error of a minus that of b: 10 points on average (95 % interval 8.037 to 11.96, n = 5). As predicted, it is "
        "above 0 points: p = 0.00015 after Holm's correction for 1 claim."
    )


def test_power_is_told_with_holms_factor() -> None:
    predicted = Prediction(quantity="q", unit="points", direction="above", threshold=0, margin=1, why="w", spread=10.0)
    size, words = needed(predicted, n=5, spread=10.0, family=40)
    assert size == pytest.approx(45.1, abs=0.01)  # 4.51 deviations, by the noncentral t with 4 degrees of freedom
    assert words == ("5 seeds show a mean that differs from 0 points by 45 points with probability 80 % if the "
                     "effect's standard deviation is 10 points (alpha 5 % / 40, Holm's first step).")  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (-1.25, "−1.25"), (1e-5, "1e−05"), (12345.6, "12,346"),
                                              (0.30000000000000004, "0.3")])  # fmt: skip
def test_numbers_in_sentences(value: float, shown: str) -> None:
    assert number(value) == shown


def test_rounding_shows_nothing_with_certainty() -> None:
    """Effects 0 and 1e-12, margin 1: five signs, p = 1/32; not 5e-51."""
    one = judge([claim("same", margin=1.0)], [measured(0.0, 0.0, 0.0, 0.0, 1e-12)])[0]
    assert one.judged["p"] == pytest.approx(1 / 32)


def test_no_verdict_rests_on_a_seed_that_says_nothing() -> None:
    """Two nets that learned nothing differ by 0: that is no sameness; but it also speaks for no difference."""

    def blank(direction: str, *effects: float, threshold: float = 0.0, margin: float = 1.0) -> Judgment:
        marked = replace(measured(*effects), blank=[effect == 0 for effect in effects])
        (found,) = judge([claim(direction, threshold=threshold, margin=margin)], [marked])
        return found

    alike = blank("same", 0.1, -0.1, 0.0, 0.2, -0.2)
    assert one("same", 0.1, -0.1, 0.0, 0.2, -0.2, margin=1.0) == "holds"
    assert alike.verdict == "not shown"
    assert alike.answer.endswith("But the effect of seed 2 shows nothing, because nothing was there to measure: it is "
                                 "not shown.")  # fmt: skip
    assert blank("below", 0.1, -0.1, 0.0, 0.2, -0.2).verdict == "not shown"  # else equivalent
    assert blank("below", 0.1, -0.1, 0.0, 0.2, -0.2, threshold=5.0).verdict == "not shown"  # else below 5
    assert blank("above", 84.0, 83.0, 0.0, 77.0, 89.0).verdict == "holds"  # the fault of one seed does not help it
    assert blank("same", 84.0, 83.0, 0.0, 77.0, 89.0).verdict == "contradicted"
