"""Which images of a measured part the page shows: the worst, the least certain, and those behind each confusion."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

WORST = UNCERTAIN = DOUBTS = 21  # three rows of the page
CELLS, EACH = 120, 12  # images behind the cells of the confusion matrix, in all and of one cell
RIGHT = 3  # of one cell of right predictions


@dataclass(frozen=True, kw_only=True)
class Cell:
    """The images of class `true` that were predicted as `predicted`: how many, and which of them are shown."""

    true: int
    predicted: int
    n: int
    rows: tuple[int, ...]


def worst(confidence: Tensor, wrong: Tensor) -> list[int]:
    """The mistakes of which the net was surest: confidence (N,) of its prediction, wrong (N,)."""
    rows = torch.nonzero(wrong)[:, 0]
    order = confidence[rows].argsort(descending=True, stable=True)
    return rows[order[:WORST]].tolist()


def uncertain(confidence: Tensor) -> list[int]:
    """The images with the lowest probability of their prediction, right or wrong."""
    return confidence.argsort(stable=True)[:UNCERTAIN].tolist()


def cells(labels: Tensor, predicted: Tensor, confidence: Tensor, *, classes: int) -> list[Cell]:
    """Every cell of the confusion matrix that holds images, mistakes first, the most frequent first.

    Each mistake's cell shows one image before the most frequent ones show a second, and so on, up to CELLS in all; of a
    cell, the surest mistakes first. Then right predictions, the least sure first.
    """
    codes = labels * classes + predicted
    order = confidence.argsort(descending=True, stable=True)
    order = order[codes[order].argsort(stable=True)]  # by cell, and within a cell the surest first
    found, counts = torch.unique_consecutive(codes[order], return_counts=True)
    groups = dict(zip(found.tolist(), order.split(counts.tolist()), strict=True))
    numbers = sorted(groups, key=lambda code: (code // classes == code % classes, -len(groups[code]), code))
    queues = {code: groups[code][:EACH].tolist() if code // classes != code % classes
              else groups[code].flip(0)[:RIGHT].tolist() for code in numbers}  # fmt: skip
    kept: dict[int, list[int]] = {code: [] for code in numbers}
    room = CELLS
    for right, turn in itertools.product((False, True), range(EACH)):
        for code in numbers:
            if room and (code // classes == code % classes) == right and turn < len(queues[code]):
                kept[code].append(queues[code][turn])
                room -= 1
    return [Cell(true=code // classes, predicted=code % classes, n=len(groups[code]), rows=tuple(kept[code]))
            for code in numbers]  # fmt: skip
