"""EM and F1 by three rules, each number counted by hand (a transcript of the official scripts gave the same)."""

import json
import math
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.qa.data.question import Answer, Question
from reslab.qa.no_answer import best_threshold
from reslab.qa.rules import exact, f1, normalize_english, normalize_korean
from reslab.qa.scores import evaluate, write_predictions


def asked(id: str, *gold: str) -> Question:
    return Question(id=id, question="?", context="", answers=tuple(Answer(text, -1) for text in gold),
                    impossible=not gold)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("The  Cat, a dog!", "cat dog"),
        ("an apple a day", "apple day"),
        ("Athens theory banana", "athens theory banana"),  # articles only as whole words
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),  # a sign leaves no space
        ("a-b", "ab"),  # signs go first, so this a is no article
        ("“the” — 5 €", "“ ” — 5 €"),  # signs beyond ASCII stay, as in the official script
        ("\u3000x\u00a0y\n", "x y"),
        ("the", ""),
        ("", ""),
        ("É a È", "é è"),
    ],
)  # fmt: skip
def test_squads_normal_form(text: str, becomes: str) -> None:
    assert normalize_english(text) == becomes


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("《난중일기》", "난중일기"),
        ("〈가〉나", "가 나"),  # its signs leave a space
        ("<a>(b)", "a b"),
        ("‘가’'나'\"다\"", "가 나 다"),
        ("가-나, 다.", "가나 다"),  # other ASCII signs leave none
        ("the A", "the a"),  # articles stay
        ("「책」", "「책」"),  # not among its signs
    ],
)  # fmt: skip
def test_korquads_normal_form(text: str, becomes: str) -> None:
    assert normalize_korean(text) == becomes


@pytest.mark.parametrize(
    ("rule", "prediction", "gold", "same", "value"),
    [
        ("squad1", "The Norman dynasty.", "norman dynasty", 1, 1),
        ("squad1", "in the 10th century", "10th century", 0, 2 * (2 / 3) * 1 / (2 / 3 + 1)),  # P 2/3, R 1
        ("squad1", "a b c", "d", 0, 0),
        ("squad1", "dog dog cat", "dog cat cat", 0, 2 / 3),  # one dog and one cat are shared
        ("squad1", "dog", "dog dog", 0, 2 / 3),  # P 1, R 1/2
        ("squad1", "", "", 1, 0),  # the official script's F1 of nothing
        ("squad1", "the", "a", 1, 0),
        ("squad2", "the", "", 1, 1),
        ("squad2", "", "x", 0, 0),
        ("squad1", "café", "cafe\u0301", 0, 0),  # other characters, not normalized
        ("korquad", "1989년 2월", "1989년 2월 15일", 0, 2 * 1 * (7 / 10) / (1 + 7 / 10)),  # 7 of 10 characters
        ("korquad", "《세종대왕》", "세종대왕", 1, 1),
        ("korquad", "학생회관 건물 계단을", "학생회관건물 계단", 0, 2 * (8 / 9) / (8 / 9 + 1)),
        ("korquad", "하하", "하", 0, 2 / 3),
        ("korquad", "the cat", "cat", 0, 2 * (3 / 6) / (3 / 6 + 1)),
        ("korquad", "()", "가", 0, 0),
    ],
)  # fmt: skip
def test_one_answer_against_another(rule: str, prediction: str, gold: str, same: float, value: float) -> None:
    assert exact(prediction, gold, rule=rule) == same
    assert f1(prediction, gold, rule=rule) == pytest.approx(value, abs=1e-12)


def test_best_over_the_answers_and_missing_ones() -> None:
    questions = [asked("1", "red", "dark red car"), asked("2", "blue"), asked("3", "green")]
    found = evaluate(questions, {"1": "the dark red", "2": "Blue!", "9": "other"}, rule="squad1")
    # 1: F1 with red is 2/3, with dark red car 2 * 1 * (2/3) / (5/3) = 0.8; 3 is missing
    assert (found.exact, found.f1) == (pytest.approx(100 / 3), pytest.approx(100 * 1.8 / 3))
    assert (found.n, found.missing, found.has_answer, found.no_answer, found.threshold) == (3, 1, None, None, None)


SQUAD2 = [asked("a", "red car"), asked("b", "blue"), asked("c"), asked("d"), asked("e", "the")]
GIVEN = {"a": "red", "b": "blue", "c": "", "d": "cat", "e": "x"}
CHANCE = {"a": 0.1, "b": 0.6, "c": 0.7, "d": 0.8, "e": 0.2}


def test_squad2_counts_both_kinds() -> None:
    found = evaluate(SQUAD2, GIVEN, rule="squad2")
    # exact: b, c; e's only gold answer is empty once normalized, so "" would be right. F1 of a: 2/3
    assert (found.exact, found.f1) == (pytest.approx(40), pytest.approx(100 * (2 / 3 + 2) / 5))
    assert found.has_answer is not None
    assert found.no_answer is not None
    assert (found.has_answer.exact, found.has_answer.f1) == (pytest.approx(100 / 3), pytest.approx(100 * (5 / 3) / 3))
    assert (found.has_answer.n, found.no_answer.n, found.no_answer.exact) == (3, 2, 50)


def test_intervals_over_questions() -> None:
    """Exact match is a count: Wilson's of 0 of 10 ends at 27.75 %; F1's is the bootstrap's."""
    questions = [asked(str(k), "red car") for k in range(10)]
    found = evaluate(questions, {str(k): "red" for k in range(10)}, rule="squad1")
    assert found.intervals["exact"] == pytest.approx((0, 27.7533), abs=1e-3)
    assert found.intervals["f1"] == pytest.approx((200 / 3, 200 / 3))
    half = evaluate(questions * 10, {str(k): "red car" if k < 5 else "" for k in range(10)}, rule="squad1")
    # 100 questions, half of them 1 and half 0: the mean's standard error is 5 points
    assert half.intervals["f1"] == pytest.approx((50 - 1.96 * 5, 50 + 1.96 * 5), abs=1.5)
    assert half == evaluate(questions * 10, {str(k): "red car" if k < 5 else "" for k in range(10)}, rule="squad1")


def test_squad2_at_a_threshold() -> None:
    found = evaluate(SQUAD2, GIVEN, rule="squad2", no_answer=CHANCE, threshold=0.6)
    assert found.exact == pytest.approx(60)  # d becomes "" and right; b at 0.6 is not above it
    found = evaluate(SQUAD2, GIVEN, rule="squad2", no_answer=CHANCE, threshold=0.5)
    assert found.exact == pytest.approx(40)  # b is lost
    assert found.threshold == 0.5


def test_the_best_threshold_by_hand() -> None:
    # none answered: c and d right, 2 of 5. Then in order of chance: a +2/3, e +0, b +1 (3 2/3), c +0, d -1
    found = best_threshold(SQUAD2, GIVEN, CHANCE)
    assert (found.threshold, found.score, found.by, found.n) == (0.6, pytest.approx(100 * (2 + 5 / 3) / 5), "f1", 5)
    exactly = best_threshold(SQUAD2, GIVEN, CHANCE, by="exact")
    assert (exactly.threshold, exactly.score) == (0.6, pytest.approx(60))
    assert evaluate(SQUAD2, GIVEN, rule="squad2", no_answer=CHANCE, threshold=0.6).f1 == pytest.approx(found.score)


def test_thresholds_at_the_edges() -> None:
    wrong = {"a": "x", "c": "x", "d": "x"}
    questions = [SQUAD2[0], SQUAD2[2], SQUAD2[3]]
    nothing = best_threshold(questions, wrong, {"a": 0.5, "c": 0.6, "d": 0.7})
    assert (nothing.threshold, nothing.score) == (0.0, pytest.approx(100 * 2 / 3))
    below = best_threshold(questions, wrong, {"a": -3.0, "c": 0.6, "d": 0.7})  # any score serves, not only chances
    assert below.threshold < -3
    assert evaluate(questions, wrong, rule="squad2", no_answer={"a": -3.0, "c": 0.6, "d": 0.7},
                    threshold=below.threshold).exact == pytest.approx(100 * 2 / 3)  # fmt: skip
    # a, right, and c share a chance: a threshold takes both or none, so their gain is 1 - 1
    shared = best_threshold(questions, wrong | {"a": "red car"}, {"a": 0.5, "c": 0.5, "d": 0.7})
    assert (shared.threshold, shared.score) == (0.0, pytest.approx(100 * 2 / 3))


def test_what_cannot_be_scored() -> None:
    with pytest.raises(UsageError, match="question c has no answer, which squad1 cannot score; use squad2"):
        evaluate(SQUAD2, GIVEN, rule="squad1")
    with pytest.raises(
        UsageError,
        match="no rule named 'squad'; available: squad1, squad2, korquad, characters, characters2; did you mean",
    ):
        evaluate(SQUAD2, GIVEN, rule="squad")
    with pytest.raises(UsageError, match="no questions"):
        evaluate([], {}, rule="squad1")
    with pytest.raises(UsageError, match="needs the probabilities of no answer and the rule squad2"):
        evaluate(SQUAD2, GIVEN, rule="squad2", threshold=0.5)
    with pytest.raises(UsageError, match="the probability of no answer is missing for question e"):
        evaluate(SQUAD2, GIVEN, rule="squad2", no_answer=dict.fromkeys("abcd", 0.0), threshold=0.5)
    with pytest.raises(UsageError, match="by must be exact or f1, got 'em'"):
        best_threshold(SQUAD2, GIVEN, CHANCE, by="em")


def test_the_official_form(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "out/predictions.json", {"q": '한국 "x"', "r": ""})
    assert json.loads(path.read_text(encoding="utf-8")) == {"q": '한국 "x"', "r": ""}
    assert "한국" in path.read_text(encoding="utf-8")
    write_predictions(path, {"q": 0.25})
    assert math.isclose(json.loads(path.read_text())["q"], 0.25)
