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


def labels_split(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(training rows, test rows), each sorted, of images with several labels: (N, K) of 0 and 1.

    A fifth of the images of each label is for testing, from the rarest label on: the images of a label that no earlier
    one has placed are sampled at random, as many as its fifth still lacks; images without a label fill up the test
    part (after Sechidis et al. 2011, section 4). A label with two images is in both parts wherever another label's
    last image need not move for it. Raises UsageError for fewer than two images.
    """
    n, K = labels.shape
    if n < 2:
        raise UsageError(f"there is {n} image: splitting off a test part needs two or more")
    has, counts = labels > 0, (labels > 0).sum(dim=0).tolist()
    where = torch.full((n,), -1)  # 0: training, 1: test, -1: not placed yet
    for k in sorted((k for k in range(K) if counts[k]), key=lambda k: (counts[k], k)):
        wanted = min(max(1, round(counts[k] / 5)), counts[k] - 1) - int((has[:, k] & (where == 1)).sum())
        rows = torch.nonzero(has[:, k] & (where < 0)).flatten()
        rows = rows[shuffled(len(rows), SPLIT_SEED, k)]
        where[rows] = 0
        where[rows[: max(0, wanted)]] = 1
    rest = torch.nonzero(where < 0).flatten()
    rest = rest[shuffled(len(rest), SPLIT_SEED, K)]
    where[rest] = 0
    where[rest[: max(0, math.ceil(FIFTH * n) - int((where == 1).sum()))]] = 1
    _repair(where, has, [k for k in range(K) if counts[k] > 1])
    if not (where == 1).any():
        where[-1] = 1
    return torch.nonzero(where == 0).flatten(), torch.nonzero(where == 1).flatten()


def _repair(where: Tensor, has: Tensor, labels: Sequence[int]) -> None:
    """Move an image into each part that lacks one of these labels, if no label of it loses its last image by that."""
    for k in labels:
        for part in (0, 1):
            if (has[:, k] & (where == part)).any():
                continue
            there = has & (where == 1 - part)[:, None]
            last = there.sum(dim=0) <= 1  # a label's last image in the other part
            free = torch.nonzero(there[:, k] & ~(has & last).any(dim=1)).flatten()
            if len(free):
                where[free[0]] = part


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
