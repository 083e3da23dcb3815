"""Calibration: does a model's confidence match its accuracy?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reslab.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

BINS = 15  # of confidence


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The predictions with confidence in (low, high]; the first bin includes 0."""

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


def reliability(
    confidence: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, *, bins: int = BINS
) -> Reliability:
    """ECE: the mean over predictions of |accuracy - confidence| in their bin (Guo et al. 2017, section 2).

    `bins` of equal width. Raises UsageError for no predictions, or a confidence outside 0 to 1.
    """
    import numpy as np

    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.ndim != 1 or not len(sure) or sure.shape != hit.shape or bins < 1:
        raise UsageError(
            f"confidence and correct must be (N,), N and bins at least 1; got {sure.shape}, {hit.shape}, {bins}"
        )
    if not ((sure >= 0) & (sure <= 1 + 1e-9)).all():
        raise UsageError(f"confidence must be between 0 and 1, got {sure.min():g} to {sure.max():g}")
    edges = np.arange(bins + 1) / bins
    rounding = 1e-7  # 0.6 in single precision is slightly above 0.6 but belongs to the bin that ends there
    place = np.clip(np.searchsorted(edges + rounding, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    mean_sure, mean_hit = (np.bincount(place, column, bins) / np.maximum(count, 1) for column in (sure, hit))
    table = tuple(
        Bin(low=float(edges[b]), high=float(edges[b + 1]), n=int(count[b]),
            confidence=float(mean_sure[b]), accuracy=float(mean_hit[b])) for b in range(bins)
    )  # fmt: skip
    return Reliability(ece=float((count * np.abs(mean_hit - mean_sure)).sum() / len(sure)), n=len(sure),
                       confidence=float(sure.mean()), accuracy=float(hit.mean()), bins=table)  # fmt: skip
