"""How the weights of a net start."""

import math
from typing import Literal

import torch
from torch import nn

from reslab.blocks.gate import Gated
from reslab.blocks.residual import Residual
from reslab.blocks.scale import Fixup
from reslab.blocks.streams import Streams
from reslab.errors import UsageError

INITS = ("he", "he-in", "xavier", "orthogonal", "torch")  # and normal:STD


def initialize(net: nn.Module, how: str) -> None:
    """Initialize the weights of every convolution and linear layer; biases are zero, BatchNorm is one and zero.

    `how`: "he" (fan-out for convolutions, as the authors' released code; fan-in for linear layers), "he-in",
    "xavier", "orthogonal", "normal:STD" or "torch" (PyTorch's defaults, for biases too).
    Raises UsageError for any other value.
    """
    check_init(how)
    if how == "torch":
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight
            if how.startswith("normal:"):
                nn.init.normal_(weight, std=float(how.removeprefix("normal:")))
            elif how == "xavier":
                nn.init.xavier_normal_(weight)
            elif how == "orthogonal":
                nn.init.orthogonal_(weight, gain=math.sqrt(2))
            else:
                mode: Literal["fan_in", "fan_out"] = (
                    "fan_out" if how == "he" and isinstance(module, nn.Conv2d) else "fan_in"
                )
                nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_init(how: object) -> None:
    """Raise UsageError for a value that `initialize` does not accept."""
    kind, _, number = str(how).partition(":")
    try:
        known = 0 < float(number) < math.inf if kind == "normal" else how in INITS
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"init must be {', '.join(INITS)} or normal:STD, got {how!r}")


def start_options(net: nn.Module) -> None:
    """Start what `initialize` does not know: the biases of gates, and the weights of branches that Fixup scales.

    Fixup (arXiv 1901.09321, section 3): of a branch of m layers, in a net of L branches, the last layer is zero and the
    weights of the others are multiplied by L^(-1/(2m-2)). The net's last layer, also zero there, is the caller's.
    """
    scaled = [m for m in net.modules() if isinstance(m, Residual | Streams) and isinstance(m.scale, Fixup)]
    for module in net.modules():
        if isinstance(module, Gated):
            module.reset()
    for block in scaled:
        *first, last = [m for m in block.branch.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        with torch.no_grad():
            for layer in first:
                layer.weight.mul_(len(scaled) ** (-1 / (2 * len(first))))  # 2m - 2 = 2 (m - 1)
        nn.init.zeros_(last.weight)


def zero_last_norms(net: nn.Module) -> None:
    """Set the weight of each branch's last BatchNorm to zero, so that every residual block starts as its shortcut."""
    for module in net.modules():
        if isinstance(module, Residual | Streams) and isinstance(module.branch, nn.Sequential):
            norms = [m for m in module.branch if isinstance(m, nn.BatchNorm2d)]
            if norms and isinstance(list(module.branch)[-1], nn.BatchNorm2d):
                nn.init.zeros_(norms[-1].weight)
