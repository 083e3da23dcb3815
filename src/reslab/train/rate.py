"""The learning rate and the batch: what a recipe's rate is meant for, and the rate in proportion to another batch."""

import math

from reslab.errors import tell

BATCHES = {"tables": (16, 256)}  # batches that a recipe's rate is meant for, where these are more than its own


def note_rate(recipe: str, *, lr: float, optimizer: str, batch: int, used: int) -> None:
    """Log that a recipe's rate is meant for its own batch, if the one used is half as large or less, or twice or more.

    SGD: proportional to the batch (Goyal et al. 2017, arXiv 1706.02677, section 2.1). AdamW: to its square root
    (Malladi et al. 2022, arXiv 2205.10287). The rate does not follow by itself: a run uses the numbers of its recipe.
    """
    least, most = BATCHES.get(recipe, (batch, batch))
    near = min(max(used, least), most)
    if 0.5 < used / near < 2:
        return
    if optimizer == "sgd":
        how, rate = "in proportion", lr * used / near
    else:
        how, rate = "in proportion to the square root of the batch", lr * math.sqrt(used / near)
    tell("the learning rate %g is meant for batches of %d and does not follow the batch of "
                                     "%d; %s it would be %.3g", lr, near, used, how, rate)  # fmt: skip
