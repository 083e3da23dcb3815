"""H'(x) = F'(x) + I at every block of a trained net whose shortcut is the identity, in float64.

The two sides are computed in different ways: the Jacobian of the whole block by forward-mode differentiation, that of
its branch by the backward pass.
"""

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jacfwd, jacrev

from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """At one test image, in eval mode; H is the block up to its sum, before the ReLU that follows.

    difference   largest |H' - F' - I| of all blocks and elements
    differences  of each block
    least, greatest   singular values of H' of each block: how much it can shrink and stretch a small change
    Raises UsageError for a net without blocks that keep the shape.
    """
    subject = opened.opened({**settings, "samples": 1, "wide": True}, needs, device=device)
    net = copy.deepcopy(subject.model).eval().requires_grad_(False)
    inputs = inputs_of(net, subject.batches[0][0])
    found = []
    for done, (block, x) in enumerate(inputs, 1):
        found.append(of_block(block, x))
        progress(done, len(inputs), "blocks")
    if not found:
        raise UsageError(f"{settings.get('net', needs)} has no block that keeps the shape of its input")
    differences, least, greatest = (list(each) for each in zip(*found, strict=True))
    return {"difference": max(differences), "differences": differences, "least": least, "greatest": greatest}


def inputs_of(net: nn.Module, image: Tensor) -> list[tuple[Residual, Tensor]]:
    """The blocks that keep the shape, with or without a shortcut, and what arrives there."""
    found: list[tuple[Residual, Tensor]] = []

    def keep(block: nn.Module, args: Any, output: Tensor) -> None:
        assert isinstance(block, Residual)
        if output.shape == args[0].shape and not (block.shortcut and list(block.shortcut.parameters())):
            found.append((block, args[0].detach().clone()))

    handles = [m.register_forward_hook(keep) for m in net.modules() if isinstance(m, Residual)]
    with torch.no_grad():
        net(image)
    for handle in handles:
        handle.remove()
    return found


def of_block(block: Residual, x: Tensor) -> tuple[float, float, float]:
    """The largest difference, and the least and the greatest singular value of H'."""
    block.after = nn.Identity()  # of the copy: H without the ReLU behind the sum
    size = x.numel()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)  # torch's own use
        whole = jacfwd(block)(x).reshape(size, size)
    branch = jacrev(block.branch)(x).reshape(size, size)
    identity = torch.eye(size, dtype=x.dtype, device=x.device)
    values = torch.linalg.svdvals(whole)
    return float((whole - branch - identity).abs().max()), float(values[-1]), float(values[0])


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds on 8 x 8 pixels: the Jacobian's size grows with the square of the pixels."""
    return opened.passes({**settings, "samples": 1}, 2) + 3.0
