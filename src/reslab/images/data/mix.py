"""Random erasing of each image, and mixup and cutmix of the images of a batch: after normalization."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import betaincinv
from torch import Tensor

from reslab.images.data.boxes import cut_box, erased_boxes
from reslab.images.data.chance import below


def erase(x: Tensor, units: np.ndarray, *, probability: float) -> Tensor:
    """A random rectangle of some images of x (B, C, H, W) set to 0, which is the mean after normalization.

    Random erasing, 1708.04896; x is overwritten. units (B, boxes.UNITS + 1): the last decides whether.
    """
    B, _, H, W = x.shape
    boxes = erased_boxes(np.tile([H, W], (B, 1)), units[:, :-1])
    boxes[units[:, -1] >= probability, 2:] = 0
    return blank(x, boxes)


def cutout(x: Tensor, words: np.ndarray, *, side: int) -> Tensor:
    """A square of each image of x (B, C, H, W) set to 0, as far as it lies in the image: 1708.04552; x is overwritten.

    words (B, 4): the first two decide its center, which is any pixel.
    """
    centers = below(words[:, :2], np.array(x.shape[2:]))
    return blank(x, np.concatenate([centers - side // 2, np.full_like(centers, side)], axis=1))


def blank(x: Tensor, boxes: np.ndarray) -> Tensor:
    """x (B, C, H, W) with a box of each image set to 0, in place; boxes int64 (B, 4): top, left, height, width."""
    H, W = x.shape[2:]
    top, left, height, width = (torch.from_numpy(edge).to(x.device)[:, None] for edge in boxes.T)
    Y, X = torch.arange(H, device=x.device), torch.arange(W, device=x.device)
    down, right = Y - top, X - left  # (B, H) and (B, W)
    inside = ((down >= 0) & (down < height))[:, None, :, None] & ((right >= 0) & (right < width))[:, None, None, :]
    return x.masked_fill_(inside, 0.0)


def soft(y: Tensor, classes: int) -> Tensor:
    """Labels as shares, float32 (B, K): classes int64 (B,) become ones in their column; several labels stay."""
    return F.one_hot(y, classes).float() if y.dim() == 1 else y.float()


def share(alpha: float, unit: float) -> float:
    """The share of the image itself, from Beta(alpha, alpha) at the quantile `unit`."""
    return float(betaincinv(alpha, alpha, unit))


def mixup(x: Tensor, y: Tensor, *, own: float, step: int) -> tuple[Tensor, Tensor]:
    """own * image + (1 - own) * partner, and their labels alike: 1710.09412, equation 1.

    The partner is the image `step` places before, counted around the batch. y (B, K) soft.
    """
    return x * own + x.roll(step, 0) * (1 - own), y * own + y.roll(step, 0) * (1 - own)


def cutmix(x: Tensor, y: Tensor, *, own: float, center: tuple[float, float], step: int) -> tuple[Tensor, Tensor]:
    """A box of 1 - own of each image replaced by its partner's; labels by the share of pixels that it really covers.

    1905.04899, equation 1. The box is the same for the whole batch. y (B, K) soft.
    """
    H, W = x.shape[2:]
    top, left, height, width = cut_box(H, W, share=1 - own, center=center)
    out = x.clone()
    inside = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
    out[inside] = x.roll(step, 0)[inside]
    kept = 1 - height * width / (H * W)
    return out, y * kept + y.roll(step, 0) * (1 - kept)


def mix(
    x: Tensor, y: Tensor, units: np.ndarray, *, mixup_alpha: float, cutmix_alpha: float, step: int
) -> tuple[Tensor, Tensor]:
    """The batch mixed by mixup, or by cutmix, or by one of them at random if both alphas are positive.

    y (B, K) soft. units (4,), uniform in (0, 1): which, the share, the center of the box.
    """
    which, quantile, *center = units.tolist()
    if not cutmix_alpha or (mixup_alpha and which < 0.5):
        return mixup(x, y, own=share(mixup_alpha, quantile), step=step)
    return cutmix(x, y, own=share(cutmix_alpha, quantile), center=(center[0], center[1]), step=step)
