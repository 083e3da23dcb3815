"""(x / 255 - mean) / std, with mean and std measured on the training part."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import UsageError
from reslab.images.data.images import Encoded, Part, Pixels
from reslab.images.data.read import read

# Over ImageNet's training images, in 0..1 units: the numbers every published ImageNet net expects.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ENCODED_SAMPLE = 5000  # images: their means differ by some 0.15, so the sample's is off by some 0.002
CHUNK = 1024

Mean = Literal["pixel", "channel", "none", "imagenet"]


@dataclass(frozen=True, eq=False)
class Normalize:
    """(x - mean) / std on pixels in 0..1; mean and std float32 (C, 1, 1) or (C, H, W)."""

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """x (B, C, H, W), uint8 or float already in 0..1, on the device of mean -> float32.

        A mean per pixel is interpolated where x has another size than it.
        """
        mean, std = (_at(value, x.shape[-2:]) for value in (self.mean, self.std))
        if x.dtype == torch.uint8:
            return x.float().div_(255).sub_(mean).div_(std)
        return (x.float() - mean).div_(std)

    def to(self, device: torch.device | str) -> "Normalize":
        """The same on another device."""
        return Normalize(self.mean.to(device), self.std.to(device))

    def as_dict(self) -> dict[str, Any]:
        """Nested lists, for JSON; `from_dict` gives the same numbers back."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Normalize":
        """From what `as_dict` gave, or from tensors under the same two keys."""
        mean, std = (torch.as_tensor(stored[key], dtype=torch.float32) for key in ("mean", "std"))
        return cls(mean, std)


def measure(part: Part, *, mean: Mean, std: bool) -> Normalize:
    """The normalization for `part`, which must be the training part.

    mean: "pixel" (C, H, W), "channel" (C, 1, 1), "none" (zeros), or "imagenet" (the published numbers).
    std: divide by the standard deviation of each channel (of what is left once the mean is taken away),
    else by one; a constant channel is divided by one. Exact for Pixels; for Encoded from at most
    5,000 evenly spread images. Raises UsageError where the part cannot give what is asked.
    """
    C, H, W = part.shape
    if mean == "imagenet":
        return _imagenet(C, std=std)
    if mean == "none" and not std:
        return Normalize(torch.zeros(C, 1, 1), torch.ones(C, 1, 1))
    if len(part) == 0:
        raise UsageError("the training part is empty: nothing to measure a mean on")
    if mean == "pixel" and isinstance(part, Encoded):
        raise UsageError("a mean per pixel needs the images in memory: take mean 'channel' (--mean channel)")
    total, squares, count = _sums(part)
    center = total / count  # (C, H, W)
    by_channel = center.mean(dim=(1, 2), keepdim=True)
    taken = center if mean == "pixel" else by_channel
    variance = squares / (count * H * W) - taken.square().mean(dim=(1, 2), keepdim=True)
    deviation = torch.where(variance > 1e-6, variance, 65025.0).sqrt()  # 65025 = 255 squared: divides by one
    return Normalize(
        (torch.zeros_like(by_channel) if mean == "none" else taken).div(255).float(),
        (deviation / 255).float() if std else torch.ones(C, 1, 1),
    )


def _sums(part: Part) -> tuple[Tensor, Tensor, int]:
    """Sum of pixels (C, H, W), sum of squares (C, 1, 1), and how many images: whole numbers, so exact."""
    total = torch.zeros(part.shape, dtype=torch.float64)
    squares = torch.zeros(part.shape[0], 1, 1, dtype=torch.float64)
    count = 0
    if isinstance(part, Encoded):
        k = min(len(part), ENCODED_SAMPLE)
        part = part.subset(torch.arange(k) * len(part) // k)
    for start in range(0, len(part), CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(part)))
        chunk = part.subset(rows)
        pixels = chunk.pixels if isinstance(chunk, Pixels) else read(chunk)[0].pixels
        x = pixels.double()
        total += x.sum(dim=0)
        squares += x.square_().sum(dim=(0, 2, 3)).view(-1, 1, 1)
        count += len(pixels)
    if count == 0:
        raise UsageError("every training image is broken: nothing to measure a mean on")
    return total, squares, count


def _imagenet(channels: int, *, std: bool) -> Normalize:
    if channels != 3:
        raise UsageError(f"ImageNet's mean is for 3 channels, these images have {channels}: use mean 'channel'")
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    return Normalize(mean, torch.tensor(IMAGENET_STD).view(3, 1, 1) if std else torch.ones(3, 1, 1))


def _at(value: Tensor, size: torch.Size) -> Tensor:
    """`value` (C, H, W) at another height and width; (C, 1, 1) and the same size pass."""
    if value.shape[-2:] in (size, (1, 1)):
        return value
    return F.interpolate(value[None], size=tuple(size), mode="bilinear", antialias=True, align_corners=False)[0]
