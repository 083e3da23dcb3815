"""How training images are augmented; padded crop, flip and AlexNet's color shift for a whole batch on the device."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.images.data.chance import below, unit
from reslab.images.data.normalize import Normalize

# AlexNet's color shift (Krizhevsky et al. 2012, section 4.1): eigenvalues (as standard deviations in 0..1
# units) and eigenvectors (columns) of RGB over ImageNet, as published in fb.resnet.torch's
# datasets/imagenet.lua, whose training the ResNet authors point to.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
COLOR_STD = 0.1
JITTERED = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random augmentation of each training image. Raises UsageError for invalid values.

    `kind` "none": the whole image. "crop": padded by `pad` zeros, then cropped to the original size (the paper's CIFAR
    recipe). "scale": shorter side resized to a random size in `scale` (both ends included), then cropped (the
    paper's ImageNet recipe; encoded images only). "resized-crop": a box of at least the share `area` of the image, with
    an aspect ratio within [1 / aspect, aspect], resized to the size of the images (boxes.py). With all but "none",
    `flip` mirrors half of the images (with `alternate` each
    image in every other epoch) and `color` shifts them along the principal axes of color.

    The others apply to any kind: `jitter`, the strengths of brightness, contrast, saturation and hue (color.py);
    `policy`, TrivialAugment or RandAugment with `policy_ops` operations of strength `policy_magnitude` of 30
    (policy.py); the probability to `erase` a rectangle, the side of a square to
    `cutout`, and the alphas of `mixup` and `cutmix` (mix.py).
    """

    kind: Literal["none", "crop", "scale", "resized-crop"] = "none"
    pad: int = 4
    flip: bool = True
    color: bool = False
    scale: tuple[int, int] = (256, 480)
    area: float = 0.08
    aspect: float = 4 / 3
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    policy: Literal["none", "trivial", "rand"] = "none"
    policy_ops: int = 2
    policy_magnitude: float = 9.0
    erase: float = 0.0
    cutout: int = 0
    alternate: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "crop", "scale", "resized-crop"):
            raise UsageError(f"augment must be none, crop, scale or resized-crop, got {self.kind!r}")
        if self.policy not in ("none", "trivial", "rand"):
            raise UsageError(f"policy must be none, trivial or rand, got {self.policy!r}")
        numbers = {key: getattr(self, key) for key in ("pad", "cutout", "policy_ops", "mixup", "cutmix")}
        for name, value in (*numbers.items(), *zip(JITTERED, self.jitter, strict=True)):
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name} must be zero or more, got {value}")
        low, high = self.scale
        if not 0 < low <= high:
            raise UsageError(f"scale must be two positive sizes, the smaller first, got {low} and {high}")
        if not 0 < self.area <= 1:
            raise UsageError(f"area must be above 0 and at most 1, got {self.area}")
        if not 1 <= self.aspect < float("inf"):
            raise UsageError(f"aspect must be 1 or more, got {self.aspect}")
        for name, value, most in (("hue", self.jitter[3], 0.5), ("policy_magnitude", self.policy_magnitude, 30),
                                  ("erase", self.erase, 1)):  # fmt: skip
            if not 0 <= value <= most:
                raise UsageError(f"{name} must be between 0 and {most}, got {value}")

    @property
    def mixes(self) -> bool:
        """Whether images and labels of a batch are mixed, so that the labels are shares of classes."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def random(self) -> bool:
        """Whether an image may come out differently in another epoch."""
        alone = (*self.jitter, self.operations, self.erase, self.cutout)
        return self.kind != "none" or self.mixes or any(one > 0 for one in alone)

    @property
    def operations(self) -> int:
        """Operations of the policy per image."""
        return {"none": 0, "trivial": 1, "rand": self.policy_ops}[self.policy]

    @property
    def mirrors_first(self) -> bool:
        """Whether the decoder may mirror, which spares a pass over floats: nothing before it asks for places."""
        crops = self.kind in ("scale", "resized-crop")
        return crops and self.flip and not self.operations and not any(self.jitter)

    @classmethod
    def of(cls, recipe: Any) -> "Augment":
        """The augmentation of a Recipe."""
        return cls(
            kind=recipe.augment, pad=recipe.pad, flip=recipe.flip, color=recipe.color, area=recipe.area,
            scale=(recipe.shortest, recipe.longest), aspect=recipe.aspect, erase=recipe.erase, mixup=recipe.mixup,
            jitter=(recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue), cutmix=recipe.cutmix,
            cutout=recipe.cutout, alternate=recipe.flip_alternate,
            policy=recipe.policy, policy_ops=recipe.policy_ops, policy_magnitude=recipe.policy_magnitude,
        )  # fmt: skip


def crop_and_flip(x: Tensor, words: np.ndarray, *, pad: int, flip: bool) -> Tensor:
    """x (B, C, H, W) padded by zeros, randomly cropped back to its size, and mirrored half the time.

    words (B, 4): the first three decide the top, the left and the mirroring of each image.
    """
    if pad:
        top, left = torch.from_numpy(below(words[:, :2], 2 * pad + 1)).T.to(x.device)
        x = crop(F.pad(x, (pad, pad, pad, pad)), top, left, height=x.shape[2], width=x.shape[3])
    else:
        x = x.clone()
    return mirror(x, words) if flip else x


def to_mirror(words: np.ndarray) -> np.ndarray:
    """Which images are mirrored, 0 or 1 (B,): half of them, chosen by the third word of words (B, 4)."""
    return below(words[:, 2], 2)


def mirror(x: Tensor, words: np.ndarray) -> Tensor:
    """x (B, C, H, W), half of whose images are mirrored in place, chosen by words (B, 4)."""
    chosen = torch.from_numpy(np.flatnonzero(to_mirror(words))).to(x.device)
    return x.index_copy_(0, chosen, x.index_select(0, chosen).flip(3))


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
    u = unit(words)  # in (0, 1): the logarithm is finite
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
