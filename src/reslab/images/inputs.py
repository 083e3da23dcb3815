"""What `predict` takes for an image: a path, bytes, a PIL image, an array, a tensor; what is in doubt is refused."""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from PIL import Image

from reslab.errors import UsageError
from reslab.stored.files import named

if TYPE_CHECKING:
    from torch import Tensor

Source = bytes | Path | Image.Image
CHANNELS = (1, 3, 4)  # gray, RGB, RGBA
TAKEN = "a path, the bytes of a file, a PIL image, an array (H, W), (H, W, 3) or a tensor (3, H, W)"


def listed(images: Any) -> tuple[list[Any], bool]:
    """The images one by one, and whether it was one alone. Raises UsageError for what holds no images."""
    if isinstance(images, np.ndarray) or is_tensor(images):
        return (list(images), False) if images.ndim == 4 else ([images], True)
    if isinstance(images, str | bytes | os.PathLike | Image.Image):
        return [images], True
    if isinstance(images, Iterable) and not isinstance(images, Mapping | set | frozenset):
        return list(images), False
    raise UsageError(f"an image must be {TAKEN}, or a list of these; got {type(images).__name__}")


def source_of(image: Any) -> Source:
    """One image, ready to be decoded.

    Arrays are (H, W) or (H, W, C), tensors (H, W) or (C, H, W), with 1, 3 or 4 channels (4: with transparency); uint8,
    or floats from 0 to 1, which are rounded to 8 bits as in files. Arrays (H, W) of uint16 are 16-bit gray. Raises
    UsageError for anything else.
    """
    if isinstance(image, str | os.PathLike):
        return file(Path(image))
    if isinstance(image, bytes | Image.Image):
        return image
    if is_tensor(image):
        return of_tensor(image)
    if isinstance(image, np.ndarray):
        return of_array(image)
    raise UsageError(f"an image must be {TAKEN}, got {type(image).__name__}")


def file(path: Path) -> Path:
    """The path itself. Raises UsageError if there is no such file, or a folder."""
    if path.is_dir():
        raise UsageError(f"{named(path)} is a folder: give the list of its images; `reslab predict` takes folders")
    if not os.path.lexists(path):
        raise UsageError(f"{named(path)}: no such file")
    return path


def is_tensor(value: Any) -> "TypeGuard[Tensor]":
    """Whether it is a tensor; who has one has imported torch, which is not imported for this question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def of_tensor(x: "Tensor") -> Image.Image:
    if x.ndim == 3 and x.shape[0] not in CHANNELS:
        if x.shape[2] in CHANNELS:
            raise UsageError(f"a tensor must be (C, H, W), got {tuple(x.shape)}; permute(2, 0, 1) turns it")
        raise UsageError(f"a tensor must be (C, H, W) with {few()} channels, or (N, C, H, W), got {tuple(x.shape)}")
    if x.ndim not in (2, 3):
        raise UsageError(f"a tensor must be (C, H, W) or (H, W), got {tuple(x.shape)}")
    x = x.detach().cpu()
    values = (x.float() if x.is_floating_point() else x).numpy()
    return picture(values.transpose(1, 2, 0) if x.ndim == 3 else values, "tensor")


def of_array(values: np.ndarray) -> Image.Image:
    if values.ndim == 3 and values.shape[2] not in CHANNELS:
        if values.shape[0] in CHANNELS:
            raise UsageError(f"an array must be (H, W, C), got {values.shape}; transpose(1, 2, 0) turns it, and a "
                             "tensor may be (C, H, W)")  # fmt: skip
        raise UsageError(f"an array must be (H, W) or (H, W, C) with {few()} channels, got {values.shape}; a batch "
                         "of gray images is (N, H, W, 1)")  # fmt: skip
    if values.ndim not in (2, 3):
        raise UsageError(f"an array must be (H, W) or (H, W, C), got {values.shape}")
    return picture(values, "array")


def few() -> str:
    return f"{', '.join(map(str, CHANNELS[:-1]))} or {CHANNELS[-1]}"


def picture(values: np.ndarray, what: str) -> Image.Image:
    """values (H, W) or (H, W, C) as an image. Raises UsageError for values that are not pixels."""
    if 0 in values.shape:
        raise UsageError(f"the {what} is empty: {values.shape}")
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # also NaN
            normalized = " (already normalized? call the model itself: model(x))" if low < 0 else ""
            raise UsageError(f"floats must be from 0 to 1, got {low:.4g} to {high:.4g}{normalized}; pixels from 0 to "
                             "255 must be uint8")  # fmt: skip
        values = np.rint(values * 255).astype(np.uint8)
    elif values.dtype == np.uint16 and values.ndim == 2:
        return Image.fromarray(values)
    elif values.dtype != np.uint8:
        raise UsageError(f"pixels must be uint8, or floats from 0 to 1, got {values.dtype}; convert the {what} first")
    values = values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
    return Image.fromarray(np.ascontiguousarray(values))
