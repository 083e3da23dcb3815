"""Whether a net gives the same gradients with fused norms: tried on a few samples before they are used."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.train.fusing.pending import Waiting, stands_alone
from reslab.train.generators import kept, seed_all

SAMPLES = 8
OFF = 0.02  # of a parameter's gradient, its norm; a path that is lost costs far more, rounding far less
SMALL = 1e-5  # of the norm of all gradients: what is smaller is rounding


def why_not(net: nn.Module, x: Tensor, y: Tensor, loss: Callable[[Any, Tensor], Tensor]) -> str:
    """Why the net's norms are not fused, or "". The net is left as it was, in float32 and channels last."""
    x, y = x[:SAMPLES].contiguous(memory_format=torch.channels_last), y[:SAMPLES]
    plain = gradients(made(net), x, y, loss)
    mode, own = Waiting(), made(net)
    if not stands_alone(own):
        return "hooks look into the net"
    try:
        with mode:
            fused = gradients(own, x, y, loss)
    except (ReslabError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    if not mode.fused:
        return "no BatchNorm of the net can be fused"
    whole = torch.stack([one.norm() for one in plain.values()]).norm()
    for name, one in plain.items():
        if name not in fused or not (fused[name] - one).norm() <= OFF * one.norm() + SMALL * whole:
            return f"the gradient of {name} differs"
    return ""


def made(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]


def gradients(net: nn.Module, x: Tensor, y: Tensor, loss: Callable[[Any, Tensor], Tensor]) -> dict[str, Tensor]:
    """Of each parameter that has one, with the same random numbers in each call."""
    with kept(y.device):
        seed_all(0)
        loss(net(x), y).backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
