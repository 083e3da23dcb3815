"""When to answer "no answer": the best threshold, and SQuAD 2's curves over all thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reslab.errors import UsageError
from reslab.qa.data.question import Question
from reslab.qa.rules import score


def probability_of(no_answer: Mapping[str, float] | None, question: Question) -> float:
    """The stored probability of no answer. Raises UsageError if it is missing."""
    if no_answer is None or question.id not in no_answer:
        raise UsageError(f"the probability of no answer is missing for question {question.id}")
    return no_answer[question.id]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The threshold with the best score, and that score (%) on the same questions."""

    threshold: float
    score: float
    by: str
    n: int


def best_threshold(
    questions: Sequence[Question], predictions: Mapping[str, str], no_answer: Mapping[str, float], *, by: str = "f1",
    rule: str = "squad2",
) -> Threshold:  # fmt: skip
    """The "no answer" threshold with the best score on these questions; `by`: "exact" or "f1".

    `predictions` are the best answers, never "" for lack of confidence. Use a dev part: fitted on the test part, the
    score would be too good. Of equally good thresholds the lowest, as in SQuAD 2's script, which differs only if
    questions have equal probabilities: it splits them, which no threshold can.
    """
    if by not in ("exact", "f1"):
        raise UsageError(f"by must be exact or f1, got {by!r}")
    asked = [question for question in questions if question.id in predictions]
    if not asked:
        raise UsageError("there are no predictions to fit a threshold on")
    probability = np.array([probability_of(no_answer, question) for question in asked])
    pick = ("exact", "f1").index(by)
    gain = np.array([score(one, predictions[one.id], rule=rule)[pick] if one.answers  # otherwise any text is wrong
                     else -float(predictions[one.id] != "") for one in asked])  # fmt: skip
    order = np.argsort(probability, kind="stable")
    ranked = probability[order]
    none = 0.0 if ranked[0] > 0 else float(np.nextafter(ranked[0], -np.inf))  # below all of them: nothing is answered
    totals = np.concatenate([[0.0], np.cumsum(gain[order])]) + sum(not question.answers for question in asked)
    last = np.append(ranked[1:] != ranked[:-1], True)  # a threshold can only follow the last of equal values
    totals[1:][~last] = -np.inf
    best = int(np.argmax(totals.round(9)))  # the order of summation must not decide between equals
    found = float(ranked[best - 1]) if best else none
    return Threshold(threshold=found, score=100 * float(totals[best]) / len(asked), by=by, n=len(asked))


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What SQuAD 2's script reports with --na-prob-file, in %.

    The best scores are those of the best threshold on these very questions, so they are upper bounds. Average precision
    (None if no question has an answer): of exact match, of F1, and of telling which questions have an answer.
    """

    best_exact: float
    best_exact_threshold: float
    best_f1: float
    best_f1_threshold: float
    exact_ap: float | None
    f1_ap: float | None
    oracle_ap: float | None


def curves(
    questions: Sequence[Question], predictions: Mapping[str, str], no_answer: Mapping[str, float], *,
    rule: str = "squad2",
) -> Curves:  # fmt: skip
    """The best scores over all thresholds and the average precisions, as in SQuAD 2's script.

    Raises UsageError if a question with a prediction has no probability.
    """
    asked = [question for question in questions if question.id in predictions]
    exact, f1 = (best_threshold(asked, predictions, no_answer, by=by, rule=rule) for by in ("exact", "f1"))
    given = np.array([probability_of(no_answer, one) for one in asked])
    has = np.array([bool(one.answers) for one in asked], dtype=float)
    scored = np.array([score(one, predictions[one.id], rule=rule) if one.answers else (0.0, 0.0)
                       for one in asked])  # fmt: skip
    precise = [average_precision(column, given, int(has.sum())) for column in (scored[:, 0], scored[:, 1], has)]
    return Curves(
        best_exact=exact.score, best_exact_threshold=exact.threshold, best_f1=f1.score,
        best_f1_threshold=f1.threshold, exact_ap=precise[0], f1_ap=precise[1], oracle_ap=precise[2],
    )  # fmt: skip


def average_precision(score: np.ndarray, no_answer: np.ndarray, positives: int) -> float | None:
    """The area (%) under precision over recall, as the questions are answered in order of rising P("no answer").

    score: (N,), 0 to 1. Precision is the mean score of those answered so far, recall its sum / `positives`; questions
    of equal probability are answered together.
    """
    if not positives:
        return None
    order = np.argsort(no_answer, kind="stable")
    ranked, total = no_answer[order], np.cumsum(score[order])
    ends = np.append(ranked[1:] != ranked[:-1], True)
    precision, recall = (total / np.arange(1, len(total) + 1))[ends], total[ends] / positives
    return 100 * float((precision * np.diff(recall, prepend=0.0)).sum())
