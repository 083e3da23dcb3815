"""TrivialAugment and RandAugment for a batch, each image by its own operations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.images.data.augment import crop
from reslab.images.data.color import blend, brightness, column, contrast, each, levels, saturation
from reslab.images.data.warp import affine

STRENGTHS = 31  # of TrivialAugment: 0 to 30, as RandAugment's magnitudes
TRANSLATED = 150 / 331  # RandAugment's largest shift, as a share of the image
Name = Literal["trivial", "rand"]


@dataclass(frozen=True)
class Change:
    """One operation of a policy: its amount at strength s in 0..1 is for `rand` and for `trivial` what these give."""

    operation: Callable[[Tensor, np.ndarray], Tensor] | None
    rand: Callable[[np.ndarray], np.ndarray] = np.zeros_like
    trivial: Callable[[np.ndarray], np.ndarray] = np.zeros_like
    signed: bool = False  # the amount is negative for half of the images


def sharpness(x: Tensor, factors: np.ndarray) -> Tensor:
    """Blended with a smoothed image, weights (1 1 1, 1 5 1, 1 1 1) / 13: ImageEnhance.Sharpness; edges stay."""
    if min(x.shape[2:]) < 3:
        return x
    rows = (x[:, :, :-2] + x[:, :, 1:-1]).add_(x[:, :, 2:])
    middle = x[:, :, 1:-1, 1:-1]
    smooth = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:]).add_(4 * middle).div_(13)
    x[:, :, 1:-1, 1:-1] = blend(middle.clone(), smooth, factors)
    return x


def posterize(x: Tensor, bits: np.ndarray) -> Tensor:
    """Only the first `bits` bits of each of the 256 levels: ImageOps.posterize."""
    masks = 256 - 2 ** (8 - bits.astype(np.int32))
    return (levels(x) & column(masks, x).to(torch.int32)).float() / 255


def solarize(x: Tensor, thresholds: np.ndarray) -> Tensor:
    """Levels from `threshold` (0..255) on inverted: ImageOps.solarize."""
    return torch.where(x >= (column(np.ceil(thresholds), x) - 0.5) / 255, 1 - x, x)


def autocontrast(x: Tensor, _: np.ndarray) -> Tensor:
    """Each channel stretched to 0..1; a constant one stays: ImageOps.autocontrast."""
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (x - low) / torch.where(high > low, high - low, 1.0), x)


def equalize(x: Tensor, _: np.ndarray) -> Tensor:
    """Each channel's 256 levels made equally frequent: ImageOps.equalize."""
    B, C, H, W = x.shape
    planes = levels(x).view(B * C, H * W)
    offset = 256 * torch.arange(B * C, device=x.device, dtype=torch.int32)[:, None]
    places = (planes + offset).flatten()
    counts = torch.bincount(places, minlength=256 * B * C).view(B * C, 256)
    last = counts.gather(1, planes.amax(dim=1, keepdim=True).long())  # how often the highest level comes
    step = (H * W - last).div(255, rounding_mode="floor")
    before = counts.cumsum(dim=1) - counts
    table = ((before + step.div(2, rounding_mode="floor")).div(step.clamp(min=1), rounding_mode="floor")).clamp(max=255)
    new = (table.float() / 255).flatten().index_select(0, places).view(B, C, H, W)
    return torch.where((step > 0).view(B, C, 1, 1), new, x)


def rotate(x: Tensor, degrees: np.ndarray) -> Tensor:
    """Counterclockwise around the center: Image.rotate, bilinear, black outside."""
    H, W = x.shape[2:]
    sin, cos = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    X, Y = W / 2, H / 2
    return affine(x, np.stack([cos, -sin, X - cos * X + sin * Y, sin, cos, Y - sin * X - cos * Y], axis=1))


def shear_x(x: Tensor, amounts: np.ndarray) -> Tensor:
    """Read at (X + amount * Y, Y): sheared along the upper edge."""
    return affine(x, _maps(b=amounts))


def shear_y(x: Tensor, amounts: np.ndarray) -> Tensor:
    """Read at (X, Y + amount * X): sheared along the left edge."""
    return affine(x, _maps(d=amounts))


def translate_x(x: Tensor, pixels: np.ndarray) -> Tensor:
    """Shifted to the right by whole pixels; black comes in."""
    H, W = x.shape[2:]
    shift = np.clip(np.trunc(pixels), -W, W).astype(np.int64)
    most = int(abs(shift).max())
    left = torch.from_numpy(most - shift).to(x.device)
    return crop(F.pad(x, (most, most)), torch.zeros_like(left), left, height=H, width=W)


def translate_y(x: Tensor, pixels: np.ndarray) -> Tensor:
    """Shifted down by whole pixels; black comes in."""
    H, W = x.shape[2:]
    shift = np.clip(np.trunc(pixels), -H, H).astype(np.int64)
    most = int(abs(shift).max())
    top = torch.from_numpy(most - shift).to(x.device)
    return crop(F.pad(x, (0, 0, most, most)), top, torch.zeros_like(top), height=H, width=W)


def _maps(*, b: np.ndarray | float = 0.0, d: np.ndarray | float = 0.0) -> np.ndarray:
    """The maps (B, 6) of `affine` that read at (X + b Y, d X + Y)."""
    return np.stack(np.broadcast_arrays(1.0, b, 0.0, d, 1.0, 0.0), axis=1)


def changes(*, height: int, width: int) -> dict[str, Change]:
    """The 14 operations of both papers, with the ranges of torchvision's RandAugment and TrivialAugmentWide.

    RandAugment: 1909.13719, section 3.1. TrivialAugment: 2103.10158, table 1, the "wide" space. Factors of the
    ImageEnhance operations are 1 plus the amount.
    """

    def factor(operation: Callable[[Tensor, np.ndarray], Tensor]) -> Change:
        return Change(lambda x, amount: operation(x, 1 + amount), lambda s: 0.9 * s, lambda s: 0.99 * s, signed=True)

    def shift(operation: Callable[[Tensor, np.ndarray], Tensor], size: int) -> Change:
        return Change(operation, lambda s: TRANSLATED * size * s, lambda s: 32 * s, signed=True)

    def shear(operation: Callable[[Tensor, np.ndarray], Tensor]) -> Change:
        return Change(operation, lambda s: 0.3 * s, lambda s: 0.99 * s, signed=True)

    return {
        "identity": Change(None),
        "shear_x": shear(shear_x),
        "shear_y": shear(shear_y),
        "translate_x": shift(translate_x, width),
        "translate_y": shift(translate_y, height),
        "rotate": Change(rotate, lambda s: 30 * s, lambda s: 135 * s, signed=True),
        "brightness": factor(brightness),
        "color": factor(saturation),
        "contrast": factor(contrast),
        "sharpness": factor(sharpness),
        "posterize": Change(posterize, lambda s: 8 - np.rint(4 * s), lambda s: 8 - np.rint(6 * s)),
        "solarize": Change(solarize, lambda s: 255 * (1 - s), lambda s: 255 * (1 - s)),
        "autocontrast": Change(autocontrast),
        "equalize": Change(equalize),
    }


def apply_policy(x: Tensor, units: np.ndarray, *, name: Name, ops: int, magnitude: float) -> Tensor:
    """Each image of x, float32 (B, C, H, W) in 0..1, changed by the policy; x is overwritten.

    "trivial": one operation of the 14, at a strength uniform in 0..30. "rand": `ops` operations one after another,
    each one of the 14, all at strength `magnitude` of 30. Signs are random. units (B, 4 * ops), uniform in (0, 1); for
    "trivial", ops is 1.
    """
    table = list(changes(height=x.shape[2], width=x.shape[3]).values())
    for u in np.split(units, range(4, units.shape[1], 4), axis=1) if ops else ():
        which = np.floor(len(table) * u[:, 0]).astype(np.int64)
        sampled = np.floor(STRENGTHS * u[:, 1]) / (STRENGTHS - 1)
        strength = sampled if name == "trivial" else np.full(len(u), magnitude / (STRENGTHS - 1))
        amounts = np.zeros(len(u))
        for k, change in enumerate(table):
            amount = (change.trivial if name == "trivial" else change.rand)(strength)
            sign = np.where(u[:, 2] < 0.5, -1.0, 1.0) if change.signed else 1.0
            amounts = np.where(which == k, sign * amount, amounts)
        x = each(x, [change.operation for change in table], which=which, amounts=amounts)
    return x
