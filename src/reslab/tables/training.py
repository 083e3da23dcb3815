"""Train a net on a table that is split into parts, through the one training loop."""

from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.errors import UsageError, nearest
from reslab.progress import Progress, silent
from reslab.run import Run
from reslab.tables.defaults import LARGE_BATCH, LARGE_RATE, most_for, recipe_for, sizes_for, without_length
from reslab.tables.defaults import RULE as DEFAULTS
from reslab.tables.linear import start
from reslab.tables.model import Member, TableModel
from reslab.tables.net.net import TableNet, build_table
from reslab.tables.net.spec import PRESETS, TableSpec, table_spec
from reslab.tables.parts import Parts, rows_of
from reslab.tables.task import TableTask
from reslab.train.loop import fit
from reslab.train.order import shuffled
from reslab.train.recipe import Recipe, change
from reslab.train.split import quotas, stratified
from reslab.train.training import Training
from reslab.train.world import ALONE, World

RULE = 2  # by which rows are set aside: see `set_aside`
SPLIT = 7  # a random stream separate from the order's
STEPS = 48  # updates per epoch, at least about
FEW = 40  # rows: with fewer, none are set aside for validation, and training runs to its end


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
    net = build_net(parts, spec)
    task = make_task(parts, recipe, device)
    return fit(task, net, recipe=recipe, run=run, progress=progress)


def build_net(parts: Parts, spec: TableSpec) -> TableNet:
    """The spec's net, initialized from torch's current random state, with its linear part fitted on the parts."""
    net = build_table(spec)
    start(net, parts)
    return net


def make_task(parts: Parts, recipe: Recipe, device: torch.device, world: World = ALONE) -> TableTask:
    weights = None if parts.weights is None else tensor(parts.weights)
    targets = {part: tensor(y) for part, y in parts.targets.items()}
    rows = None
    if parts.row_weights is not None:
        mean = parts.row_weights["train"].mean()
        rows = {part: tensor(values / mean) for part, values in parts.row_weights.items()}
    return TableTask(parts.tables, targets, recipe, device, kind=parts.target.kind, weights=weights, row_weights=rows,
                     world=world)  # fmt: skip


def tensor(array: np.ndarray) -> Tensor:
    """int64 stays; other numbers become float32."""
    return torch.from_numpy(array if array.dtype == np.int64 else array.astype(np.float32))


def spec_of(parts: Parts, preset: str, sizes: Mapping[str, Any], *, rule: int = DEFAULTS) -> TableSpec:
    """A preset's spec for the parts, with the sizes that suit the number of rows (`rule`: see defaults.py) and `sizes`.

    Raises UsageError for a size that the table sets.
    """
    train = parts.tables["train"]
    found = {"outputs": parts.target.outputs, "rows": len(train), **train.sizes}
    if fixed := sorted(set(found) & set(sizes)):
        raise UsageError(f"{fixed[0]} is determined by the table: remove it from the sizes")
    known = [field.name for field in fields(TableSpec) if field.name not in (*found, "name", "net")]
    if unknown := [key for key in sizes if key not in known]:
        hint = nearest(unknown[0], known) or f"; available: {', '.join(known)}"
        raise UsageError(f"no size named {unknown[0]!r}{hint}")
    fitting = sizes_for(PRESETS[preset], rows_of(parts), rule) if preset in PRESETS else {}
    return table_spec(preset, **found, **{**fitting, **sizes})


def model_of(parts: Parts, spec: TableSpec, training: Training, world: World = ALONE) -> TableModel:
    """The trained net as a model that predicts."""
    member = Member(spec=spec, encoder=parts.encoder, net=training.kept.requires_grad_(False))
    return TableModel([member], parts.target, device=training.task.device, choice=training.choice, world=world)


def batch_for(rows: int, most: int) -> int:
    """The largest power of two, from 16 to `most`, that still gives about STEPS updates per epoch."""
    size = 16
    while 2 * size <= most and 2 * size * STEPS <= rows:
        size *= 2
    return min(size, most)


def fit_recipe(recipe: Recipe, changes: Mapping[str, Any], *, train: int, rows: int, rule: int = DEFAULTS) -> Recipe:
    """The recipe "tables" with what suits `rows` training and validation rows, `train` of them for training.

    What `changes` set stays; without a validation part there is no early stopping.
    """
    changes = changes if recipe.validation or train < rows else {"early_stop": 0, **changes}
    batch = changes.get("batch") or batch_for(train, most_for(recipe.batch, rows, rule))
    fitting = without_length(recipe_for(rows, batch=batch, rule=rule), changes)
    if batch == LARGE_BATCH > recipe.batch and "batch" not in changes:
        fitting["lr"] = LARGE_RATE
    return change(recipe, **{"batch": batch, **fitting, **changes})
