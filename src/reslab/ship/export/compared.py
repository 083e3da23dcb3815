"""Numbers of two sets of outputs: how many decisions agree, how far outputs differ, what the score loses."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from reslab.ship.export.passes import Outputs, length
from reslab.ship.export.results import Agreement, Score
from reslab.ship.exportable import Examples, Exportable
from reslab.statistics import Interval, clustered, mean_interval, paired, wilson

TIE = 1e-4  # outputs that differ by less, of their row's largest value (at least 1), are equal: fp32 sums differ by it
NUMBER = 1e-3  # a predicted number agrees within this share of itself, or of the spread of all


def agreement(subject: Exportable, before: Outputs, after: Outputs, batch: int) -> Agreement:
    """How far decisions and outputs agree on the first examples, as many as `after` has.

    The family decides over all examples, so those that were not run count as the original's, and are not counted.
    """
    ran, n = length(after[0]), length(before[0])
    whole = [{name: np.concatenate([one[name], other[name][ran:]]) for name in one}
             for one, other in zip(after, before, strict=True)]  # fmt: skip
    said, now = np.asarray(subject.decisions(before)), np.asarray(subject.decisions(whole))
    same = agreeing(said, now)
    equal = np.ones(len(same), bool) if len(same) != n else tied(before, whole)
    ties = int((~same & equal).sum()) if len(same) == n else 0
    counted = ran if len(same) == n else len(same)
    return Agreement(batch=batch, n=counted, same=int(same[:counted].sum()), ties=ties,
                     differences=differences(before, after))  # fmt: skip


def agreeing(said: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(N,) whether each decision is the same; numbers agree within a relative tolerance."""
    if said.shape != now.shape:
        return np.zeros(len(said), bool)
    if np.issubdtype(said.dtype, np.floating):
        scale = np.maximum(np.abs(said), np.nanstd(said, axis=0, keepdims=True))
        same = (np.abs(said - now) <= NUMBER * scale) | (np.isnan(said) & np.isnan(now))
    else:
        same = said == now
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def tied(before: Outputs, after: Outputs) -> np.ndarray:
    """(N,) whether all outputs of an example are equal within the tolerance."""
    found = np.ones(length(before[0]), bool)
    for one, other in zip(before, after, strict=True):
        for name in one:
            gap, size = apart(one[name], other[name]), np.abs(finite(one[name]))
            flat = (len(gap), -1)
            found &= gap.reshape(flat).max(axis=1) <= TIE * np.maximum(size.reshape(flat).max(axis=1), 1)
    return found


def differences(before: Outputs, after: Outputs) -> dict[str, float]:
    """The largest absolute difference of each output, over all graphs; infinite where one alone is finite."""
    found: dict[str, float] = {}
    for one, other in zip(before, after, strict=True):
        for name, value in other.items():
            gap = apart(one[name][: len(value)], value)
            found[name] = max(found.get(name, 0.0), float(gap.max()) if gap.size else 0.0)
    return found


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """|one - other|; 0 where both are the same infinity or both are NaN, infinite where one alone is finite."""
    if one.shape != other.shape:
        return np.full(one.shape, np.inf)
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)
    gap[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
    gap[np.isfinite(a) != np.isfinite(b)] = np.inf
    return np.nan_to_num(gap, nan=np.inf, posinf=np.inf)


def finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0).astype(np.float64)


def scored(subject: Exportable, examples: Sequence[Examples], before: Outputs, after: Outputs) -> Score | None:
    """The score of both over the same examples; None if nobody knows what is right."""
    was, now = (subject.right(outputs, examples) for outputs in (before, after))
    if was is None or now is None or not len(was):
        return None
    was, now = np.asarray(was, np.float64), np.asarray(now, np.float64)
    whole, whole_now, lost = interval(was), interval(now), dropped(was, now)
    return Score(
        unit=subject.unit, n=len(was),
        before=100 * float(was.mean()), before_low=100 * whole.low, before_high=100 * whole.high,
        after=100 * float(now.mean()), after_low=100 * whole_now.low, after_high=100 * whole_now.high,
        drop=100 * float((was - now).mean()), drop_low=100 * lost.low, drop_high=100 * lost.high,
    )  # fmt: skip


def interval(values: np.ndarray) -> Interval:
    """Of the mean: Wilson's for right and wrong, the clustered one for shares, Student's for other numbers."""
    if counted(values):
        return wilson(int(values.sum()), len(values))
    if values.min() >= 0 and values.max() <= 1:
        return clustered(values.tolist())
    return mean_interval(values.tolist()) or Interval(low=-np.inf, high=np.inf)


def dropped(was: np.ndarray, now: np.ndarray) -> Interval:
    """Of the mean difference over the same examples."""
    if counted(was) and counted(now):
        return paired(int((was > now).sum()), int((was < now).sum()), len(was))
    found: Any = mean_interval((was - now).tolist())
    return found or Interval(low=-1.0, high=1.0)


def counted(values: np.ndarray) -> bool:
    """Whether every answer is right or wrong, nothing between."""
    return bool(np.isin(values, (0.0, 1.0)).all())
