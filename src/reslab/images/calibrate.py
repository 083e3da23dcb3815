"""Calibration of a net's probabilities: one temperature, fitted on the validation part, measured on the test part."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import Sentence
from reslab.images.calling import NO_VALIDATION
from reslab.statistics import Reliability, Temperature, best_temperature, reliability

SPREAD = 1.0  # of log T around 0, in the prior: a few images, all of them right, must not ask for certainty
TRIED = 21  # temperatures before the best is refined: the loss has one minimum

Scored = tuple[Tensor, Tensor]
"""Scores (N, K) and labels of the same images: classes (N,), or several labels (N, K) as 0 and 1."""


def probabilities(scores: Tensor, temperature: float = 1.0, *, several: bool = False) -> Tensor:
    """softmax(scores / T), or sigmoid(scores / T) if an image may have several labels: float64 (..., K).

    Log probabilities give the same softmax as the logits that they were computed from.
    """
    z = scores.double() / temperature
    return z.sigmoid() if several else z.softmax(dim=-1)


def fit_temperature(scores: Tensor, labels: Tensor) -> Temperature:
    """The T that suits held-out images best (Guo et al. 2017, section 4.2).

    T minimizes the summed negative log-likelihood plus a normal prior on log T, which Guo et al. do not have: without
    it, a few images that are all right ask for T = 0, and every answer would be certain.
    """
    several, n, z = labels.dim() == 2, len(labels), scores.double()

    def loss(temperature: float) -> float:
        scaled = z / temperature
        if several:
            return F.binary_cross_entropy_with_logits(scaled, labels.double()).item()
        return F.cross_entropy(scaled, labels).item()

    def cost(temperature: float) -> float:
        rows = n * scores.shape[1] if several else n
        return loss(temperature) + math.log(temperature) ** 2 / (2 * SPREAD**2 * rows)

    return best_temperature(loss, n=n, cost=cost, tried=TRIED)


def measured(scored: Scored, temperature: float = 1.0) -> Reliability:
    """How far confidence is from accuracy: of the predicted class, or of each label's yes or no."""
    scores, labels = scored
    several = labels.dim() == 2
    p = probabilities(scores, temperature, several=several)
    if several:
        confidence, correct = torch.maximum(p, 1 - p).flatten(), ((p >= 0.5) == (labels > 0)).flatten()
    else:
        confidence, predicted = p.max(dim=1)
        correct = predicted == labels
    return reliability(np.minimum(confidence.numpy(), 1.0), correct.numpy())


def calibrated(validation: Scored | None, test: Scored | None) -> dict[str, Any]:
    """For a run's result: the temperature, and the test part's calibration error before and after it.

    Without a validation part there is no temperature, as the test part must not choose it; the error is then that of
    the probabilities as they are.
    """
    found = fit_temperature(*validation) if validation is not None and finite(validation) else None
    result: dict[str, Any] = {"temperature": asdict(found) if found else None}
    if test is not None and finite(test):
        at = measured(test, found.temperature if found else 1.0)
        before = {"ece_before": measured(test).ece} if found else {}
        shown = {**asdict(at), "bins": [asdict(one) for one in at.bins]}  # a list, as it is read again
        result |= {"ece": at.ece, **before, "reliability": shown}
    return result


def finite(scored: Scored) -> bool:
    return len(scored[0]) > 0 and bool(torch.isfinite(scored[0]).all())


def described(result: dict[str, Any]) -> Sentence:
    """How the probabilities of a run are calibrated, from its stored result."""
    found = result.get("temperature")
    if found and found.get("temperature"):
        return Sentence(f"calibrated: temperature {found['temperature']:.2f}, fitted on {found['n']:,} validation "
                        f"image{'s' * (found['n'] != 1)}")  # fmt: skip
    if result.get("validation_error") is not None:
        return Sentence("not calibrated: the run was trained before reslab fitted temperatures")
    return NO_VALIDATION
