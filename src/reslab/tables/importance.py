"""Column importance: the net's masks, and how much worse predictions get if a column is shuffled."""

from typing import Any

import numpy as np
import torch

from reslab.progress import Steps
from reslab.statistics import std
from reslab.tables.data.frame import Frame
from reslab.tables.data.table import Table
from reslab.tables.metrics import MAIN, scores
from reslab.tables.model import TableModel
from reslab.tables.task import CPU_ROWS

ROWS = 2000  # at most, sampled at random
FEWEST = 100  # for tables so wide that more rows would take longer than training
WORK = 4e8  # rows * shuffles * columns read
REPEATS = 3  # shuffles of a column


def importance(
    model: TableModel, frame: Frame, y: np.ndarray, *, rows: int | None = None, repeats: int | None = None,
    seed: int = 0, progress: Steps | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Both importances of every column that the model uses, on up to `rows` rows of a part not used for training.

    Default rows: 2,000, fewer for hundreds of columns; from about 1,150 columns on, each is shuffled only once.
    "permutation": how much worse the main score gets if the column is shuffled among the rows: mean over `repeats`,
    and sample standard deviation (None for one repeat). "mask": the column's mean mask over rows and layers, in (0, 1);
    None for nets without masks. `y`: encoded for classes and labels, in original units for numbers, (N,) or (N, K).
    """
    draws = np.random.default_rng(seed)
    wide = len(model.columns) ** 2
    repeats = repeats or (REPEATS if FEWEST * REPEATS * wide <= WORK else 1)
    rows = rows or int(np.clip(WORK / (repeats * wide), FEWEST, ROWS))
    some = np.sort(draws.permutation(len(frame))[:rows])
    frame, y = frame.take(some), y[some]
    kind = model.target.kind
    name, sign = MAIN[kind], -1.0 if kind == "numbers" else 1.0
    tables = model.tables(frame)
    whole = scores(kind, y, model.of_tables(tables))[name] or 0.0
    masks, found = mask_means(model, tables), []
    for place, column in enumerate(model.columns):
        losses = []
        for _ in range(repeats):
            order = draws.permutation(len(frame))
            shuffled = model.of_tables([table.shuffled(column, order) for table in tables])
            losses.append(sign * (whole - (scores(kind, y, shuffled)[name] or 0.0)))
        found.append({
            "column": column, "permutation": float(np.mean(losses)), "permutation_std": std(losses),
            "mask": masks.get(column),
        })  # fmt: skip
        if progress:
            progress(place + 1, len(model.columns))
    return {"score": name, "whole": whole, "rows": len(frame), "repeats": repeats, "columns": found}


@torch.inference_mode()
def mask_means(model: TableModel, tables: list[Table]) -> dict[str, float]:
    """The mean mask of each column, over rows, layers and members, and over the parts that a column has."""
    sums: dict[str, list[float]] = {}
    for member, table in zip(model.members, tables, strict=True):
        if not (member.spec.attention and member.spec.depth > 1):
            return {}
        parts = [
            member.net.masks(**table.batch(np.arange(start, min(start + CPU_ROWS, len(table))), model.device))  # type: ignore[operator]
            for start in range(0, len(table), CPU_ROWS)
        ]
        means = torch.cat(parts).mean(dim=(0, 1)).tolist()
        for owner, value in zip(member.net.owners.tolist(), means, strict=True):  # type: ignore[operator]
            sums.setdefault(table.owners[owner], []).append(value)
    return {column: float(np.mean(values)) for column, values in sums.items()}
