"""How sure one may be of an answer: temperature scaling, and how far confidence is from being right (ECE)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from reslab.data.question import Question
from reslab.errors import UsageError
from reslab.qa.answers import Ranked
from reslab.qa.scores import score

LIMITS = 0.01, 100.0  # of a temperature; beyond it the fit has no end: every row right, or worse than chance


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """What scores are divided by before the softmax, and the mean negative log-likelihood (nats) it was fitted on."""

    temperature: float
    before: float  # at temperature 1
    after: float
    n: int
    at_limit: bool  # the best lies beyond LIMITS


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The predictions whose confidence lies in (low, high]; the first bin holds 0 too."""

    low: float
    high: float
    n: int
    confidence: float  # mean; 0 in an empty bin
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The expected calibration error, 0 to 1, and the bins it was summed over."""

    ece: float
    n: int
    confidence: float  # mean
    accuracy: float
    bins: tuple[Bin, ...]


def fit_temperature(scores: np.ndarray, right: np.ndarray) -> Temperature:
    """The T > 0 that minimizes the mean of -log softmax(scores / T)[right] (Guo et al. 2017, section 4.2).

    scores: (N, K), -inf where a row has fewer than K; right: (N,) the column that is. The mean is convex in 1 / T, so
    the zero of its derivative is the only minimum. Fit on a dev part, measure `reliability` on another. Raises
    UsageError for no rows, or a right column whose score is not finite.
    """
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=np.int64)
    if scores.ndim != 2 or not len(scores) or right.shape != scores.shape[:1]:
        raise UsageError(f"scores must be (N, K) and right (N,), N at least 1; got {scores.shape} and {right.shape}")
    target = scores[np.arange(len(scores)), right]
    if not np.isfinite(target).all() or np.isnan(scores).any() or np.isposinf(scores).any():
        raise UsageError("every right column needs a finite score, and none may be NaN or infinite")
    top = scores.max(axis=1)
    depth, missed = np.where(np.isfinite(scores), scores - top[:, None], -np.inf), target - top
    finite = np.where(np.isfinite(depth), depth, 0.0)  # 0 times -inf would be NaN

    def loss(inverse: float) -> float:
        return float((np.log(np.exp(depth * inverse).sum(axis=1)) - missed * inverse).mean())

    def slope(inverse: float) -> float:
        weight = np.exp(depth * inverse)
        return float(((weight * finite).sum(axis=1) / weight.sum(axis=1) - missed).mean())

    hot, cold = 1 / LIMITS[1], 1 / LIMITS[0]
    if not depth[np.isfinite(depth)].any():  # nothing to choose from, in any row
        inverse, at_limit = 1.0, False
    elif slope(hot) >= 0:
        inverse, at_limit = hot, True
    elif slope(cold) <= 0:
        inverse, at_limit = cold, True
    else:
        inverse, at_limit = float(brentq(slope, hot, cold, xtol=1e-12)), False
    return Temperature(temperature=1 / inverse, before=loss(1.0), after=loss(inverse), n=len(scores), at_limit=at_limit)


def reliability(
    confidence: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = 15
) -> Reliability:
    """ECE: the mean over predictions of |accuracy - confidence| in their bin (Guo et al. 2017, section 2).

    `bins` of equal width. Raises UsageError for no predictions, or a confidence that is no probability.
    """
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or not len(sure) or sure.shape != hit.shape or bins < 1:
        raise UsageError(
            f"confidence and correct must be (N,), N and bins at least 1; got {sure.shape}, {hit.shape}, {bins}"
        )
    if not ((sure >= 0) & (sure <= 1 + 1e-9)).all():
        raise UsageError(f"a confidence lies in 0 to 1, got {sure.min():g} to {sure.max():g}")
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    mean_sure, mean_hit = (np.bincount(place, column, bins) / np.maximum(count, 1) for column in (sure, hit))
    table = tuple(
        Bin(low=float(edges[b]), high=float(edges[b + 1]), n=int(count[b]),
            confidence=float(mean_sure[b]), accuracy=float(mean_hit[b])) for b in range(bins)
    )  # fmt: skip
    return Reliability(ece=float((count * np.abs(mean_hit - mean_sure)).sum() / len(sure)), n=len(sure),
                       confidence=float(sure.mean()), accuracy=float(hit.mean()), bins=table)  # fmt: skip


def rows(questions: Sequence[Question], ranked: Sequence[Ranked], *, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """(scores, right) for `fit_temperature`: column 0 is "no answer", then each question's candidates.

    Right is the best candidate that matches exactly by `rule`, or "no answer" where there is none. A question whose
    answer is among no candidates counts as if its last candidate were right: the truth can have scored no more, and to
    leave such questions out would teach confidence on the easy ones alone. Questions without candidates are left out.
    """
    width = 1 + max((len(one.candidates) for one in ranked), default=0)
    scores, right = np.full((len(ranked), width), -np.inf), np.zeros(len(ranked), dtype=np.int64)
    for row, (question, one) in enumerate(zip(questions, ranked, strict=True)):
        scores[row, 0] = one.null
        scores[row, 1 : 1 + len(one.candidates)] = [candidate.score for candidate in one.candidates]
        if question.answers or not np.isfinite(one.null):
            texts = [question.context[candidate.start : candidate.end] for candidate in one.candidates]
            hits = (k for k, text in enumerate(texts, 1) if score(question, text, rule=rule)[0])
            right[row] = next(hits, len(texts))
    kept = np.array([bool(one.candidates) for one in ranked], dtype=bool)
    return scores[kept], right[kept]


def outcomes(questions: Sequence[Question], ranked: Sequence[Ranked], *, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """(confidence, correct) of each question's most probable answer, "no answer" among them, for `reliability`."""
    confidence, correct = np.zeros(len(ranked)), np.zeros(len(ranked), dtype=bool)
    for row, (question, one) in enumerate(zip(questions, ranked, strict=True)):
        best = one.best
        confidence[row] = best.probability if best else one.no_answer
        text = question.context[best.start : best.end] if best else ""
        correct[row] = bool(score(question, text, rule=rule)[0])
    return confidence, correct
