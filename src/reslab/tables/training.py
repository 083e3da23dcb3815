"""Train a net on a table that is split into parts, through the one training loop."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.errors import UsageError, nearest
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.tables.data.encoder import Table
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.target import Target
from reslab.tables.model import Member, TableModel
from reslab.tables.net.net import build_table
from reslab.tables.net.spec import TableSpec, table_spec
from reslab.tables.task import TableTask
from reslab.tables.vectors import Encoder
from reslab.train.loop import fit
from reslab.train.order import shuffled
from reslab.train.recipe import Recipe
from reslab.train.split import quotas, stratified
from reslab.train.training import Training

RULE = 2  # by which rows are set aside: see `set_aside`
SPLIT = 7  # a random stream separate from the order's
STEPS = 48  # updates per epoch, at least about
FEW = 40  # rows: with fewer, none are set aside for validation, and training runs to its end
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


def set_aside(
    n: int, share: float, *, seed: int, groups: np.ndarray | None = None, cure: str = "give more rows",
    rule: int = RULE,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """(rows that stay, rows set aside) of 0..n-1, each sorted, with the same share of each of the `groups` (N,).

    `share`: below 1 a share, otherwise a number of rows. Of the groups too small to give a whole row, some give one,
    chosen at random, so that the share holds over all rows; a group of one row stays (see `quotas`). `rule` 1, of older
    runs: the share of each group is rounded by itself. Raises UsageError with the `cure` if there are too few rows.
    """
    share = float(share)  # Fraction does not take a NumPy float32
    part = Fraction(share).limit_denominator(10**6) if share < 1 else Fraction(round(share), n)
    if not 0 < part < 1:
        raise UsageError(f"the part set aside must be a share below 1, or fewer than the {n} rows, got {share:g}")
    _, labels, counts = np.unique(np.zeros(n) if groups is None else groups, return_inverse=True, return_counts=True)
    several = counts[counts > 1]  # sizes of the groups that can be split
    if rule == 1:
        each = share if share < 1 else share / n  # rounded as floats are
        quota = [min(count - 1, round(each * count)) for count in counts.tolist()]
    else:
        quota = quotas(counts.tolist(), part, total=round(part * int(several.sum())),
                       ties=shuffled(len(counts), seed, SPLIT).tolist())  # fmt: skip
    if not any(quota):
        of = "" if groups is None else f" of {len(counts)} classes"
        many = f"{n} rows{of} are" if n > 1 else "1 row is"
        raise UsageError(f"{many} too few to set {100 * float(part):.3g} % aside{of and ' of each'}: ", cure)
    kept, held = stratified(torch.from_numpy(labels), quota, seed=seed, stream=(SPLIT,))
    return kept.numpy(), held.numpy()


def train_net(
    parts: Parts, spec: TableSpec, *, recipe: Recipe, run: Run, device: torch.device, progress: Progress = silent
) -> Training:
    """Train the spec's net in a run folder, resuming from its last checkpoint. The seed is the recipe's."""
    torch.random.default_generator.manual_seed(recipe.seed)
    if device.type != "cpu":  # the random state of unused devices is not changed
        torch.manual_seed(recipe.seed)
    net = build_table(spec)
    task = make_task(parts, recipe, device)
    return fit(task, net, recipe=recipe, run=run, progress=progress)


def make_task(parts: Parts, recipe: Recipe, device: torch.device) -> TableTask:
    weights = None if parts.weights is None else tensor(parts.weights)
    targets = {part: tensor(y) for part, y in parts.targets.items()}
    rows = None
    if parts.row_weights is not None:
        mean = parts.row_weights["train"].mean()
        rows = {part: tensor(values / mean) for part, values in parts.row_weights.items()}
    return TableTask(parts.tables, targets, recipe, device, kind=parts.target.kind, weights=weights, row_weights=rows)


def tensor(array: np.ndarray) -> Tensor:
    """int64 stays; other numbers become float32."""
    return torch.from_numpy(array if array.dtype == np.int64 else array.astype(np.float32))


def spec_of(parts: Parts, preset: str, sizes: Mapping[str, Any]) -> TableSpec:
    """A preset's spec for the parts with some sizes changed. Raises UsageError for a size that the table sets."""
    train = parts.tables["train"]
    found = {"outputs": parts.target.outputs, "rows": len(train), **train.sizes}
    if fixed := sorted(set(found) & set(sizes)):
        raise UsageError(f"{fixed[0]} is determined by the table: remove it from the sizes")
    known = [field.name for field in fields(TableSpec) if field.name not in (*found, "name", "net")]
    if unknown := [key for key in sizes if key not in known]:
        hint = nearest(unknown[0], known) or f"; available: {', '.join(known)}"
        raise UsageError(f"no size named {unknown[0]!r}{hint}")
    return table_spec(preset, **found, **sizes)


def model_of(parts: Parts, spec: TableSpec, training: Training) -> TableModel:
    """The trained net as a model that predicts."""
    member = Member(spec=spec, encoder=parts.encoder, net=training.kept.requires_grad_(False))
    return TableModel([member], parts.target, device=training.task.device, choice=training.choice)


def batch_for(rows: int, most: int) -> int:
    """The largest power of two, from 16 to `most`, that still gives about STEPS updates per epoch."""
    size = 16
    while 2 * size <= most and 2 * size * STEPS <= rows:
        size *= 2
    return min(size, most)


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
