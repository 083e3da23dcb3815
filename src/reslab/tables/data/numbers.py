"""Encode numbers of a table in two views: Gaussian rank and z-score."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

KNOTS = 1_000  # quantiles stored per column
LARGEST = 1e150  # beyond it squares overflow: larger numbers and infinities are clipped to it
CLIP = 10.0  # of the z-score


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberCode:
    """x to (Gaussian quantile of x's rank in training, z-score of x).

    The first view of a training value with rank r of n (from 1, ties averaged) is ndtri((r - 1/2) / n), interpolated
    linearly between the stored quantiles and constant beyond them. The second is (x - mean) / scale, clipped to +-10.
    """

    knots: np.ndarray  # float64 (K,), K <= 1,000, increasing
    gauss: np.ndarray  # float64 (K,): first view of each knot
    mean: float
    scale: float  # standard deviation, plus an epsilon for nearly constant columns

    @classmethod
    def fit(cls, column: np.ndarray) -> "NumberCode":
        """Fit on the finite values of a column, float64 (N,)."""
        values = np.sort(column[np.isfinite(column)].clip(-LARGEST, LARGEST))
        if not len(values):
            values = np.zeros(1)
        n = len(values)
        knots = np.unique(values)
        if len(knots) > KNOTS:
            knots = np.unique(values[np.linspace(0, n - 1, KNOTS).round().astype(np.intp)])
        below, upto = (np.searchsorted(values, knots, side) for side in ("left", "right"))
        mean, std = float(values.mean()), float(values.std())
        # Relative, so that small units are not flattened; 1e-150 keeps the division finite if all are equal.
        scale = std + 1e-12 * abs(mean) + 1e-150
        if (
            std < 1e-6 * abs(mean) and knots[-1] > knots[0]
        ):  # differences that have lost digits, from the first value on
            mean, scale = float(values[0] + (values - values[0]).mean()), float((values - values[0]).std()) + 1e-150
        return cls(knots=knots, gauss=ndtri((below + upto) / 2 / n), mean=mean, scale=scale)

    def encode(self, column: np.ndarray) -> np.ndarray:
        """Both views, float32 (N, 2); NaN if the value is missing."""
        x = column.clip(-LARGEST, LARGEST)
        views = np.empty((len(x), 2), np.float32)
        views[:, 0] = np.interp(x, self.knots, self.gauss).clip(self.gauss[0], self.gauss[-1])
        views[:, 1] = ((x - self.mean) / self.scale).clip(-CLIP, CLIP)
        views[np.isnan(x)] = np.nan  # with a single knot np.interp gives numbers for these, too
        return views
