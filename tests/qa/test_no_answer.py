"""SQuAD 2's curves over thresholds, by hand: questions in order of their probability of no answer."""

import pytest

from reslab.errors import UsageError
from reslab.qa.data.question import Answer, Question
from reslab.qa.no_answer import curves


def asked(id: str, *gold: str) -> Question:
    return Question(id=id, question="?", context="", answers=tuple(Answer(text, -1) for text in gold),
                    impossible=not gold)  # fmt: skip


QUESTIONS = [asked("a", "red car"), asked("b", "blue"), asked("c"), asked("d"), asked("e", "green")]
GIVEN = {"a": "red", "b": "blue", "c": "", "d": "cat", "e": "x"}
CHANCE = {"a": 0.1, "e": 0.2, "b": 0.6, "c": 0.7, "d": 0.8}


def test_average_precisions() -> None:
    """Three questions have an answer. In order a, e, b, c, d, precision and recall of

    exact match: a 0, 0; e 0, 0; b 1/3, 1/3: 1/3 * 1/3. F1: a 2/3, 2/9; e 1/3, 2/9; b 5/9, 5/9: 4/27 + 5/27.
    Answerable or not: a, e, b come before c and d: 1.
    """
    found = curves(QUESTIONS, GIVEN, CHANCE)
    assert (found.exact_ap, found.f1_ap, found.oracle_ap) == pytest.approx((100 / 9, 100 / 3, 100))
    # answered up to b: c and d are right as "no answer", b exactly, a by 2/3
    assert (found.best_exact, found.best_exact_threshold) == (pytest.approx(60), 0.6)
    assert (found.best_f1, found.best_f1_threshold) == (pytest.approx(100 * (3 + 2 / 3) / 5), 0.6)


def test_equal_probabilities_are_answered_together() -> None:
    """All at once: precision 1 of 5, recall 1/3 for exact match."""
    found = curves(QUESTIONS, GIVEN, dict.fromkeys("abcde", 0.5))
    assert (found.exact_ap, found.oracle_ap) == pytest.approx((100 / 15, 100 * 3 / 5))


def test_none_has_an_answer() -> None:
    found = curves([asked("c"), asked("d")], GIVEN, CHANCE)
    assert (found.exact_ap, found.f1_ap, found.oracle_ap) == (None, None, None)
    assert found.best_exact == 100  # both are refused
    with pytest.raises(UsageError, match="probability of no answer is missing for question e"):
        curves(QUESTIONS, GIVEN, {id: CHANCE[id] for id in "abcd"})
