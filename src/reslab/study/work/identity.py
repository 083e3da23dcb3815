"""Fit the identity with a stack of nonlinear layers, plain or residual (He et al. 2015, sections 1 and 3.1).

The layers come in blocks of two, as the paper's: relu(W2 relu(W1 x)) without a shortcut, relu(x + W2 relu(W1 x)) with
one. Inputs are not negative, as they are behind the ReLU of the block before; on them both stacks hold the identity:
W = I in the plain one, W2 = 0 in the residual one. As in the paper a BatchNorm follows each layer, weights begin with
He's initialization, and SGD has momentum 0.9. (Its weight decay would favor W2 = 0: there is none.)

BatchNorm takes the statistics of the batch, also of the new samples. They differ from batch to batch, so a plain stack
with it is the identity only nearly; without it (`norm` = false), exactly.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.blocks import Residual
from reslab.errors import UsageError
from reslab.progress import Progress
from reslab.train.folder import pick_device

Kind = Literal["linear", "conv"]
WIDTH = {"linear": 32, "conv": 8}  # of each layer: numbers, channels
SIDE = 6  # pixels of the map of "conv"
BATCH = 64
STEPS = 200
TEST = 512  # samples that the loss is measured on, never trained on
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """Fit once with each rate, on the same samples from the same weights; the loss of the best.

    Settings: `kind` "linear" or "conv"; `residual`; `depth` in layers, an even number; `small`: 0 for y = x, else the
    root mean square of what is added to it; `norm`, false for no BatchNorm; `steps`, `rates`; `seed`.

    loss     mean squared error on new samples, over their mean square: 1 is that of a stack that gives zeros
    rate     the best rate; `edge` tells whether it is the least or the greatest of the grid
    losses   of each rate; None where the fit diverged
    """
    kind, depth, rates = settings["kind"], settings["depth"], settings.get("rates", RATES)
    if kind not in WIDTH or depth < 2 or depth % 2:
        raise UsageError(f"kind must be linear or conv and depth an even number from 2 on, got {kind!r} and {depth}")
    steps, place = settings.get("steps", STEPS), pick_device(device)
    losses: list[float | None] = []
    for done, rate in enumerate(rates, 1):
        losses.append(fit(settings, rate=rate, steps=steps, device=place))
        progress(done, len(rates), f"rate {rate:g}")
    known = [(loss, rate) for loss, rate in zip(losses, rates, strict=True) if loss is not None]
    loss, best = min(known, default=(1.0, rates[0]))  # all diverged: no better than zeros
    return {"loss": loss, "rate": best, "edge": best in (min(rates), max(rates)), "losses": losses,
            "rates": list(rates), "diverged": len(rates) - len(known)}  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds, on the machine of docs/claims.md."""
    step = settings["depth"] * (1.2e-4 if settings["kind"] == "linear" else 7e-4) + 2e-4
    return float(len(settings.get("rates", RATES)) * settings.get("steps", STEPS) * step)


def fit(settings: dict[str, Any], *, rate: float, steps: int, device: torch.device) -> float | None:
    """The relative loss of one fit on new samples; None if it diverged."""
    random = torch.Generator().manual_seed(settings["seed"])  # drawn on the CPU: the same samples everywhere
    net = stack(settings["kind"], settings["depth"], residual=settings["residual"], norm=settings.get("norm", True),
                random=random).to(device)  # fmt: skip
    wanted = target(settings["kind"], settings.get("small", 0.0), random=random, device=device)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    for _ in range(steps):
        x = samples(settings["kind"], BATCH, random=random).to(device)
        loss = relative(net(x), wanted(x))
        if not math.isfinite(loss.item()):
            return None
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        x = samples(settings["kind"], TEST, random=random).to(device)
        found = relative(net(x), wanted(x)).item()
    return found if math.isfinite(found) else None


def stack(kind: Kind, depth: int, *, residual: bool, norm: bool, random: torch.Generator) -> nn.Sequential:
    """depth / 2 blocks of two layers."""
    blocks = nn.Sequential()
    for _ in range(depth // 2):
        first, second = (layer(kind, norm=norm, random=random) for _ in range(2))
        branch = nn.Sequential(first, nn.ReLU(), second)
        blocks.append(Residual(branch, nn.Identity() if residual else None, nn.ReLU()))
    return blocks


def layer(kind: Kind, *, norm: bool, random: torch.Generator) -> nn.Module:
    """A layer, and its BatchNorm. He's initialization: standard deviation sqrt(2 / inputs of a unit)."""
    width = WIDTH[kind]
    made = nn.Linear(width, width) if kind == "linear" else nn.Conv2d(width, width, 3, padding=1)
    with torch.no_grad():
        made.weight.normal_(0, math.sqrt(2 / made.weight[0].numel()), generator=random)
        assert made.bias is not None
        made.bias.zero_()
    normalizer = nn.BatchNorm1d if kind == "linear" else nn.BatchNorm2d
    return nn.Sequential(made, normalizer(width)) if norm else made


def samples(kind: Kind, count: int, *, random: torch.Generator) -> Tensor:
    """Normal numbers through a ReLU: (count, width) or (count, width, side, side)."""
    shape = (count, WIDTH[kind]) if kind == "linear" else (count, WIDTH[kind], SIDE, SIDE)
    return torch.randn(shape, generator=random).relu_()


def target(kind: Kind, small: float, *, random: torch.Generator, device: torch.device) -> Callable[[Tensor], Tensor]:
    """y(x) = relu(x + small(x)): small is a fixed random layer and tanh, whose root mean square is set to `small`."""
    if not small:
        return lambda x: x
    fixed = layer(kind, norm=False, random=random).requires_grad_(False)
    bend = torch.tanh(fixed(samples(kind, TEST, random=random)))
    factor = small / bend.square().mean().sqrt().item()
    fixed = fixed.to(device)
    return lambda x: F.relu(x + factor * torch.tanh(fixed(x)))


def relative(y: Tensor, wanted: Tensor) -> Tensor:
    return (y - wanted).square().mean() / wanted.square().mean()
