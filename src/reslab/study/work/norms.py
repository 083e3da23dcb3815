"""The gradient's norms along a training, as its own log has them (NormLog): no net runs here."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError
from reslab.progress import Progress
from reslab.run import Run
from reslab.study.work import train


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`iterations`, and at each the `decades` by which the first layer's gradient exceeds that of the last before the
    head; `worst`: the largest of them after the first iteration, whatever its sign.

    The gradients are those by the weights, of the batch of that iteration. Raises ReslabError if the training has not
    logged any after its first iteration.
    """
    run = Run(needs[0] / train.RUN)
    lines = [line for line in run.metrics() if line.get("event") == "gradients"]
    if len(lines) < 2:
        raise ReslabError(f"{run.folder} has no gradients after the first iteration; train longer, or set the "
                          "recipe's key look to fewer iterations")  # fmt: skip
    layers = [i for i, name in enumerate(lines[0]["layers"]) if ".shortcut." not in name]
    first, last = layers[0], layers[-2]
    decades = [math.log10(line["gradients"][first] / line["gradients"][last]) for line in lines]
    return {
        "iterations": [line["iteration"] for line in lines],
        "decades": decades,
        "worst": max(map(abs, decades[1:])),
    }


def cost(settings: dict[str, Any]) -> float:
    return 0.01
