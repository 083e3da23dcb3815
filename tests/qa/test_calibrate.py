"""Temperatures found where they are known, and calibration errors summed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reslab.errors import UsageError
from reslab.qa.answers import Candidate, Ranked, Spans
from reslab.qa.calibrate import fit, fit_temperature, outcomes, rows
from reslab.qa.data.question import Answer, Question
from reslab.qa.judge import weigh
from reslab.statistics import reliability


def test_by_hand() -> None:
    """Scores 1 and 0, the best right in 3 of 4: softmax must be 3/4, so 1 / T = log 3."""
    found = fit_temperature(np.array([[1.0, 0.0]] * 4), np.array([True, True, True, False]))
    assert found.temperature == pytest.approx(1 / math.log(3))
    assert found.after == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert found.before == pytest.approx(math.log(1 + math.e) - 0.75)
    assert (found.n, found.at_limit) == (4, False)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(true: float) -> None:
    """What is right is drawn from softmax(scores / true); some rows have fewer columns."""
    draw = np.random.default_rng(0)
    scores = draw.normal(scale=4, size=(20000, 6))
    scores[::3, 4:] = -np.inf
    chance = np.exp(scores / true - (scores / true).max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    right = (chance.cumsum(axis=1) > draw.random((len(scores), 1))).argmax(axis=1)
    found = fit_temperature(scores, right == scores.argmax(axis=1))
    assert found.temperature == pytest.approx(true, rel=0.03)
    assert found.after <= found.before
    fitted = np.exp(scores / found.temperature)
    fitted /= fitted.sum(axis=1, keepdims=True)
    assert reliability(fitted.max(axis=1), fitted.argmax(axis=1) == right).ece < 0.015


def test_shifts_do_not_matter_and_no_neighbor_is_better() -> None:
    draw = np.random.default_rng(1)
    scores, correct = draw.normal(scale=2, size=(50, 4)), draw.random(50) < 0.6
    found = fit_temperature(scores, correct)
    assert fit_temperature(scores + 1000, correct).temperature == pytest.approx(found.temperature, rel=1e-6)

    def loss(temperature: float) -> float:
        p = np.exp(scores / temperature)
        p = (p / p.sum(axis=1, keepdims=True)).max(axis=1)
        return float(-np.log(np.where(correct, p, 1 - p)).mean())

    assert loss(found.temperature) == pytest.approx(found.after)
    assert found.after < min(loss(found.temperature * 1.05), loss(found.temperature / 1.05))


def test_two_candidates_that_are_both_right() -> None:
    """ "the Broncos" and "Broncos", 1 apart and right in 9 of 10: p must be 0.9, though the truth is in both."""
    found = fit_temperature(np.array([[3.0, 2.0]] * 10), np.array([True] * 9 + [False]))
    assert found.temperature == pytest.approx(1 / math.log(9))


def test_fits_without_an_end() -> None:
    sure = fit_temperature(np.array([[1.0, 0.0]]), np.array([True]))
    assert (sure.temperature, sure.at_limit) == (pytest.approx(0.01), True)
    worse = fit_temperature(np.array([[1.0, 0.0]]), np.array([False]))
    assert (worse.temperature, worse.at_limit) == (pytest.approx(100), True)
    for right in (True, False):
        alone = fit_temperature(np.array([[2.0, -np.inf]]), np.array([right]))
        assert (alone.temperature, alone.before, alone.after, alone.at_limit) == (1.0, 0.0, 0.0, False)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(UsageError, match=r"N at least 1; got \(0, 2\), \(0,\)"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(UsageError, match="every row needs a finite score"):
        fit_temperature(np.array([[-np.inf, -np.inf]]), np.array([True]))


def test_calibration_error_by_hand() -> None:
    # bins of a fifth: (0.4, 0.6] holds 0.5 and 0.6 (one right: 0.55 against 0.5), (0.8, 1] holds 0.9, 1, 1 (two right)
    found = reliability([0.5, 0.6, 0.9, 1.0, 1.0], [True, False, True, True, False], bins=5)
    assert found.ece == pytest.approx((2 * 0.05 + 3 * abs(2.9 / 3 - 2 / 3)) / 5)
    assert [one.n for one in found.bins] == [0, 0, 2, 0, 3]
    assert (found.bins[2].low, found.bins[2].high) == (pytest.approx(0.4), pytest.approx(0.6))
    assert (found.bins[4].confidence, found.bins[4].accuracy) == (pytest.approx(2.9 / 3), pytest.approx(2 / 3))
    assert (found.n, found.confidence, found.accuracy) == (5, pytest.approx(0.8), pytest.approx(0.6))


def test_calibration_at_the_edges() -> None:
    assert reliability([1.0] * 4, [True] * 4).ece == 0
    assert reliability([1.0] * 4, [False] * 4).ece == 1
    zero = reliability([0.0], [False])
    assert (zero.bins[0].n, zero.ece, len(zero.bins)) == (1, 0, 15)
    third = reliability([5 / 15], [True])  # an edge belongs to the bin below it
    assert [one.n for one in third.bins].index(1) == 4
    with pytest.raises(UsageError, match=r"confidence must be between 0 and 1, got 0\.5 to 1\.5"):
        reliability([0.5, 1.5], [True, True])
    with pytest.raises(UsageError, match="at least 1"):
        reliability([], [])


CONTEXT = "Ada wrote notes"
ADA, WROTE = Candidate(0, 0, 3, 2.0, 0.6), Candidate(0, 4, 9, 1.0, 0.3)


def asked(*gold: str) -> Question:
    return Question(id="q", question="?", context=CONTEXT, answers=tuple(Answer(text, 0) for text in gold),
                    impossible=not gold)  # fmt: skip


def test_rows_for_the_fit() -> None:
    nothing = Ranked((), -math.inf, 1.0)
    assert rows([Ranked((ADA, WROTE), 0.5, 0.1), nothing]).tolist() == [[0.5, 2.0, 1.0], [-math.inf] * 3]
    ranked = Ranked((ADA, WROTE), -math.inf, 0.0)
    found = fit(
        [asked("ada!"), asked("Ada"), asked("wrote"), asked("Ada")], [ranked, ranked, ranked, nothing], rule="squad1"
    )
    assert (found.n, found.temperature) == (3, pytest.approx(1 / math.log(2)))  # scores 1 apart, right in 2 of 3


def test_outcomes_for_the_error() -> None:
    likely, unlikely = Ranked((ADA, WROTE), 0.5, 0.1), Ranked((ADA,), 3.0, 0.7)
    questions, ranked = [asked("Ada"), asked("notes"), asked(), asked()], [likely, unlikely] * 2
    probable = [one.decided(None) for one in ranked]
    sure, right = outcomes(questions, ranked, rule="squad2", decided=probable)
    assert sure.tolist() == [0.6, 0.7, 0.6, 0.7]
    assert right.tolist() == [True, False, False, True]


def test_the_error_is_that_of_the_answers_that_are_scored() -> None:
    """Above the threshold the reader says "no answer", below it the best span, however improbable: both count so."""
    likely, unlikely = Ranked((ADA, WROTE), 0.5, 0.1), Ranked((replace(ADA, probability=0.3),), 3.0, 0.7)
    bold, shy = ([one.decided(limit) for one in (likely, unlikely)] for limit in (0.8, 0.05))
    assert [one and one.probability for one in bold] == [0.6, 0.3]
    assert shy == [None, None]
    questions = [asked("Ada"), asked()]
    sure, right = outcomes(questions, [likely, unlikely], rule="squad2", decided=bold)
    assert (sure.tolist(), right.tolist()) == ([0.6, 0.3], [True, False])
    sure, right = outcomes(questions, [likely, unlikely], rule="squad2", decided=shy)
    assert (sure.tolist(), right.tolist()) == ([0.1, 0.7], [False, True])


def test_exact_match_is_the_accuracy_of_the_calibrated_answers() -> None:
    """Of four questions with P("no answer") 0.4 to 0.7, whatever the threshold: accuracy in the bins = exact match."""
    spans = Spans(question=np.arange(4), start=np.zeros((4, 1), int), end=np.full((4, 1), 3), score=np.zeros((4, 1)),
                  null=np.log([2 / 3, 1.01, 1.5, 7 / 3]), answerable=None)  # fmt: skip
    questions = [replace(one, id=f"{k}") for k, one in enumerate([asked("Ada"), asked(), asked("Ada"), asked()])]
    for threshold, right in ((0.45, 3), (0.55, 2), (0.65, 3), (0.9, 2), (None, 3)):
        found = weigh(questions, spans, rule="squad2", temperature=1.0, threshold=threshold)
        assert found.evaluation is not None
        assert found.reliability is not None
        assert (found.evaluation.exact, found.reliability.accuracy) == (25 * right, pytest.approx(right / 4))
