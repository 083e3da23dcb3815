"""The rows of an estimator's fit: set aside for validation and encoded for a net."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reslab.errors import Sentence, arg
from reslab.progress import Progress
from reslab.run import Run
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.gaps import without_words, words_of
from reslab.tables.data.target import Target
from reslab.tables.defaults import FOLDS, LEAST, folds, is_small, members_for
from reslab.tables.fit_context import ABOUT, defaults_of, rule_of, usual_words
from reslab.tables.held_out import calibrated
from reslab.tables.model import TableModel
from reslab.tables.parts import Parts, make_parts
from reslab.tables.split import tell_copies, tell_joined, tell_missing_class
from reslab.tables.training import FEW, set_aside


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


def missing_of(estimator: Any) -> Sequence[str] | None:
    """The words for missing values that an estimator was given; none in a folder of older versions, by default."""
    run = None if estimator.folder is None else estimator.run_of(0)
    return () if estimator.missing is None and not usual_words(run) else estimator.missing


def count_members(estimator: Any, rows: int) -> int:
    """How many nets an estimator trains on so many rows; 1 in a folder of older versions, which had this default."""
    if estimator.members is not None:
        return int(estimator.members)
    if estimator.folder is not None and Run(estimator.folder).has(ABOUT):
        return 1
    return members_for(rows) if defaults_of(estimator) != 1 else 1


def cut_all(
    estimator: Any, data: Fitted, *, seed: int, device: torch.device, progress: Progress, report: Report
) -> list[Parts]:
    """The parts of each member. On a small table each sets aside another fold, unless `validation` says how many rows;
    otherwise all set aside the same rows.
    """
    n, many, frame = len(data.frame), estimator.members_, data.frame
    groups = data.target.encode(data.y) if data.target.kind == "classes" else None
    missing = missing_of(estimator)
    without_words(frame.columns, words_of(missing), report)
    tell_joined(data.y, "y", report, cure="make columns of 0 and 1 of them, as MultiLabelBinarizer does")
    tell_missing_class(data.y, "y", report)
    skipped = [name for name, kind in (estimator.kinds or {}).items() if kind == "skip" and name in frame.names]
    tell_copies(frame.without(*skipped), data.y, groups, report)
    how: dict[str, Any] = {"seed": seed, "device": device, "progress": progress}
    small = is_small(n) and n >= LEAST and defaults_of(estimator) != 1
    fold = folds(n, max(FOLDS, many), seed=seed, groups=groups) if small else np.full(n, -1)
    if many == 1 or estimator.validation is not None or not all((fold == k).any() for k in range(many)):
        return [cut(estimator, data, report=report, **how)] * many
    found = Report()
    kinds = TableEncoder.fit(frame, estimator.kinds, report=found, missing=missing, decimal=estimator.decimal).kinds
    report.problems += [one for one in found.problems if one.kind != "missing"]  # counted above
    return [cut(estimator, data, aside=fold == k, kinds=kinds, **how) for k in range(many)]


def cut(
    estimator: Any, data: Fitted, *, seed: int, device: torch.device, progress: Progress, report: Report | None = None,
    aside: np.ndarray | None = None, kinds: Mapping[str, str] | None = None,
) -> Parts:  # fmt: skip
    """Training and validation parts, encoded for the net.

    aside: bool (N,), the validation rows; by default a share of them. kinds: of columns; by default the estimator's.
    """
    frame, target = data.frame, data.target
    values, rows = target.encode(data.y), {"train": np.arange(len(frame))}
    groups = values if target.kind == "classes" else None
    share = 0.15 if estimator.validation is None else estimator.validation
    if aside is not None:
        rows = {"train": np.flatnonzero(~aside), "validation": np.flatnonzero(aside)}
    elif share and len(frame) >= FEW:
        cure = Sentence("give more rows, or set ", arg("validation", 0))
        rows["train"], rows["validation"] = set_aside(
            len(frame), share, seed=seed, groups=groups, cure=cure,
            rule=rule_of(None if estimator.folder is None else estimator.run_of(0)),
        )  # fmt: skip
    frames = {part: frame.take(some) for part, some in rows.items()}
    targets = {part: values[some] for part, some in rows.items()}
    heavy = None if data.heavy is None else {part: data.heavy[some] for part, some in rows.items()}
    weight = getattr(estimator, "class_weight", None)
    return make_parts(
        frames, targets, target=target, kinds=estimator.kinds if kinds is None else kinds, class_weight=weight,
        text=estimator.text, device=device, progress=progress, report=report, row_weights=heavy,
        missing=missing_of(estimator), decimal=estimator.decimal,
    )  # fmt: skip


def joined(models: Sequence[TableModel], parts: Sequence[Parts], rule: int) -> TableModel:
    """The models of single members as one, calibrated if the table is small."""
    first = models[0]
    members = [member for model in models for member in model.members]
    calibration = calibrated(models, parts) if rule != 1 else None
    return TableModel(members, first.target, device=first.device, choice=first.choice, calibration=calibration)
