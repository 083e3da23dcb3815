"""(x / 255 - mean) / std, with mean and std measured on the training part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.data.images import Encoded, Part, Pixels
from reslab.images.data.read import read_images

# Over ImageNet's training images, in 0..1 units: the numbers every published ImageNet net expects.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

ENCODED_SAMPLE = 5000  # images: their means differ by about 0.15, so the mean of the sample is off by about 0.002
CHUNK = 1024

Mean = Literal["pixel", "channel", "none", "imagenet", "weights"]


@dataclass(frozen=True, eq=False)
class Normalize:
    """(x - mean) / std on pixels in 0..1; mean and std float32 (C, 1, 1) or (C, H, W)."""

    mean: Tensor
    std: Tensor

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), uint8 or float already in 0..1, on the device of mean -> float32, in `out` if given.

        A per-pixel mean is resized by interpolation if x has another size.
        """
        mean, std = (_at(value, x.shape[-2:]) for value in (self.mean, self.std))
        if x.dtype != torch.uint8:
            return torch.sub(x.float(), mean, out=out).div_(std)
        if x.device.type == "cpu" and mean.shape == std.shape == (x.shape[1], 1, 1) and _channels_last(x):
            return _by_rows(x, mean, std, out=out)
        return torch.div(x, 255, out=out).sub_(mean).div_(std)

    def undo(self, x: Tensor) -> Tensor:
        """The inverse: normalized images (B, C, H, W) as float32 pixels in 0..1."""
        mean, std = (_at(value, x.shape[-2:]) for value in (self.mean, self.std))
        return x * std + mean

    def to(self, device: torch.device | str) -> "Normalize":
        """The same on another device."""
        return Normalize(self.mean.to(device), self.std.to(device))

    def as_dict(self) -> dict[str, Any]:
        """Nested lists, for JSON; `from_dict` restores the same numbers."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Normalize":
        """From the output of `as_dict`, or from tensors under the same two keys. Raises ReslabError if ragged."""
        try:
            mean, std = (torch.as_tensor(stored[key], dtype=torch.float32) for key in ("mean", "std"))
        except (ValueError, TypeError, RuntimeError) as error:
            raise ReslabError(f"the run's normalize.json is damaged: {error}; restore a copy of it") from error
        if mean.dim() != 3 or std.dim() != 3 or len(mean) != len(std) or 0 in (*mean.shape, *std.shape):
            shapes = f"{tuple(mean.shape)} and {tuple(std.shape)}"
            raise ReslabError(f"the run's normalize.json is damaged: mean and std are {shapes}; restore a copy of it")
        return cls(mean, std)


def given(values: Sequence[float], *, channels: int) -> Normalize:
    """From the mean and the standard deviation of pixels in 0..1: two numbers, or one of each for every channel.

    Raises UsageError for another count, a deviation that is not positive, and numbers for pixels in 0..255.
    """
    if len(values) not in (2, 2 * channels) or not all(map(math.isfinite, values)):
        many = "a mean and a std" + f", or {channels} means and then {channels} stds" * (channels > 1)
        raise UsageError(f"mean-std takes {many}, got {' '.join(f'{value:g}' for value in values)}")
    mean, std = (torch.tensor(half).view(-1, 1, 1) for half in (values[: len(values) // 2], values[len(values) // 2 :]))
    if (std <= 0).any():
        raise UsageError(f"mean-std: a std must be positive, got {float(std.min()):g}")
    if (mean > 1).any():
        raise UsageError(f"mean-std is for pixels in 0 to 1, got the mean {float(mean.max()):g}; divide all numbers by "
                         "255")  # fmt: skip
    return Normalize(mean.expand(channels, 1, 1).clone(), std.expand(channels, 1, 1).clone())


def measure(part: Part, *, mean: Mean, std: bool) -> Normalize:
    """The normalization for `part`, which must be the training part.

    mean: "pixel" (C, H, W), "channel" (C, 1, 1), "none" (zeros), or "imagenet" (the published numbers).
    std: divide by each channel's standard deviation, computed after the mean is subtracted; otherwise,
    and for a constant channel, divide by one. Exact for Pixels; for Encoded, from at most 5,000 evenly
    spaced images. Raises UsageError if the part cannot provide them.
    """
    C, H, W = part.shape
    if mean == "weights":
        raise UsageError("mean weights needs weights to start from")
    if mean == "imagenet":
        return _imagenet(C, std=std)
    if mean == "none" and not std:
        return Normalize(torch.zeros(C, 1, 1), torch.ones(C, 1, 1))
    if len(part) == 0:
        raise UsageError("the training part is empty, so its mean cannot be measured")
    if mean == "pixel" and isinstance(part, Encoded):
        raise UsageError("a per-pixel mean needs the images in memory; use ", arg("mean", "channel"))
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
    """Sum of pixels (C, H, W), sum of squares (C, 1, 1) and number of images: integers, so exact."""
    total = torch.zeros(part.shape, dtype=torch.float64)
    squares = torch.zeros(part.shape[0], 1, 1, dtype=torch.float64)
    count = 0
    if isinstance(part, Encoded):
        k = min(len(part), ENCODED_SAMPLE)
        part = part.subset(torch.arange(k) * len(part) // k)
    for start in range(0, len(part), CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(part)))
        chunk = part.subset(rows)
        pixels = chunk.pixels if isinstance(chunk, Pixels) else read_images(chunk)[0].pixels
        x = pixels.double()
        total += x.sum(dim=0)
        squares += x.square_().sum(dim=(0, 2, 3)).view(-1, 1, 1)
        count += len(pixels)
    if count == 0:
        raise UsageError("every training image is broken, so their mean cannot be measured")
    return total, squares, count


def _imagenet(channels: int, *, std: bool) -> Normalize:
    if channels != 3:
        raise UsageError(f"ImageNet's mean needs 3 channels, but these images have {channels}; use mean 'channel'")
    mean = torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    return Normalize(mean, torch.tensor(IMAGENET_STD).view(3, 1, 1) if std else torch.ones(3, 1, 1))


def _channels_last(x: Tensor) -> bool:
    """Whether colors are neighbors in memory."""
    return x.shape[1] > 1 and x.permute(0, 2, 3, 1).is_contiguous()


def _by_rows(x: Tensor, mean: Tensor, std: Tensor, *, out: Tensor | None) -> Tensor:
    """The same for uint8 x (B, C, H, W), channels last in memory, as is the result.

    The rows are taken as (B, H, W * C): the processor then works on whole rows, not on three numbers at a time.
    """
    B, C, H, W = x.shape
    flat = None if out is None else out.permute(0, 2, 3, 1).view(B, H, W * C)
    made = torch.div(x.permute(0, 2, 3, 1).view(B, H, W * C), 255, out=flat)
    made.sub_(mean.flatten().repeat(W)).div_(std.flatten().repeat(W))
    return made.view(B, H, W, C).permute(0, 3, 1, 2) if out is None else out


def _at(value: Tensor, size: torch.Size) -> Tensor:
    """`value` (C, H, W) resized to another height and width; (C, 1, 1) and equal sizes are returned unchanged."""
    if value.shape[-2:] in (size, (1, 1)):
        return value
    return F.interpolate(value[None], size=tuple(size), mode="bilinear", antialias=True, align_corners=False)[0]
