"""How large each branch of a new net is against its skip, in training mode; nothing is trained.

BatchNorm gives every branch the same size, while the skip grows by a branch with every block: De and Smith 2020 (arXiv
2002.10444), section 2.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`blocks` counted from the input; of each the `ratio` of branch to skip, as standard deviations around each
    channel's mean. Settings as of opened.py, of a new net."""
    subject = opened.opened(settings, needs, device=device)
    ratios = [deviation(f) / deviation(skip) for skip, f in sides(subject.model, subject.batches[0][0])]
    return {"blocks": list(range(1, len(ratios) + 1)), "ratio": ratios}


def sides(net: nn.Module, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What skip and branch of each residual block add, in training mode. Raises UsageError for a net without any."""
    found: dict[nn.Module, list[Tensor]] = {}

    def keep(block: Residual) -> Any:
        return lambda module, inputs, output: found.setdefault(block, []).append(output.detach().clone())

    hooks = []
    for block in net.modules():
        if isinstance(block, Residual) and block.shortcut is not None:
            sides = (block.shortcut, block.scale or block.branch)
            hooks += [one.register_forward_hook(keep(block)) for one in sides]
    try:
        with torch.no_grad():
            net.train()(x)
    finally:
        for hook in hooks:
            hook.remove()
        net.eval()
    if not found:
        raise UsageError("the net has no residual blocks, so no branch can be compared with its skip")
    return [(skip, branch) for skip, branch in found.values()]


def deviation(x: Tensor) -> float:
    """The standard deviation of (N, C, H, W) around each channel's mean, over all channels."""
    return math.sqrt(float(x.cpu().double().var((0, 2, 3), correction=0).mean()))


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 2)
