"""The product of the mixing matrices of a net's blocks: how much it can amplify what the streams carry.

With streams H' = R H + ..., what is left of the first streams after l blocks is R_l ... R_1 H. Its gain is the largest
sum of absolute values in a row, forward, or in a column, backward (mHC, arXiv 2512.24880, section 3.1).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.blocks import Mixing
from reslab.errors import UsageError
from reslab.nets import spec
from reslab.progress import Progress
from reslab.study.work import opened

PER_MATRIX = 2e-3  # CPU seconds of a free matrix, and of a doubly stochastic one, on the machine of docs/claims.md
PER_ROUNDS = 0.05


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`blocks`, 0 to their number, and after each the gains `forward` and `backward` of the product.

    amplified, back   log10 of the largest gain, forward and backward
    beyond            the largest gain, forward, minus 1

    Of a trained net (needs[0]), or with `net` and `options` of a new one, to whose mixing's free numbers the setting
    `spread` times standard normal numbers are added: `draws` times (default 1). Then the gains by block are geometric
    means over the draws, `amplified` is the mean over them, and `back` and `beyond` are the largest of all. In float64,
    without the part that depends on the image.
    """
    model = opened.opened({**settings, "samples": 1}, needs, device="cpu").model
    mixings = [module for module in model.modules() if isinstance(module, Mixing)]
    if not mixings:
        raise UsageError("the net has no streams, so there is no product of mixing matrices")
    draw = torch.Generator().manual_seed(settings["seed"])
    found = [gains(mixings, spread=settings.get("spread", 0.0), draw=draw) for _ in range(settings.get("draws", 1))]
    logs = torch.tensor(found, dtype=torch.float64).log10()  # (draws, 2, blocks)
    largest = logs.amax(2)
    forward, backward = (10 ** logs.mean(0)).tolist()
    return {"blocks": list(range(len(forward))), "forward": forward, "backward": backward,
            "amplified": float(largest[:, 0].mean()), "back": float(largest[:, 1].max()),
            "beyond": max(max(one) for one, _ in found) - 1}  # fmt: skip


def gains(mixings: Sequence[Mixing], *, spread: float, draw: torch.Generator) -> tuple[list[float], list[float]]:
    """The gains of the product of the first matrices, forward and backward, from none to all."""
    product = torch.eye(mixings[0].n, dtype=torch.float64)
    forward, backward = [1.0], [1.0]
    for mixing in mixings:
        product = matrix(mixing, spread=spread, draw=draw) @ product
        forward.append(float(product.abs().sum(1).max()))
        backward.append(float(product.abs().sum(0).max()))
    return forward, backward


def matrix(mixing: nn.Module, *, spread: float, draw: torch.Generator) -> Tensor:
    """R of one block, with random numbers added to its free ones."""
    assert isinstance(mixing, Mixing)
    n, kind = mixing.n, mixing.kind.removesuffix("-dynamic")
    static = Mixing(n, 1, kind=kind, turn=0).double()
    with torch.no_grad():
        static.start.copy_(mixing.start)
        static.change.copy_(mixing.change)
        static.change.add_(spread * torch.randn(n * (n + 2), generator=draw, dtype=torch.float64))
        return static(torch.zeros(1, n, 1, 1, 1))[2]


def cost(settings: dict[str, Any]) -> float:
    depth = spec(settings["net"], **settings.get("options", {})).depth
    stochastic = "stochastic" in settings.get("options", {}).get("streams", "")
    return opened.START + (PER_ROUNDS if stochastic else PER_MATRIX) * depth / 2 * settings.get("draws", 1)
