"""Stratified splits: the fixed test part of image data that have none, and the parts of a table."""

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.train.order import shuffled

SPLIT_SEED = 0  # never an option: everyone's 80/20 split of the same images is the same
FIFTH = Fraction(1, 5)


def fixed_split(labels: Tensor, *, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """(training rows, test rows), each sorted: a fifth of every class is for testing, at least one row of each.

    The test part is a fifth of all rows, rounded up; larger if many classes have fewer than five images. Raises
    UsageError if a class has fewer than two images.
    """
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        if count < 2:
            raise UsageError(f"class {name!r} has {count} image(s): splitting off a test part needs two or more")
    quota = quotas(counts, FIFTH, total=math.ceil(FIFTH * len(labels)), least=1, ties=range(len(counts)))
    return stratified(labels, quota, seed=SPLIT_SEED)


def quotas(counts: Sequence[int], share: Fraction, *, total: int, ties: Sequence[int], least: int = 0) -> list[int]:
    """How many rows of each class to set aside: its share, rounded so that they add up to `total`.

    Each class gives its share rounded down; then the classes that lost most by rounding give one more each, until there
    are `total` rows; ties are broken by the order in `ties`. So with 100 classes of two rows and a share of 0.2, 40
    classes give one row. The last row of a class is never set aside, and no other class makes up for it. `least`: rows
    that every class with two or more rows gives at least.
    """
    quota = [min(max(least, math.floor(share * count)), max(0, count - 1)) for count in counts]
    lost = [share * count - given for count, given in zip(counts, quota, strict=True)]
    able = [k for k in ties if lost[k] > 0 and quota[k] + 1 < counts[k]]
    for k in sorted(able, key=lambda k: -lost[k])[: max(0, total - sum(quota))]:
        quota[k] += 1
    return quota


def stratified(
    labels: Tensor, quota: Sequence[int], *, seed: int, stream: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """(rows that stay, rows set aside), each sorted: quota[k] rows of class k, sampled at random by seed."""
    aside = torch.zeros(len(labels), dtype=torch.bool)
    for k, take in enumerate(quota):
        rows = torch.nonzero(labels == k).flatten()
        aside[rows[shuffled(len(rows), seed, k, *stream)[:take]]] = True
    return torch.nonzero(~aside).flatten(), torch.nonzero(aside).flatten()
