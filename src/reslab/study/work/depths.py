"""New nets of several depths, from one seed: the gradient that reaches their first block, and how far a step moves
what their last block gives; nothing is trained.

The second is the coordinate check of 2309.16620 and 2310.02244.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.nets import ResNet
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`blocks`, the number of residual blocks L of each net, and for each, of a batch in training mode:

    gradient  norm of the loss's gradient by the output of the stem, over the square root of its numbers
    moved     root mean square of the change of the pooled output of the last block, by one step of gradient descent

    Settings: `nets`, names from the shallowest; `rate` of the step; options, data, seed and samples as in opened.py.
    In float64, whose range holds what grows as a power of L.
    """
    blocks, gradients, moves = [], [], []
    for i, name in enumerate(settings["nets"]):
        subject = opened.opened({**settings, "net": name, "wide": True}, needs, device=device)
        net, (x, labels) = subject.model, subject.batches[0]
        assert isinstance(net, ResNet)
        gradient, moved = step(net, x, labels, rate=settings.get("rate", 0.01))
        blocks.append(sum(net.spec.stages))
        gradients.append(gradient)
        moves.append(moved)
        progress(i + 1, len(settings["nets"]), "")
    return {"blocks": blocks, "gradient": gradients, "moved": moves}


def step(net: ResNet, x: Tensor, labels: Tensor, *, rate: float) -> tuple[float, float]:
    """(the gradient at the first block, the move of the last hidden state), both as root mean squares."""
    net.train()
    weights = [p for p in net.parameters() if p.requires_grad]
    stem = net.stem(x)
    before = net.pool(net.last(net.stages(stem)))
    loss = F.cross_entropy(net.head(before.flatten(1)), labels)
    at_stem, *slopes = torch.autograd.grad(loss, [stem, *weights], materialize_grads=True)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            weight.sub_(rate * slope)
        after = net.pool(net.last(net.stages(net.stem(x))))
    return size(at_stem), size(after - before)


def size(x: Tensor) -> float:
    found = math.sqrt(float(x.detach().square().mean()))
    return found if math.isfinite(found) else 1e300  # beyond float64: larger than every other


def cost(settings: dict[str, Any]) -> float:
    return sum(opened.passes({**settings, "net": name}, 4) for name in settings["nets"])
