"""A table that is split into parts, encoded for a net."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.progress import Progress, silent
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.table import Table
from reslab.tables.data.target import Target
from reslab.tables.vectors import Encoder

ClassWeight = str | Mapping[Any, float] | None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A table encoded as "train" and maybe "validation" and "test"; the encoder is fitted on "train" only."""

    encoder: Encoder
    target: Target
    tables: dict[str, Table]
    targets: dict[str, np.ndarray]  # encoded
    weights: np.ndarray | None = None  # (K,) class weights, whose mean over the training rows is 1
    row_weights: Mapping[str, np.ndarray] | None = None  # float64 (N,) of each part, on one scale


def make_parts(
    frames: Mapping[str, Frame], targets: Mapping[str, np.ndarray], *, target: Target,
    kinds: Mapping[str, str] | None = None, class_weight: ClassWeight = None, report: Report | None = None,
    text: str | Path | None = None, device: torch.device | None = None, progress: Progress = silent,
    reading: bool = True, row_weights: Mapping[str, np.ndarray] | None = None,
    missing: Sequence[str] | None = None, decimal: str | None = None,
) -> Parts:  # fmt: skip
    """Encode frames and targets of each part; the encoders are fitted on "train".

    text: folder of a text encoder, which runs on the device; not if `reading` is False. missing, decimal: see
    `TableEncoder.fit`.
    """
    found = Report()
    encoder = Encoder.fit(
        frames["train"], kinds, text=text, device=device, report=found, missing=missing, decimal=decimal
    )
    last = list(frames)[-1]  # problems of the test rows are reported once
    tables = {part: encoder.transform(f, report=found if part == last else None, progress=progress, reading=reading)
              for part, f in frames.items()}  # fmt: skip
    if report is not None:  # words for missing values were counted in the whole table
        report.problems += [one for one in found.problems if one.kind != "missing"]
    weights = None
    if class_weight is not None:
        weights = target.weights(class_weight, targets["train"])
        each = weights[targets["train"]]
        # The mean weight of a row is 1; rows of weight 2 count twice in it.
        weights = weights / np.average(each, weights=None if row_weights is None else row_weights["train"])
    return Parts(encoder=encoder, target=target, tables=tables, targets=dict(targets), weights=weights,
                 row_weights=row_weights)  # fmt: skip


def rows_of(parts: Parts) -> int:
    """Training and validation rows: what the defaults follow."""
    return sum(len(table) for part, table in parts.tables.items() if part != "test")


def fingerprint(parts: Parts) -> str:
    """Of all training data; of text vectors only their encoder, since their last bits depend on the machine."""
    digest = hashlib.sha256(json.dumps(parts.encoder.to_dict()[0], sort_keys=True, default=str).encode())
    digest.update(json.dumps(parts.target.to_dict(), sort_keys=True).encode())
    if parts.weights is not None:
        digest.update(parts.weights.tobytes())
    for part, values in sorted((parts.row_weights or {}).items()):
        digest.update(part.encode() + values.tobytes())
    for part in sorted(parts.tables):
        for array in (parts.targets[part], *tensors(parts.tables[part])):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def tensors(table: Table) -> list[np.ndarray]:
    """All arrays of a table except vectors, in a fixed order."""
    return [value.numpy() for name, value in sorted(vars(table).items())
            if isinstance(value, Tensor) and name != "vectors"]  # fmt: skip
