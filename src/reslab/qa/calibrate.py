"""Calibration of answers: temperature scaling, and the inputs of `statistics.reliability`."""

from collections.abc import Sequence

import numpy as np

from reslab.errors import UsageError
from reslab.qa.answers import Candidate, Ranked
from reslab.qa.data.question import Question
from reslab.qa.rules import score
from reslab.statistics import Temperature, best_temperature

TINY = 1e-300


def fit_temperature(scores: np.ndarray, correct: np.ndarray) -> Temperature:
    """The T for which the best column's probability in softmax(scores / T) best matches how often it is right.

    scores: (N, K), -inf if a row has fewer than K; correct: bool (N,), whether the best column is right. T minimizes
    the mean of -log p for right rows and -log(1 - p) for wrong ones. (Guo et al. 2017, section 4.2, use the likelihood
    of the whole softmax; but several answers or none may be right, and then p comes out too low.) Fit on a dev part,
    measure `reliability` on another. Raises UsageError if there are no rows, or for scores that are NaN or +inf.
    """
    scores, correct = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=bool)
    if scores.ndim != 2 or not len(scores) or correct.shape != scores.shape[:1]:
        raise UsageError(f"scores must be (N, K) and correct (N,), N at least 1; got {scores.shape}, {correct.shape}")
    top = scores.max(axis=1, keepdims=True)
    if not np.isfinite(top).all() or np.isnan(scores).any():
        raise UsageError("every row needs a finite score, and no score may be NaN or +inf")
    below = np.sort(scores - top, axis=1)[:, :-1]  # of all but the best
    chosen = np.isfinite(below).any(
        axis=1
    )  # a single candidate is certain at any temperature, so there is nothing to fit
    below, hits = below[chosen], correct[chosen]

    def loss(temperature: float) -> float:
        rest = np.maximum(np.exp(below / temperature).sum(axis=1), TINY)  # (1 - p) / p
        return float((np.log1p(rest) - np.log(rest) * ~hits).mean()) if len(rest) else 0.0

    return best_temperature(loss, n=len(scores))


def rows(ranked: Sequence[Ranked]) -> np.ndarray:
    """The scores (N, K) for `fit_temperature`: column 0 is "no answer", then each question's candidates."""
    width = 1 + max((len(one.candidates) for one in ranked), default=0)
    scores = np.full((len(ranked), width), -np.inf)
    for row, one in enumerate(ranked):
        scores[row, 0] = one.null
        scores[row, 1 : 1 + len(one.candidates)] = [candidate.score for candidate in one.candidates]
    return scores


def fit(questions: Sequence[Question], ranked: Sequence[Ranked], *, rule: str) -> Temperature:
    """The temperature of ranked answers. Questions with neither candidates nor "no answer" are skipped."""
    kept = [k for k, one in enumerate(ranked) if one.candidates or np.isfinite(one.null)]
    found = [ranked[k] for k in kept]
    probable = [one.decided(None) for one in found]  # the threshold is fitted later, at this temperature
    _, correct = outcomes([questions[k] for k in kept], found, rule=rule, decided=probable)
    return fit_temperature(rows(found), correct)


def outcomes(
    questions: Sequence[Question], ranked: Sequence[Ranked], *, rule: str, decided: Sequence[Candidate | None]
) -> tuple[np.ndarray, np.ndarray]:
    """(confidence, correct) of each question's answer as the reader decides it, for `reliability`.

    `decided`: the answer to each question, None for "no answer" (`Ranked.decided`): the same answers that exact match
    and F1 count. The confidence is the probability that `ranked` gives to that answer.
    """
    confidence, correct = np.zeros(len(ranked)), np.zeros(len(ranked), dtype=bool)
    for row, (question, one, answer) in enumerate(zip(questions, ranked, decided, strict=True)):
        confidence[row] = one.candidates[0].probability if answer else one.no_answer
        text = question.context[answer.start : answer.end] if answer else ""
        correct[row] = bool(score(question, text, rule=rule)[0])
    return confidence, correct
