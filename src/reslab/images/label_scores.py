"""Scores of several labels an image: each label is decided on its own, at a probability of 0.5."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reslab.errors import tell
from reslab.statistics import Interval, bootstrap, wilson

WORK = 1.5e8  # resamples x images x labels of the intervals: about seven seconds, until FEWEST takes more
FEWEST, MOST = 50, 1000  # resamples


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """One label over n images; None where it is undefined: precision of what was never predicted, for example."""

    name: str
    images: int  # that have it
    predicted: int  # for which it is predicted
    right: int  # of these, that have it
    precision: float | None  # shares, 0 to 1
    recall: float | None
    f1: float | None
    ap: float | None  # average precision
    precision_interval: tuple[float, float] | None  # 95 %, Wilson
    recall_interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Scores of all labels together, 0 to 1; means over the labels for which they are defined, None without one."""

    exact: float  # share of the images whose labels are all right
    balanced: float | None  # mean over labels of (share missed where it is + share wrongly said where it is not) / 2
    majority: float  # share of wrong decisions if each label is decided as for most images
    f1_micro: float | None  # of all decisions together
    f1_macro: float | None  # mean over the labels that some image has
    mean_ap: float | None  # likewise, of average precision
    each: tuple[LabelScore, ...]


def label_scores(scores: Tensor, labels: Tensor, names: tuple[str, ...] = ()) -> LabelScores:
    """The scores of logits (N, K) against labels (N, K) of 0 and 1."""
    y, said = labels.numpy() > 0, (scores > 0).numpy()
    n, K = y.shape
    has, predicted, right = y.sum(axis=0), said.sum(axis=0), (y & said).sum(axis=0)
    ap = average_precisions(Ranked(scores, labels), np.ones(n))
    each = tuple(
        LabelScore(
            name=names[k] if names else str(k), images=int(has[k]), predicted=int(predicted[k]), right=int(right[k]),
            precision=share(right[k], predicted[k]), recall=share(right[k], has[k]),
            f1=f1(right[k], has[k], predicted[k]), ap=None if np.isnan(ap[k]) else float(ap[k]),
            precision_interval=interval(right[k], predicted[k]), recall_interval=interval(right[k], has[k]),
        ) for k in range(K)
    )  # fmt: skip
    both = [k for k in range(K) if 0 < has[k] < n]
    missed, false = has - right, predicted - right
    balanced = [(missed[k] / has[k] + false[k] / (n - has[k])) / 2 for k in both]
    return LabelScores(
        exact=float((y == said).all(axis=1).mean()), balanced=mean(balanced),
        majority=float(np.minimum(has, n - has).sum() / (n * K)), each=each, **means(has, predicted, right, ap),
    )  # fmt: skip


def means(has: np.ndarray, predicted: np.ndarray, right: np.ndarray, ap: np.ndarray) -> dict[str, float | None]:
    """F1 and average precision over all labels, from counts (K,) of each."""
    some = [f1(right[k], has[k], predicted[k]) for k in range(len(has)) if has[k]]
    return {"f1_micro": f1(right.sum(), has.sum(), predicted.sum()),
            "f1_macro": mean([one for one in some if one is not None]),
            "mean_ap": mean([float(one) for one in ap if not np.isnan(one)])}  # fmt: skip


def label_intervals(scores: Tensor, labels: Tensor) -> dict[str, Interval]:
    """95 % intervals of exact, f1_micro, f1_macro and mean_ap, 0 to 1: percentiles over images that are resampled.

    That of `exact` is Wilson's. Labels of one image are no independent decisions, so images are drawn, not decisions.
    """
    y, said = labels.numpy() > 0, (scores > 0).numpy()
    n, K = y.shape
    ranked = Ranked(scores, labels)
    counts = [column.astype(np.float64) for column in (y, said, y & said)]

    def resampled(rows: np.ndarray) -> Mapping[str, float | None]:
        weights = np.bincount(rows, minlength=n).astype(np.float64)
        has, predicted, right = (weights @ column for column in counts)
        return means(has, predicted, right, average_precisions(ranked, weights))

    many = int(min(MOST, max(FEWEST, WORK / (n * K))))
    if many * n * K > WORK / 2:
        tell("95 %% intervals from %s resamples of %s images and %s labels", many, f"{n:,}", f"{K:,}")
    found = bootstrap(resampled, n, resamples=many)
    return {"exact": wilson(int((y == said).all(axis=1).sum()), n), **found}


class Ranked:
    """The labels (N, K) in the order of falling scores, each label on its own; equal scores are one step.

    Places are those in (K, N), flat: `order` the images, and of the P positive ones `place`, their `label`, the `end`
    of their step, and which positive one is the `last` up to there.
    """

    def __init__(self, scores: Tensor, labels: Tensor) -> None:
        order = torch.sort(scores.T.contiguous(), dim=1, descending=True, stable=True)
        values, self.order = order.values.numpy(), order.indices.numpy()
        self.labels, n = values.shape
        positive = np.take_along_axis(labels.numpy().T > 0, self.order, axis=1)
        ends = np.ones_like(values, dtype=bool)
        ends[:, :-1] = values[:, :-1] != values[:, 1:]
        place = np.where(ends, np.arange(n), n)
        end = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1] + n * np.arange(self.labels)[:, None]
        self.place = np.flatnonzero(positive)
        self.label, self.end = self.place // n, end.ravel()[self.place]
        self.last = np.searchsorted(self.place, self.end, side="right") - 1


def average_precisions(ranked: Ranked, weights: np.ndarray) -> np.ndarray:
    """The average precision of each label, (K,), with images that count `weights` (N,) times; nan without positives.

    The mean, over the positive images, of the precision among the images with at least their score (scikit-learn's
    average_precision_score).
    """
    weight = weights[ranked.order]
    among = np.cumsum(weight, axis=1).ravel()[ranked.end]
    positive = weight.ravel()[ranked.place]
    total = np.bincount(ranked.label, weights=positive, minlength=ranked.labels)
    before = (np.cumsum(total) - total)[ranked.label]  # positives of the labels before this one
    right = np.cumsum(positive)[ranked.last] - before
    summed = np.bincount(ranked.label, weights=positive * right / np.maximum(among, 1), minlength=ranked.labels)
    return np.asarray(np.where(total > 0, summed / np.maximum(total, 1e-300), np.nan))


def share(some: float, of: float) -> float | None:
    return float(some / of) if of else None


def interval(some: int, of: int) -> tuple[float, float] | None:
    if not of:
        return None
    found = wilson(int(some), int(of))
    return found.low, found.high


def f1(right: float, has: float, predicted: float) -> float | None:
    """2 right / (has + predicted): the harmonic mean of precision and recall; None if nothing is there or predicted."""
    return float(2 * right / (has + predicted)) if has + predicted else None


def mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
