"""Calibration of predictions: how far from the class shares, or from the mean, held-out rows allow a model to go."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax

from reslab.errors import ReslabError
from reslab.run import Run
from reslab.tables.data.target import Target

CALIBRATION = "calibration.json"
LARGEST = 2.0  # strength: rows that are all right by luck would ask for any
SPREAD = 0.5  # of the strength around 1, in the prior: few rows must not decide alone
CHANCE = 1.645  # standard errors: without a gain, 95 % of means stay below them
TINY = 1e-300


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """p is proportional to q (p_net / q) ^ strength, where q are the class shares (K,) in training.

    Of labels, each label's odds are treated so; numbers become mean + strength (number - mean). 1 / strength is the
    temperature of Guo et al. 2017, measured from the class shares instead of from equal shares: with strength 0 a model
    that has learned nothing answers with them, which no temperature does.
    """

    strength: float
    center: tuple[float, ...]  # shares of the classes or labels; for numbers, 0: the mean of standardized ones
    before: float  # the held-out rows' mean loss at strength 1: log loss, or squared error in variances
    after: float
    baseline: float  # at strength 0
    n: int  # held-out rows

    def apply(self, scores: np.ndarray, target: Target) -> np.ndarray:
        """Calibrated scores (N, K) of probabilities, or of numbers in the target's unit."""
        if target.kind == "numbers":
            assert target.mean is not None
            return np.asarray(target.mean + self.strength * (scores - target.mean))
        center, apart = deviations(scores, self.center, target.kind)
        z = center + self.strength * apart
        return np.asarray(softmax(z, axis=1) if target.kind == "classes" else expit(z))


def deviations(scores: np.ndarray, shares: Sequence[float], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(log shares (K,), what the log probabilities (N, K) add to them); of labels, log odds."""
    if kind == "labels":
        inside = np.clip(scores, 1e-15, 1 - 1e-15)
        center = logit(np.asarray(shares))
        return center, logit(inside) - center
    center = np.log(np.asarray(shares))
    return center, np.log(np.maximum(scores, TINY)) - center


def mean_of(each: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """The members' mean (N, K): of probabilities the geometric one, scaled to sum 1; of labels, of their log odds."""
    if kind == "numbers":
        return np.asarray(np.mean(each, axis=0))
    if kind == "labels":
        return np.asarray(expit(np.mean([logit(np.clip(one, 1e-15, 1 - 1e-15)) for one in each], axis=0)))
    return np.asarray(softmax(np.mean([np.log(np.maximum(one, TINY)) for one in each], axis=0), axis=1))


def fit(
    scores: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, *, target: Target, shares: Sequence[float]
) -> Calibration:
    """The strength that suits held-out rows best.

    scores (N, K): the model's, of rows that it was not trained on; numbers standardized. y: encoded. weights (N,), of
    mean 1. The strength minimizes the summed loss plus a normal prior around 1; it is then multiplied by `certain` of
    the rows' gains over strength 0.
    """
    heavy = np.ones(len(y)) if weights is None else weights
    if target.kind == "numbers":
        center, apart = np.zeros(target.outputs), scores
    else:
        center, apart = deviations(scores, shares, target.kind)

    def each(strength: float) -> np.ndarray:
        found: np.ndarray = heavy * losses(center + strength * apart, y, target.kind)
        return found

    def cost(strength: float) -> float:
        return float(each(strength).sum() + (strength - 1) ** 2 / (2 * SPREAD**2))

    best = float(minimize_scalar(cost, bounds=(0, LARGEST), method="bounded", options={"xatol": 1e-6}).x)
    gains = each(0) - each(best)
    strength = best * certain(gains)
    return Calibration(
        strength=strength, center=tuple(map(float, shares)), before=float(each(1).mean()),
        after=float(each(strength).mean()), baseline=float(each(0).mean()), n=len(y),
    )  # fmt: skip


def certain(gains: np.ndarray) -> float:
    """1 - (CHANCE s / g)^4, at least 0, where g is the mean of the gains (N,) and s its standard error.

    So a gain that could well be chance gives the class shares, and a clear one is hardly changed.
    """
    if len(gains) < 2 or gains.mean() <= 0:
        return 0.0
    error = gains.std(ddof=1) / len(gains) ** 0.5
    return max(0.0, 1 - (CHANCE * float(error / gains.mean())) ** 4)


def losses(z: np.ndarray, y: np.ndarray, kind: str) -> np.ndarray:
    """Each row's loss (N,): of classes -log p, of labels the sum of -log p, of numbers the mean squared error."""
    if kind == "classes":
        return np.asarray(-log_softmax(z, axis=1)[np.arange(len(y)), y])
    if kind == "labels":
        return np.asarray(np.logaddexp(0, np.where(y > 0.5, -z, z)).sum(axis=1))
    return np.asarray(((z - y) ** 2).mean(axis=1))


def shares_of(y: np.ndarray, target: Target, weights: np.ndarray | None = None) -> tuple[float, ...]:
    """The weighted share of each class; of each label, counting half a row more with it and without; 0 for numbers."""
    heavy = np.ones(len(y)) if weights is None else weights
    if target.kind == "numbers":
        return (0.0,) * target.outputs
    if target.kind == "labels":
        return tuple(((heavy @ y + 0.5) / (heavy.sum() + 1)).tolist())
    return tuple((np.bincount(y, heavy, minlength=target.outputs) / heavy.sum()).tolist())


def write_calibration(run: Run, found: Calibration | None) -> None:
    if found is not None:
        run.write_json(CALIBRATION, asdict(found))


def read_calibration(run: Run, target: Target) -> Calibration | None:
    """The calibration of a folder's model; None if it has none. Raises ReslabError if it is damaged."""
    if not run.has(CALIBRATION):
        return None
    return from_dict(run.read_json(CALIBRATION), target, where=str(run.path(CALIBRATION)))


def from_dict(data: Mapping[str, Any], target: Target, *, where: str = "the calibration") -> Calibration:
    """The calibration that was stored as a dict. Raises ReslabError if it is damaged or of another target."""
    try:
        found = Calibration(**{**data, "center": tuple(data["center"])})
        inside = all(0 < share < 1 for share in found.center) or target.kind == "numbers"
        if len(found.center) != target.outputs or not inside or not 0 <= found.strength <= LARGEST:
            raise ValueError(f"a strength of {found.strength} and {len(found.center)} shares for {target.outputs}")
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise ReslabError(f"{where} is damaged ({error}); restore a copy of it") from error
