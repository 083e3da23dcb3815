"""Predicting a column from the others, as a task for the training loop."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import Sentence, UsageError, arg
from reslab.tables.data.table import Table
from reslab.tables.metrics import Kind
from reslab.train.batch import Batch
from reslab.train.exchange import joined_rows
from reslab.train.order import batch_indices
from reslab.train.recipe import Recipe
from reslab.train.tune import Choice
from reslab.train.world import ALONE, World

TILE = 32  # rows: the last batch is padded, since odd sizes are multiplied differently, which changes the last bits
CPU_ROWS, GPU_ROWS = 1024, 65536  # rows per batch in inference: on a CPU they fit in the cache


class TableTask:
    """Loss: cross-entropy for classes, binary cross-entropy for labels, squared error for numbers.

    `targets` per part: int64 (N,) for "classes", float32 (N, K) for "labels" and for "numbers" (standardized).
    `weights` (K,): class weights; `row_weights` (N,) per part, of mean 1 in training. The loss is the mean over rows of
    weight * loss. With row weights, a batch's y has one more column, which holds them.
    """

    unit = "rows"
    shorter = Sentence("fewer ", arg("epochs"), " or a larger ", arg("batch"))

    def __init__(
        self, parts: dict[str, Table], targets: dict[str, Tensor], recipe: Recipe, device: torch.device, *, kind: Kind,
        weights: Tensor | None = None, row_weights: dict[str, Tensor] | None = None, world: World = ALONE,
    ) -> None:  # fmt: skip
        self.parts, self.recipe, self.device, self.kind = parts, recipe, device, kind
        self.targets = {part: y.to(device) for part, y in targets.items()}
        self.heavy = row_weights is not None
        if row_weights is not None:
            self.targets = {part: torch.cat([y.view(len(y), -1).float(), row_weights[part].to(device)[:, None]], dim=1)
                            for part, y in self.targets.items()}  # fmt: skip
        self.world, self.share = world, world.part(recipe.batch)  # of each batch, that this process takes
        self.weights = None if weights is None else weights.to(device)
        self.examples, self.validates = len(parts["train"]), bool(recipe.validation)

    def rows(self, iteration: int) -> list[int]:
        drawn = batch_indices(self.examples, batch=self.recipe.batch, iteration=iteration, seed=self.recipe.seed)
        return [int(row) for row in drawn]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        table, y = self.parts["train"], self.targets["train"]
        for i in range(start, stop):
            rows = batch_indices(self.examples, batch=self.recipe.batch, iteration=i, seed=self.recipe.seed)
            rows = rows[self.share.start : self.share.stop]
            x = table.batch(rows.numpy(), self.device)
            yield Batch(x=x, y=y[rows.to(self.device)], index=rows, iteration=i)

    def apart(self, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """(targets as without row weights, row weights) of a batch's y."""
        if not self.heavy:
            return y, None
        targets = y[:, :-1]
        return (targets[:, 0].long() if self.kind == "classes" else targets), y[:, -1]

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        y, heavy = self.apart(y)
        reduction = "mean" if heavy is None else "none"
        if self.kind == "classes":
            # Divided by the rows, not by their weights: a batch of low-weight rows must count less.
            found = F.cross_entropy(
                out, y, weight=self.weights, label_smoothing=self.recipe.label_smoothing,
                reduction="sum" if heavy is None else "none",
            )  # fmt: skip
            return found / len(y) if heavy is None else (heavy * found).mean()
        how = F.binary_cross_entropy_with_logits if self.kind == "labels" else F.mse_loss
        found = how(out, y, reduction=reduction)
        return found if heavy is None else (heavy[:, None] * found).mean()

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        """Number of rows with a wrong class or any wrong label, or their weights; for numbers, unexplained variance."""
        y, heavy = self.apart(y)
        if self.kind == "classes":
            each = out.argmax(dim=1) != y
        elif self.kind == "labels":
            each = ((out > 0) != (y > 0.5)).any(dim=1)
        else:
            each = ((out - y) ** 2).mean(dim=1)
        return each.sum() if heavy is None else (heavy * each).sum()

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Error (%, as counted by `wrong`) and loss, with the weights of classes and rows; not on the training part."""
        if part not in self.parts or part == "train":
            return None
        out = outputs(net, self.parts[part], device=self.device, choice=choice, world=self.world)
        y = self.targets[part]
        targets, heavy = self.apart(y)
        n, weights = len(y), None if heavy is None else heavy.cpu().double()
        if self.weights is not None:
            weights = self.weights[targets].cpu().double() * (1 if weights is None else weights)
        if weights is None:
            return {"error": 100 * self.wrong(out, y).item() / n, "loss": self.loss(out, y).item(), "n": n}
        if self.weights is None:
            missed = self.wrong(out, y).cpu().double()
        else:
            missed = (weights * (out.argmax(dim=1) != targets).cpu()).sum()
        loss = self.loss(out, y).cpu().double() * n  # MPS has no float64
        return {"error": 100 * (missed / weights.sum()).item(), "loss": (loss / weights.sum()).item(), "n": n}

    def average_norms(self, net: nn.Module) -> None:
        raise UsageError("precise_bn is for images only; leave it out")


@torch.inference_mode()
def outputs(
    net: nn.Module, table: Table, *, device: torch.device, choice: Choice, world: World = ALONE
) -> Tensor:  # fmt: skip
    """The net's outputs for every row, float32 (N, outputs), on the device. The net's mode is restored.

    On a CPU the outputs of a row are bit-identical whatever the other rows are. `world`: processes that all call this;
    each computes some of the rows.
    """
    size = CPU_ROWS if device.type == "cpu" else GPU_ROWS
    was = net.training
    net.eval()
    found = []
    with choice.autocast(device):
        for start in range(0, len(table), size)[slice_of(world, -(-len(table) // size))]:
            n = min(size, len(table) - start)
            rows = np.full(n + -n % TILE, start)
            rows[:n] = np.arange(start, start + n)
            found.append(net(**table.batch(rows, device))[:n].float())
    net.train(was)
    if world.alone:
        return torch.cat(found)
    return joined_rows(torch.cat(found) if found else torch.empty(0)).to(device)


def slice_of(world: World, n: int) -> slice:
    """This process's part of n pieces of work."""
    part = world.part(n)
    return slice(part.start, part.stop)
