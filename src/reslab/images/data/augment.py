"""Random crop, flip and color shift for a whole batch on the device; the caller passes in the random numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.images.data.normalize import Normalize

# AlexNet's color shift (Krizhevsky et al. 2012, section 4.1): eigenvalues (as standard deviations in 0..1
# units) and eigenvectors (columns) of RGB over ImageNet, as published in fb.resnet.torch's
# datasets/imagenet.lua, whose training the ResNet authors point to.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
COLOR_STD = 0.1


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random augmentation of each training image. Raises UsageError for invalid values.

    "none": no augmentation. "crop": padded by `pad` zeros, then cropped to the original size (the paper's CIFAR
    recipe). "scale": shorter side resized to a random size in `scale` (both ends included), then cropped (the
    paper's ImageNet recipe; encoded images only). With "crop" and "scale", `flip` mirrors half of the images and
    `color` shifts them along the principal axes of color.
    """

    kind: Literal["none", "crop", "scale", "resized-crop"] = "none"
    pad: int = 4
    flip: bool = True
    color: bool = False
    scale: tuple[int, int] = (256, 480)

    def __post_init__(self) -> None:
        if self.kind not in ("none", "crop", "scale"):
            raise UsageError(f"augment must be none, crop or scale, got {self.kind!r}")
        if self.pad < 0:
            raise UsageError(f"pad must be zero or more, got {self.pad}")
        low, high = self.scale
        if not 0 < low <= high:
            raise UsageError(f"scale must be two positive sizes, the smaller first, got {low} and {high}")


def below(words: np.ndarray, n: "np.ndarray | int") -> np.ndarray:
    """Uniform integers in 0..n-1, int64, from random uint64 words (bias below n / 2**64)."""
    return (words % np.asarray(n, dtype=np.uint64)).astype(np.int64)


def crop_and_flip(x: Tensor, words: np.ndarray, *, pad: int, flip: bool) -> Tensor:
    """x (B, C, H, W) padded by zeros, randomly cropped back to its size, and mirrored half the time.

    words (B, 4): the first three decide the top, the left and the mirroring of each image.
    """
    if pad:
        top, left = torch.from_numpy(below(words[:, :2], 2 * pad + 1)).T.to(x.device)
        x = crop(F.pad(x, (pad, pad, pad, pad)), top, left, height=x.shape[2], width=x.shape[3])
    else:
        x = x.clone()  # the mirrors below are written in place
    if flip:
        chosen = torch.from_numpy(np.flatnonzero(below(words[:, 2], 2))).to(x.device)
        x.index_copy_(0, chosen, x.index_select(0, chosen).flip(3))
    return x


def crop(x: Tensor, top: Tensor, left: Tensor, *, height: int, width: int) -> Tensor:
    """Crop each image of x (B, C, H, W) to height x width at its top and left, both int64 (B,).

    A row of a crop is `width` contiguous numbers in memory, so the crops are B * C * height slices of the
    flattened x, each copied at once: three times as fast on a CPU as indexing by pixel.
    """
    B, C, H, W = x.shape
    planes = torch.arange(B * C, device=x.device).view(B, C, 1)
    rows = planes * H + top.view(B, 1, 1) + torch.arange(height, device=x.device)  # (B, C, height)
    starts = (rows * W + left.view(B, 1, 1)).flatten()
    return x.flatten().unfold(0, width, 1).index_select(0, starts).view(B, C, height, width)


def color_shift(words: np.ndarray) -> Tensor:
    """The offset to add to each image's channels, in 0..1 units: float32 (B, 3), from words (B, 4)."""
    u = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1): the logarithm is finite
    radius = np.sqrt(-2 * np.log(u[:, :2]))  # Box-Muller: two uniforms give two normals
    angle = 2 * np.pi * u[:, 2:]
    normals = np.concatenate([radius * np.cos(angle), radius[:, :1] * np.sin(angle[:, :1])], axis=1)
    shift = (normals * COLOR_STD * np.array(EIGENVALUES)) @ np.array(EIGENVECTORS).T
    return torch.from_numpy(shift.astype(np.float32))


def shift_colors(x: Tensor, words: np.ndarray, *, normalize: Normalize) -> Tensor:
    """x (B, 3, H, W), already normalized, with each image's colors shifted. Raises UsageError for gray images."""
    if x.shape[1] != 3:
        raise UsageError(f"color augmentation needs RGB images; these have {x.shape[1]} channel(s)")
    return x + color_shift(words).to(x.device)[:, :, None, None] / normalize.std
