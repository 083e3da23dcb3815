"""Changes of color for a batch, each image by its own amount: x float32 (B, C, H, W) in 0..1, amounts (B,).

An operation may overwrite x, and returns the result.
Every operation gives each image the same bits whatever else is in the batch: sums over pixels are sums of integers.
Gray images have no saturation and no hue: both leave them as they are.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

Operation = Callable[[Tensor, np.ndarray], Tensor]


def luma(x: Tensor) -> Tensor:
    """0.299 red + 0.587 green + 0.114 blue (ITU-R 601, as in Pillow's convert("L")): (B, 1, H, W)."""
    if x.shape[1] == 1:
        return x
    return (0.299 * x[:, :1]).add_(0.587 * x[:, 1:2]).add_(0.114 * x[:, 2:3])


def blend(x: Tensor, other: Tensor, factors: np.ndarray) -> Tensor:
    """other + factor * (x - other), limited to 0..1: 0 gives the other image, 1 gives x."""
    factor = column(factors, x)
    return x.mul_(factor).add_(other * (1 - factor)).clamp_(0, 1)


def brightness(x: Tensor, factors: np.ndarray) -> Tensor:
    """Blended with black: Pillow's ImageEnhance.Brightness."""
    return x.mul_(column(factors, x)).clamp_(0, 1)


def contrast(x: Tensor, factors: np.ndarray) -> Tensor:
    """Blended with the mean of the image's luma: ImageEnhance.Contrast."""
    total = levels(luma(x)).sum(dim=(1, 2, 3), dtype=torch.int64).view(-1, 1, 1, 1)
    return blend(x, total / (255 * x.shape[2] * x.shape[3]), factors)


def saturation(x: Tensor, factors: np.ndarray) -> Tensor:
    """Blended with the image's luma: ImageEnhance.Color."""
    return x if x.shape[1] == 1 else blend(x, luma(x), factors)


def hue(x: Tensor, shifts: np.ndarray) -> Tensor:
    """The hue of HSV shifted by a share of the color circle, -0.5 to 0.5; saturation and value stay."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, dim=1)
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    chroma = high - low
    is_red, is_green = high == red, high == green
    h = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    h.div_(chroma.clamp(min=1e-12)).add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0)))
    h.add_(column(shifts, x) * 6)
    h.sub_((h / 6).floor_().mul_(6))  # the place on the HSV hexagon, in 0..6: red at 0, green at 2, blue at 4
    weights = ((h - 3).abs_().sub_(1), (h - 2).abs_().neg_().add_(2), (h - 4).abs_().neg_().add_(2))
    for k, weight in enumerate(weights):
        x[:, k : k + 1] = weight.clamp_(0, 1).mul_(chroma).add_(low)
    return x.clamp_(0, 1)


def levels(x: Tensor) -> Tensor:
    """x in 0..1 as levels 0..255, int32."""
    return (x * 255).round_().to(torch.int32)


def column(values: np.ndarray, x: Tensor) -> Tensor:
    """One number per image as float32 (B, 1, 1, 1) on the device of x."""
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(x.device).view(-1, 1, 1, 1)


def each(x: Tensor, operations: Sequence[Operation | None], *, which: np.ndarray, amounts: np.ndarray) -> Tensor:
    """Image i of x changed by operations[which[i]] with amounts[i]; x is overwritten. None leaves an image as it is.

    The images of one operation are changed at once, so the work is per operation and not per image.
    """
    for k, operation in enumerate(operations):
        rows = np.flatnonzero(which == k)
        if operation is None or not len(rows):
            continue
        if len(rows) == len(x):
            x = operation(x, amounts)
            continue
        chosen = torch.from_numpy(rows).to(x.device)
        x.index_copy_(0, chosen, operation(x.index_select(0, chosen), amounts[rows]))
    return x


JITTER: tuple[Operation, ...] = (brightness, contrast, saturation, hue)


def jitter(x: Tensor, units: np.ndarray, *, strengths: Sequence[float]) -> Tensor:
    """Brightness, contrast, saturation and hue of each image changed at random, in a random order; x is overwritten.

    torchvision's ColorJitter: the first three by factors uniform in [max(0, 1 - strength), 1 + strength], the hue by
    a shift uniform in [-strength, strength]. units (B, 8): uniform in (0, 1), four for the order, four for the amounts.
    """
    order = units[:, :4].argsort(axis=1, kind="stable")
    low = np.array([max(0.0, 1 - s) for s in strengths[:3]] + [-strengths[3]])
    high = np.array([1 + s for s in strengths[:3]] + [strengths[3]])
    amounts = low + (high - low) * units[:, 4:]
    used = [operation if strength else None for operation, strength in zip(JITTER, strengths, strict=True)]
    for which in order.T:
        x = each(x, used, which=which, amounts=np.take_along_axis(amounts, which[:, None], axis=1)[:, 0])
    return x
