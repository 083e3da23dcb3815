"""What a reader must know before comparing a study's numbers with the paper's."""

from collections.abc import Sequence
from typing import Any

from reslab.images.data import ImageData
from reslab.statistics import mean
from reslab.train.recipe import Recipe

HARDLY = 0.8  # of the error of guessing: a net above it has hardly started to learn


def caveats(runs: list[dict[str, Any]], data: ImageData, recipe: Recipe, *, skipped: Sequence[str]) -> list[str]:
    """What a reader must know before comparing these numbers with the paper's."""
    seeds, iterations = len({run["seed"] for run in runs}), runs[0]["iterations"]
    lines = [
        f"{iterations:,} iterations of {recipe.batch} images on {data.name}; the paper: 64,000 of 128 on CIFAR-10.",
        "The training error is that of the last epoch, counted while training (batch statistics), as in the paper's "
        "figures; the table also gives it for the final weights in evaluation mode.",
    ]
    lines += hardly_started(runs, guessing=100 * (1 - 1 / len(data.classes)))
    if seeds == 1:
        lines.append("One seed per net: the spread over seeds, against which to compare a difference, is unknown.")
    if skipped:
        some = f"such as {skipped[0]}" if len(skipped) > 1 else skipped[0]
        lines.append(f"Broken training images skipped: {len(skipped)} ({some}).")
    if recipe.precision == "bf16":
        lines.append("For all nets, in training and for every error given here, convolutions ran in bf16 (weights, "
                     "norms' statistics and loss in fp32).")  # fmt: skip
    return lines


def hardly_started(runs: list[dict[str, Any]], *, guessing: float) -> list[str]:
    """A sentence for each net whose training error (%) is still near that of guessing: a longer run may differ."""
    errors: dict[str, list[float]] = {}
    for run in runs:
        errors.setdefault(run["net"], []).append(run["train_error"])
    return [f"{net} had hardly started to learn when training ended (mean training error {mean(values):.2f} %; "
            f"guessing: {guessing:.2f} %), so a longer training may give another picture."
            for net, values in errors.items() if mean(values) > HARDLY * guessing]  # fmt: skip
