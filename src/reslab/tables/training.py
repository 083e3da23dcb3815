"""From a table cut into parts to a trained net, through the one training loop."""

import hashlib
import json
from collections.abc import Mapping
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
from reslab.train.recipe import IMAGES, Recipe
from reslab.train.split import quotas, stratified
from reslab.train.training import Training

SPLIT = 7  # a stream of its own beside the order's
STEPS = 48  # of an epoch, at least about so many
FEW = 40  # rows: with fewer no part of them is set aside, and training goes to its end
IMAGES_ONLY = [key for key in IMAGES if key not in ("validation", "label_smoothing")]  # of a recipe's keys
ClassWeight = str | Mapping[Any, float] | None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A table cut into "train" and maybe "validation" and "test", as a net reads it; fitted on "train" alone."""

    encoder: Encoder
    target: Target
    tables: dict[str, Table]
    targets: dict[str, np.ndarray]  # encoded
    weights: np.ndarray | None = None  # (K,) of each class; of the training rows their mean is 1


def make_parts(
    frames: Mapping[str, Frame], targets: Mapping[str, np.ndarray], *, target: Target,
    kinds: Mapping[str, str] | None = None, class_weight: ClassWeight = None, report: Report | None = None,
    text: str | Path | None = None, device: torch.device | None = None, progress: Progress = silent,
    reading: bool = True,
) -> Parts:  # fmt: skip
    """Frames and encoded targets of each part; columns are encoded by what "train" says.

    text: the folder of an encoder of texts, which works on the device; `reading` False leaves that work out.
    """
    encoder = Encoder.fit(frames["train"], kinds, text=text, device=device, report=report)
    last = list(frames)[-1]  # what is odd about the test rows is said, once
    tables = {part: encoder.transform(f, report=report if part == last else None, progress=progress, reading=reading)
              for part, f in frames.items()}  # fmt: skip
    weights = None
    if class_weight is not None:
        weights = target.weights(class_weight, targets["train"])
        weights = weights / weights[targets["train"]].mean()  # a row weighs 1 on average
    return Parts(encoder=encoder, target=target, tables=tables, targets=dict(targets), weights=weights)


def set_aside(
    n: int, share: float, *, seed: int, groups: np.ndarray | None = None, cure: str = "give more rows"
) -> tuple[np.ndarray, np.ndarray]:
    """(rows that stay, rows set aside) of 0..n-1, each sorted; of `groups` (N,) the same share of each.

    `share`: below 1 a share, else a number of rows. Some of the groups too small for a whole row give one, sampled at
    random, so that the share holds for all rows; a group of one row stays (see `quotas`). Raises UsageError where there
    are too few rows, with the `cure`.
    """
    part = Fraction(share).limit_denominator(10**6) if share < 1 else Fraction(round(share), n)
    if not 0 < part < 1:
        raise UsageError(f"the part set aside must be a share below 1, or fewer than the {n} rows, got {share:g}")
    _, labels, counts = np.unique(np.zeros(n) if groups is None else groups, return_inverse=True, return_counts=True)
    several = counts[counts > 1]  # the sizes of the groups that can be split
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
    if device.type != "cpu":  # a device that is not used keeps its random state
        torch.manual_seed(recipe.seed)
    net = build_table(spec)
    task = make_task(parts, recipe, device)
    return fit(task, net, recipe=recipe, run=run, progress=progress)


def make_task(parts: Parts, recipe: Recipe, device: torch.device) -> TableTask:
    weights = None if parts.weights is None else tensor(parts.weights)
    targets = {part: tensor(y) for part, y in parts.targets.items()}
    return TableTask(parts.tables, targets, recipe, device, kind=parts.target.kind, weights=weights)


def tensor(array: np.ndarray) -> Tensor:
    """int64 stays; other numbers become float32."""
    return torch.from_numpy(array if array.dtype == np.int64 else array.astype(np.float32))


def spec_of(parts: Parts, preset: str, sizes: Mapping[str, Any]) -> TableSpec:
    """A preset's spec for the parts, some sizes changed. Raises UsageError for one that the table itself says."""
    train = parts.tables["train"]
    found = {"outputs": parts.target.outputs, "rows": len(train), **train.sizes}
    if said := sorted(set(found) & set(sizes)):
        raise UsageError(f"{said[0]} of a net is what its table has: leave it out of the sizes")
    known = [field.name for field in fields(TableSpec) if field.name not in (*found, "name", "net")]
    if unknown := [key for key in sizes if key not in known]:
        hint = nearest(unknown[0], known) or f"; there are {', '.join(known)}"
        raise UsageError(f"the sizes name {unknown[0]!r}, which a net for tables has not{hint}")
    return table_spec(preset, **found, **sizes)


def model_of(parts: Parts, spec: TableSpec, training: Training) -> TableModel:
    """What was trained, ready to predict."""
    member = Member(spec=spec, encoder=parts.encoder, net=training.kept.requires_grad_(False))
    return TableModel([member], parts.target, device=training.task.device, choice=training.choice)


def batch_for(rows: int, most: int) -> int:
    """A power of two from 16 up to `most` that makes about STEPS of an epoch: a small table needs updates too."""
    size = 16
    while 2 * size <= most and 2 * size * STEPS <= rows:
        size *= 2
    return min(size, most)


def fingerprint(parts: Parts) -> str:
    """Of all that a net is trained on; of texts' vectors their encoder, as their last bits are the machine's."""
    digest = hashlib.sha256(json.dumps(parts.encoder.to_dict()[0], sort_keys=True, default=str).encode())
    digest.update(json.dumps(parts.target.to_dict(), sort_keys=True).encode())
    if parts.weights is not None:
        digest.update(parts.weights.tobytes())
    for part in sorted(parts.tables):
        for array in (parts.targets[part], *tensors(parts.tables[part])):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def tensors(table: Table) -> list[np.ndarray]:
    """All arrays of a table but vectors, in a fixed order."""
    return [value.numpy() for name, value in sorted(vars(table).items())
            if isinstance(value, Tensor) and name != "vectors"]  # fmt: skip
