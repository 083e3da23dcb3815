"""The effective receptive field: from which pixels the gradient at the center of a trained net's last stage comes.

Luo et al. 2016 (arXiv 1701.04128) call it effective, because most of the theoretical field has next to no influence.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.nets import ResNet, count, suited
from reslab.progress import Progress
from reslab.study.work import opened, train

SHARE = 0.9  # of the squared gradient
CANVASES = 3


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """The side, in pixels, of the centered square that holds `share` of the squared gradient.

    The field of these nets is larger than small images, and a convolutional net takes images of any size: the canvases
    are mosaics of test images, larger than the theoretical field. The gradient is that of one position's output in a
    random direction of its channels, one for each of `canvases`.

    side         effective, around the center of mass; between two whole numbers of pixels by linear interpolation
    theoretical  of the last stage, from nets.count
    filled       side / theoretical
    profile      share of the squared gradient in the centered square, by `radius` in pixels
    """
    subject = opened.opened({"samples": 64, **settings}, needs, device=device)
    net = subject.model.eval()
    if not isinstance(net, ResNet):
        raise UsageError(f"the receptive field is measured of ResNets and plain nets, not of a {type(net).__name__}")
    theoretical = count(net.spec).receptive_field
    assert theoretical is not None
    side = 8 * math.ceil((theoretical + 16) / 8)
    random = torch.Generator().manual_seed(settings["seed"])
    many = settings.get("canvases", CANVASES)
    squares = torch.zeros(side, side, dtype=torch.float64)
    for done in range(many):
        squares += squared(net, mosaic(subject.batches[0][0], side, random=random), random=random)
        progress(done + 1, many, "canvases")
    held = within(squares)
    return {"side": width_of(held, settings.get("share", SHARE)), "theoretical": theoretical,
            "filled": width_of(held, settings.get("share", SHARE)) / theoretical,
            "radius": list(range(len(held))), "profile": held}  # fmt: skip


def mosaic(images: Tensor, side: int, *, random: torch.Generator) -> Tensor:
    """(1, C, side, side), of images (N, C, H, W) drawn at random, side by side."""
    rows, columns = (math.ceil(side / size) for size in images.shape[2:])
    drawn = images[torch.randint(len(images), (rows * columns,), generator=random)]
    grid = drawn.reshape(rows, columns, *images.shape[1:]).permute(2, 0, 3, 1, 4)  # (C, rows, H, columns, W)
    return grid.reshape(1, images.shape[1], rows * images.shape[2], columns * images.shape[3])[..., :side, :side]


def squared(net: ResNet, image: Tensor, *, random: torch.Generator) -> Tensor:
    """(side, side) on the CPU in float64: the gradient's square, summed over the image's channels."""
    image = image.detach().clone().requires_grad_()
    out = net.last(net.stages(net.stem(image)))
    center = out[0, :, out.shape[2] // 2, out.shape[3] // 2]
    direction = torch.randn(center.shape, generator=random).to(center)
    (gradient,) = torch.autograd.grad((center * direction).sum(), image)
    return gradient[0].cpu().double().square().sum(0)


def within(squares: Tensor) -> list[float]:
    """The share of the sum in the square of radius r around the center of mass, for r = 0, 1, ..."""
    total = squares.sum()
    if not total > 0:
        raise UsageError("no gradient reaches the image: the net's output does not depend on it")
    along = torch.arange(len(squares), dtype=torch.float64)
    row, column = (float((squares.sum(axis) * along).sum() / total) for axis in (1, 0))
    far = torch.maximum((along - round(row)).abs()[:, None], (along - round(column)).abs()[None, :]).long()
    by_radius = torch.zeros(int(far.max()) + 1, dtype=torch.float64)
    by_radius.index_add_(0, far.flatten(), squares.flatten())
    return (by_radius.cumsum(0) / total).tolist()


def width_of(held: Sequence[float], share: float) -> float:
    """The side 2 r + 1 at which the share is reached, by linear interpolation over r."""
    after = next(r for r, each in enumerate(held) if each >= share or r == len(held) - 1)
    before = held[after - 1] if after else 0.0
    return 2 * (after - 1 + (share - before) / max(held[after] - before, 1e-12)) + 1


def cost(settings: dict[str, Any]) -> float:
    """CPU seconds, on the machine of docs/claims.md."""
    data = train.loaded(settings["data"])
    side = 8 * (count(train.net_of(settings)).receptive_field or 0) // 8 + 16
    macs = count(suited(train.net_of(settings), classes=len(data.classes), shape=(data.shape[0], side, side))).macs
    return opened.START + settings.get("canvases", CANVASES) * 3 * macs / opened.PER_SECOND
