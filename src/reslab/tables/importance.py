"""Which columns mattered: the net's own masks, and what predictions lose when a column's values are shuffled."""

from typing import Any

import numpy as np
import torch

from reslab.progress import Steps
from reslab.statistics import std
from reslab.tables.data.encoder import Table
from reslab.tables.data.frame import Frame
from reslab.tables.metrics import MAIN, scores
from reslab.tables.model import TableModel
from reslab.tables.task import CPU_ROWS

ROWS = 2000  # at most, drawn by chance
FEWEST = 100  # of a table so wide that more would take longer than training
WORK = 4e8  # rows * shuffles * columns read
REPEATS = 3  # shuffles of a column


def importance(
    model: TableModel, frame: Frame, y: np.ndarray, *, rows: int | None = None, repeats: int | None = None,
    seed: int = 0, progress: Steps | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Both, of every column that the model reads, on (up to) `rows` rows of a part it was not trained on:
    2,000 unless said, fewer of tables of hundreds of columns, which are shuffled once from about 1,150 on.

    "permutation": by how much the main score is worse when the column's values are shuffled among the rows: mean over
    `repeats`, and sample standard deviation (None of one). "mask": the mean of the column's masks over rows and layers,
    in (0, 1); None for nets without. `y`: encoded for classes and labels, in its own unit for numbers, (N,) or (N, K).
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
    """The mean mask of each column, over rows, layers and members; of a column read in several ways their mean."""
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
