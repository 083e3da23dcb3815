"""Predicting a column from the others, as a task for the training loop."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.tables.data.encoder import Table
from reslab.tables.metrics import Kind
from reslab.train.batch import Batch
from reslab.train.order import batch_indices
from reslab.train.recipe import Recipe
from reslab.train.tune import Choice

TILE = 32  # rows: the last batch is padded, since odd sizes are multiplied differently, which changes the last bits
CPU_ROWS, GPU_ROWS = 1024, 65536  # rows per batch in inference: on a CPU they fit in the cache


class TableTask:
    """Loss: cross-entropy for classes, binary cross-entropy for labels, squared error for numbers.

    `targets` per part: int64 (N,) for "classes", float32 (N, K) for "labels" and for "numbers" (standardized).
    `weights` (K,): class weights; the loss is the mean over rows of weight * loss.
    """

    unit = "rows"

    def __init__(
        self, parts: dict[str, Table], targets: dict[str, Tensor], recipe: Recipe, device: torch.device, *, kind: Kind,
        weights: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.parts, self.recipe, self.device, self.kind = parts, recipe, device, kind
        self.targets = {part: y.to(device) for part, y in targets.items()}
        self.weights = None if weights is None else weights.to(device)
        self.examples = len(parts["train"])

    def rows(self, iteration: int) -> list[int]:
        drawn = batch_indices(self.examples, batch=self.recipe.batch, iteration=iteration, seed=self.recipe.seed)
        return [int(row) for row in drawn]

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        table, y = self.parts["train"], self.targets["train"]
        for i in range(start, stop):
            rows = batch_indices(self.examples, batch=self.recipe.batch, iteration=i, seed=self.recipe.seed)
            x = table.batch(rows.numpy(), self.device)
            yield Batch(x=x, y=y[rows.to(self.device)], index=rows, iteration=i)

    def loss(self, out: Tensor, y: Tensor) -> Tensor:
        if self.kind == "classes":
            # Divided by the rows, not by their weights: a batch of low-weight rows must count less.
            smoothing = self.recipe.label_smoothing
            return F.cross_entropy(out, y, weight=self.weights, label_smoothing=smoothing, reduction="sum") / len(y)
        if self.kind == "labels":
            return F.binary_cross_entropy_with_logits(out, y)
        return F.mse_loss(out, y)

    def wrong(self, out: Tensor, y: Tensor) -> Tensor:
        """Number of rows with a wrong class or any wrong label; for numbers, the unexplained variance."""
        if self.kind == "classes":
            return (out.argmax(dim=1) != y).sum()
        if self.kind == "labels":
            return ((out > 0) != (y > 0.5)).any(dim=1).sum()
        return ((out - y) ** 2).mean(dim=1).sum()

    def evaluate(self, net: nn.Module, part: str, choice: Choice) -> dict[str, Any] | None:
        """Error (%, as counted by `wrong`) and loss, with class weights; not on the training part."""
        if part not in self.parts or part == "train":
            return None
        out, y = outputs(net, self.parts[part], device=self.device, choice=choice), self.targets[part]
        if self.weights is None:
            return {"error": 100 * self.wrong(out, y).item() / len(y), "loss": self.loss(out, y).item(), "n": len(y)}
        weights = self.weights[y].double()
        missed = (weights * (out.argmax(dim=1) != y)).sum() / weights.sum()
        loss = self.loss(out, y).double() * len(y) / weights.sum()
        return {"error": 100 * missed.item(), "loss": loss.item(), "n": len(y)}

    def average_norms(self, net: nn.Module) -> None:
        raise UsageError("precise_bn is for images only; leave it out")


@torch.inference_mode()
def outputs(net: nn.Module, table: Table, *, device: torch.device, choice: Choice) -> Tensor:
    """The net's outputs for every row, float32 (N, outputs), on the device. The net's mode is restored.

    On a CPU the outputs of a row are bit-identical whatever the other rows are.
    """
    size = CPU_ROWS if device.type == "cpu" else GPU_ROWS
    was = net.training
    net.eval()
    found = []
    with choice.autocast(device):
        for start in range(0, len(table), size):
            n = min(size, len(table) - start)
            rows = np.full(n + -n % TILE, start)
            rows[:n] = np.arange(start, start + n)
            found.append(net(**table.batch(rows, device))[:n].float())
    net.train(was)
    return torch.cat(found)
