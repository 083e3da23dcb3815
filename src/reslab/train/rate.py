"""The learning rate and the batch: what a recipe's rate is meant for, and the rate in proportion to another batch."""

import math
from collections.abc import Container
from typing import Any

from reslab.errors import tell

BATCHES = {"tables": (16, 256)}  # batches that a recipe's rate is meant for, where these are more than its own


def note_rate(recipe: str, *, lr: float, optimizer: str, batch: int, used: int) -> None:
    """Log that a recipe's rate is meant for its own batch, if the one used is half as large or less, or twice or more.

    SGD: proportional to the batch (Goyal et al. 2017, arXiv 1706.02677, section 2.1). AdamW: to its square root
    (Malladi et al. 2022, arXiv 2205.10287). Here the rate does not follow by itself; on images it does, by `follow`.
    """
    least, most = BATCHES.get(recipe, (batch, batch))
    near = min(max(used, least), most)
    if 0.5 < used / near < 2:
        return
    rate = lr * factor(used / near, optimizer)
    how = "in proportion" if optimizer == "sgd" else "in proportion to the square root of the batch"
    tell("the learning rate %g is meant for batches of %d and does not follow the batch of "
                                     "%d; %s it would be %.3g", lr, near, used, how, rate)  # fmt: skip


def factor(batches: float, optimizer: str) -> float:
    """What the rate is multiplied by for batches that are `batches` times as large."""
    return batches if optimizer == "sgd" else math.sqrt(batches)


def follow(recipe: Any, meant: Any, given: Container[str]) -> dict[str, float]:
    """The changes of a recipe's rates for its batch, from those that are `meant` for another batch and not `given`.

    {} if no rate changes. Each is rounded to four digits.
    """
    if "lr" in given or "optimizer" in given or recipe.batch == meant.batch:
        return {}
    many = factor(recipe.batch / meant.batch, recipe.optimizer)
    keys = [key for key in ("lr", "warmup_lr") if getattr(meant, key) and key not in given]
    return {key: float(f"{getattr(meant, key) * many:.4g}") for key in keys}
