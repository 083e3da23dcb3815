"""The held-out rows of a model's members, on which its predictions are calibrated."""

from collections.abc import Sequence

import numpy as np

from reslab.tables.calibrate import Calibration, fit, mean_of, shares_of
from reslab.tables.defaults import is_small
from reslab.tables.model import TableModel
from reslab.tables.parts import Parts, rows_of


def calibrated(models: Sequence[TableModel], parts: Sequence[Parts]) -> Calibration | None:
    """The calibration of single members as one model; None for a large table, or without validation rows.

    Each member predicts its own validation rows; if all have the same ones, the mean of their predictions counts. Rows
    and classes count by their weights.
    """
    first = parts[0]
    if "validation" not in first.tables or not is_small(rows_of(first)):
        return None
    target = first.target
    each = [model.of_table(model.members[0], part.tables["validation"])
            for model, part in zip(models, parts, strict=True)]  # fmt: skip
    if all(part is first for part in parts):
        each, parts = [mean_of(each, target.kind)], [first]
    scores = np.concatenate(each)
    if target.kind == "numbers":
        assert target.mean is not None
        assert target.std is not None
        scores = (scores - target.mean) / np.where(target.std == 0, 1, target.std)  # 0: a constant target
    y = np.concatenate([part.targets["validation"] for part in parts])
    heavy = np.concatenate([weights_of(part, "validation") for part in parts])
    whole = [np.concatenate([weights_of(first, part) for part in ("train", "validation")]),
             np.concatenate([first.targets[part] for part in ("train", "validation")])]  # fmt: skip
    return fit(scores, y, heavy / heavy.mean(), target=target, shares=shares_of(whole[1], target, whole[0]))


def weights_of(parts: Parts, part: str) -> np.ndarray:
    """The weight of each row of a part, float64 (N,): its own times its class's."""
    found = np.ones(len(parts.targets[part]))
    if parts.row_weights is not None:
        found = found * parts.row_weights[part]
    if parts.weights is not None:
        found = found * parts.weights[parts.targets[part]]
    return found
