"""Fit the linear part of a net for small tables: regularized logistic or ridge regression, solved exactly.

In one step of training nothing can be better known than this: with a few hundred rows, a net trained by gradients alone
is often worse than the regression. The net then learns what the regression leaves.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.tables.data.categories import Vocabulary
from reslab.tables.data.table import Table
from reslab.tables.net.linear import Linear, views
from reslab.tables.net.net import TableNet
from reslab.tables.parts import Parts
from reslab.train.fused import Light

VARIANCE = 0.3  # of the weights' normal prior, for features of variance 1; with 1, tables of 200 rows are overfitted
STEPS = 200  # of L-BFGS, at most; some 20 are needed


class LightLBFGS(Light, torch.optim.LBFGS):
    """torch's, without importing the compiler."""


def start(net: TableNet, parts: Parts) -> None:
    """Fit the net's linear part, if it has one, on the training rows, with the weights of classes and rows."""
    if net.linear is None:
        return
    table = parts.tables["train"]
    features, scales = features_of(table, parts)
    y = torch.from_numpy(parts.targets["train"])
    weights = torch.ones(len(table), dtype=torch.float64)
    if parts.weights is not None:
        weights *= torch.from_numpy(parts.weights)[y]
    if parts.row_weights is not None:
        rows = torch.from_numpy(parts.row_weights["train"])
        weights *= rows / rows.mean()
    solve = ridge if parts.target.kind == "numbers" else logistic
    found = solve(features, y, weights, outputs=parts.target.outputs)
    fill(net.linear, found, table, scales)


def features_of(table: Table, parts: Parts) -> tuple[Tensor, list[Tensor | None]]:
    """(features (N, D) in float64, per category its values' z-scores (size,), or None if they are not numbers).

    Numbers in VIEWS; categories one-hot and, if their values are numbers, as one more number.
    """
    found: list[Tensor] = []
    if table.numbers is not None:
        found.append(views(table.numbers.double()))
    scales: list[Tensor | None] = []
    if table.codes is not None:
        vocabularies = [one.code for one in parts.encoder.table.columns if isinstance(one.code, Vocabulary)]
        for k, vocabulary in enumerate(vocabularies):
            codes = table.codes[:, k].long()
            found.append(F.one_hot(codes, vocabulary.size).double())
            scales.append(scale_of(vocabulary, codes))
        found += [scale[table.codes[:, k].long()][:, None] for k, scale in enumerate(scales) if scale is not None]
    return torch.cat(found, dim=1), scales


def scale_of(vocabulary: Vocabulary, codes: Tensor) -> Tensor | None:
    """The z-score of each value among the training rows, 0 for unknown and missing; None for two values or words."""
    try:
        values = np.array([float(value) for value in vocabulary.values])
    except ValueError:
        return None
    if len(values) < 3 or not np.isfinite(values).all():
        return None
    first = vocabulary.size - len(values)
    counts = np.bincount(codes.numpy(), minlength=vocabulary.size)[first:]
    if not counts.sum():
        return None
    mean = np.average(values, weights=counts)
    std = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    if not 0 < std < np.inf:
        return None
    return torch.from_numpy(np.concatenate([np.zeros(first), (values - mean) / std]))


def ridge(features: Tensor, y: Tensor, weights: Tensor, *, outputs: int) -> Tensor:
    """argmin over W (D + 1, outputs) of sum w (y - x W)^2 + sum W^2 / VARIANCE; the last row, the bias, is free."""
    x = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    prior = torch.full((x.shape[1],), 1 / VARIANCE, dtype=torch.float64)
    prior[-1] = 1e-6
    gram = (x * weights[:, None]).T @ x + prior.diag()
    return torch.linalg.solve(gram, (x * weights[:, None]).T @ y.double().view(len(y), outputs))


def logistic(features: Tensor, y: Tensor, weights: Tensor, *, outputs: int) -> Tensor:
    """argmin over W (D + 1, outputs) of sum w loss(x W, y) + sum W^2 / (2 VARIANCE); the bias is free.

    y int64 (N,): classes, with the cross-entropy; float (N, outputs): labels, with the binary one.
    """
    x = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], dim=1)
    W = torch.zeros(x.shape[1], outputs, dtype=torch.float64, requires_grad=True)
    optimizer = LightLBFGS([W], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> Tensor:
        optimizer.zero_grad()
        out = x @ W
        if y.ndim == 1:
            each = F.cross_entropy(out, y, reduction="none")
        else:
            each = F.binary_cross_entropy_with_logits(out, y.double(), reduction="none").sum(dim=1)
        # The bias has a wide prior, without which a label that no row has would drive it to infinity.
        loss = (weights * each).sum() + (W[:-1] ** 2).sum() / (2 * VARIANCE) + (W[-1] ** 2).sum() * 1e-3
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return W.detach()


def fill(linear: Linear, found: Tensor, table: Table, scales: list[Tensor | None]) -> None:
    """Store the solution: the slope of a category with numeric values becomes part of its values' weights."""
    numbers, codes = len(linear.numbers), linear.codes.double().zero_().cpu()
    codes += found[numbers : numbers + len(codes)]
    place, slope = 0, numbers + len(codes)
    for size, scale in zip(table.sizes["categories"], scales, strict=True):
        if scale is not None:
            codes[place : place + size] += scale[:, None] * found[slope]
            slope += 1
        place += size
    with torch.no_grad():
        linear.numbers.copy_(found[:numbers])
        linear.codes.copy_(codes)
        linear.bias.copy_(found[-1])
