"""Scores of predictions of classes, of several labels and of numbers; each with an interval."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata
from sklearn import metrics

from reslab.statistics import bootstrap, reliability
from reslab.tables.data.report import Report
from reslab.tables.data.target import Target

Kind = Literal["classes", "labels", "numbers"]
RESAMPLES = 200
MAIN = {"classes": "accuracy", "labels": "f1", "numbers": "rmse"}  # the main score of a result


def judged(kind: Kind, y: np.ndarray, predicted: np.ndarray, *, seed: int = 0) -> dict[str, Any]:
    """Scores of predictions, and `intervals`: the central 95 % of each over resamples of the rows with replacement.

    "classes": y int (N,), predicted probabilities (N, K). "labels": y 0/1 (N, K), probabilities (N, K).
    "numbers": y and predicted (N, K), in the target's own unit.
    """
    found = scores(kind, y, predicted)
    around = bootstrap(lambda rows: scores(kind, y[rows], predicted[rows]), len(y), resamples=RESAMPLES, seed=seed)
    intervals = {name: [around[name].low, around[name].high]
                 for name, value in found.items() if value is not None and name in around}  # fmt: skip
    result: dict[str, Any] = {"n": len(y), **found, "intervals": intervals}
    return result | ({"reliability": sure(y, predicted)} if kind == "classes" else {})


def scores(kind: Kind, y: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """The scores without intervals; None if undefined for these rows, such as AUC if a class is missing."""
    return SCORES[kind](y, predicted)


def of_classes(y: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    chosen = predicted.argmax(axis=1)
    shares = np.clip(predicted, 1e-15, None)
    present = np.bincount(y, minlength=predicted.shape[1])
    two = predicted.shape[1] == 2  # for two classes, the second class's curve is enough
    return {
        "accuracy": float((chosen == y).mean()),
        "balanced_accuracy": float(np.mean([(chosen[y == k] == k).mean() for k in np.flatnonzero(present)])),
        "auc": auc((y[:, None] == np.arange(predicted.shape[1]))[:, two:], predicted[:, two:]),
        "log_loss": float(-np.log(shares[np.arange(len(y)), y]).mean()),
    }


def of_labels(y: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    chosen, y = predicted > 0.5, y > 0.5
    hits, asked = (chosen & y).sum(), chosen.sum() + y.sum()
    shares = np.clip(np.where(y, predicted, 1 - predicted), 1e-15, None)
    return {
        "f1": float(2 * hits / asked) if asked else None,  # micro
        "accuracy": float((chosen == y).all(axis=1).mean()),  # all labels right
        "auc": auc(y, predicted),
        "log_loss": float(-np.log(shares).mean()),
    }


def of_numbers(y: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    errors = predicted - y
    spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    unexplained = (errors**2).sum(axis=0)
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "r2": float((1 - unexplained / spread).mean()) if (spread > 0).all() else None,
    }


def auc(y: np.ndarray, predicted: np.ndarray) -> float | None:
    """The mean over columns of the area under the ROC curve; None if no column has both values.

    By ranks (Mann and Whitney 1947): the share of pairs in which the positive row has the higher value; a tie is 1/2.
    """
    y = y.astype(bool)
    ones = y.sum(axis=0)
    zeros = len(y) - ones
    both = (ones > 0) & (zeros > 0)
    if not both.any():
        return None
    above = (rankdata(predicted, axis=0) * y).sum(axis=0) - ones * (ones + 1) / 2
    return float((above[both] / (ones * zeros)[both]).mean())


def sure(y: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """How often predictions of each confidence are right: the calibration error and the bins that hold any."""
    found = asdict(reliability(predicted.max(axis=1), predicted.argmax(axis=1) == y))
    return {**found, "bins": [one for one in found["bins"] if one["n"]]}


SCORES: Mapping[str, Callable[[np.ndarray, np.ndarray], dict[str, float | None]]] = {
    "classes": of_classes, "labels": of_labels, "numbers": of_numbers,
}  # fmt: skip


def confusion(y: np.ndarray, predicted: np.ndarray) -> list[list[int]]:
    """Rows: true class; columns: predicted class."""
    found: list[list[int]] = metrics.confusion_matrix(
        y, predicted.argmax(axis=1), labels=np.arange(predicted.shape[1])
    ).tolist()
    return found


def residuals(y: np.ndarray, predicted: np.ndarray, *, most: int = 2000) -> dict[str, Any]:
    """True and predicted values (N, T) of up to `most` evenly spaced rows, for a figure."""
    rows = np.unique(np.linspace(0, len(y) - 1, min(most, len(y))).astype(int))
    return {"true": y[rows].tolist(), "predicted": predicted[rows].tolist()}


def true_values(target: Target, known: Any, report: Report) -> np.ndarray:
    """The target's values for `judged`: encoded, or numbers (N, T) in their original unit."""
    return target.numbers(known) if target.kind == "numbers" else target.encode(known, report=report)
