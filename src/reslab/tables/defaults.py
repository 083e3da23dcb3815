"""Defaults that follow the number of rows: what a few hundred rows can teach is a small net, several times over.

Chosen on the tables of bench/small_tables.py; results: docs/tables.md. Up to FEW rows the small values hold, from MANY
on the large ones of the presets and of the recipe "tables", and in between they change smoothly with log(rows). Beyond
LONG rows an epoch has many updates, so fewer epochs do: from SHORT rows on, 6 instead of 20.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from reslab.train.order import shuffled

FEW, MANY = 1000, 8000
RULE = 3  # runs stored without a rule have 1: the presets' sizes and the recipe's values, whatever the rows; 2: the
# epochs and batches of MANY rows also for more
FOLDS = 5  # of a small table's rows; each member leaves another one out
LEAST = 10  # rows: fewer are not cut into folds
STREAM = 11  # of random numbers: apart from those of the split and the order
SMALL = {  # sizes for FEW rows
    "width": 32,  # with 160, tables of 200 rows are learned by heart in a few epochs
    "inner": 32,
    "depth": 1,
    "embedding": 8,
    "bins": 8,  # of 32, most would hold fewer than ten rows
}
DROPOUT = 0.3
STEPS = 400  # updates, about: a regression is fitted first, and the net learns the rest
LARGER, BATCH = 384, 32  # from so many rows on, the batch is at least this: half the updates, for half the time
EVALUATIONS, PATIENCE = 40, 16  # of the validation rows in a whole training, about; and until it stops early
EPOCHS, LONG, SHORT, FEWEST = 20, 20_000, 35_000, 6  # epochs up to LONG rows, and from SHORT rows on
LARGE_BATCH, LARGE_RATE = 512, 4e-3  # beyond LONG rows, where it gives enough updates per epoch
RATE, DECAY = 5e-3, 0.05  # learning rate and weight decay for FEW rows


def share(rows: int) -> float:
    """0 up to FEW rows, 1 from MANY on, and linear in log(rows) in between."""
    return min(1.0, max(0.0, math.log(max(rows, 1) / FEW) / math.log(MANY / FEW)))


def between(small: float, large: float, rows: int) -> float:
    """From `small` to `large` in equal ratios."""
    return float(small * (large / small) ** share(rows))


def sizes_for(preset: dict[str, Any], rows: int, rule: int = RULE) -> dict[str, Any]:
    """The sizes of a preset that differ for this many training and validation rows; none from MANY rows on."""
    if rule == 1 or share(rows) == 1 or preset["number_embedding"] == "linear":  # the published net stays as published
        return {}
    whole = {name: round(between(min(small, preset[name]), preset[name], rows)) for name, small in SMALL.items()}
    return {**whole, "dropout": round(between(DROPOUT, preset["dropout"], rows), 3), "linear": True}


def recipe_for(rows: int, *, batch: int, rule: int = RULE) -> dict[str, Any]:
    """What differs from the recipe "tables" for this many rows, of which `batch` would make an update."""
    if rule == 1:
        return {}
    if share(rows) == 1:
        return {} if rule == 2 else recipe_for_many(rows)
    batch = max(batch, BATCH) if rows >= LARGER else batch
    epochs = max(math.ceil(STEPS * batch / rows), round(20 * share(rows)))
    return {
        "batch": batch, "epochs": epochs, "evaluate_every": max(0.25, round(epochs / EVALUATIONS, 2)),
        "early_stop": PATIENCE, "select": "loss", "lr": round(between(RATE, 3e-3, rows), 5),
        "weight_decay": round(between(DECAY, 0.01, rows), 4),
    }  # fmt: skip


def recipe_for_many(rows: int) -> dict[str, Any]:
    """The same from MANY rows on: nothing up to LONG rows, then fewer epochs, evaluated half as often.

    Of these few evaluations, the one with the lowest loss is kept: the error of the held-out rows is noisier.
    """
    if rows <= LONG:
        return {}
    part = min(1.0, math.log(rows / LONG) / math.log(SHORT / LONG))
    epochs = round(EPOCHS * (FEWEST / EPOCHS) ** part)
    return {"epochs": epochs, "evaluate_every": 0.5, "early_stop": PATIENCE, "select": "loss"}


def most_for(most: int, rows: int, rule: int) -> int:
    """The largest batch that is chosen for this many rows where the recipe has `most`."""
    return most if rule < 3 or rows <= LONG else max(most, LARGE_BATCH)


def without_length(fitting: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`fitting` without the epochs, if the changes set another length."""
    return {key: value for key, value in fitting.items() if key != "epochs" or "iterations" not in changes}


def members_for(rows: int) -> int:
    """How many nets are averaged: FOLDS up to FEW rows, one from MANY rows on, and where there is nothing to spare."""
    return 1 if rows < LEAST else round(between(FOLDS, 1, rows))


def is_small(rows: int) -> bool:
    """Whether predictions are calibrated, and each member leaves out another part of the rows."""
    return share(rows) < 1


def folds(n: int, count: int, *, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """int (N,): the fold, 0 to count - 1, in which each row is set aside, or -1: never.

    Folds have the same number of rows of each group (N,), give or take one; a group's only row is never set aside.
    """
    groups = np.zeros(n, np.int64) if groups is None else groups
    order = shuffled(n, seed, STREAM).numpy()
    order = order[np.argsort(groups[order], kind="stable")]
    found = np.empty(n, np.int64)
    found[order] = np.arange(n) % count
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.where(counts[group] == 1, -1, found)
