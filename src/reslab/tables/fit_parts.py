"""The rows of an estimator's fit: set aside for validation and encoded for a net."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reslab.errors import Sentence, arg
from reslab.progress import Progress
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.gaps import without_words, words_of
from reslab.tables.data.target import Target
from reslab.tables.fit_context import rule_of, usual_words
from reslab.tables.split import tell_copies, tell_joined
from reslab.tables.training import FEW, Parts, make_parts, set_aside


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """What an estimator is fitted on: X, y, and the weights of the rows (N,), if they differ."""

    frame: Frame
    y: np.ndarray
    target: Target
    heavy: np.ndarray | None = None


def format_of(estimator: Any) -> Format:
    """What an estimator's parameters say about its table."""
    skip = [name for name, kind in (estimator.kinds or {}).items() if kind == "skip"]
    return Format(decimal=estimator.decimal, missing=words_of(estimator.missing), skip=skip)


def cut(
    estimator: Any, data: Fitted, *, seed: int, device: torch.device, progress: Progress, report: Report | None = None
) -> Parts:
    """Training and validation parts, encoded for the net."""
    frame, target = data.frame, data.target
    values, rows = target.encode(data.y), {"train": np.arange(len(frame))}
    groups = values if target.kind == "classes" else None
    run = None if estimator.folder is None else estimator.run_of(0)
    missing = () if estimator.missing is None and not usual_words(run) else estimator.missing
    if report is not None:
        without_words(frame.columns, words_of(missing), report)
        tell_joined(data.y, "y", report, cure="make columns of 0 and 1 of them, as MultiLabelBinarizer does")
        skipped = [name for name, kind in (estimator.kinds or {}).items() if kind == "skip" and name in frame.names]
        tell_copies(frame.without(*skipped), data.y, groups, report)
    if estimator.validation and len(frame) >= FEW:
        cure = Sentence("give more rows, or set ", arg("validation", 0))
        rows["train"], rows["validation"] = set_aside(
            len(frame), estimator.validation, seed=seed, groups=groups, cure=cure,
            rule=rule_of(run),
        )  # fmt: skip
    frames = {part: frame.take(some) for part, some in rows.items()}
    targets = {part: values[some] for part, some in rows.items()}
    heavy = None if data.heavy is None else {part: data.heavy[some] for part, some in rows.items()}
    weight = getattr(estimator, "class_weight", None)
    return make_parts(
        frames, targets, target=target, kinds=estimator.kinds, class_weight=weight, text=estimator.text, device=device,
        progress=progress, report=report, row_weights=heavy, missing=missing, decimal=estimator.decimal,
    )  # fmt: skip
