"""Evaluation batches: every image in order, in one view or in several whose scores are averaged."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage, UsageError
from reslab.images.data.decode import LIMIT, STRIP, Interpolation, resize_shorter, resized
from reslab.images.data.images import Encoded, Part, Pixels, to_tensor
from reslab.images.data.normalize import Normalize
from reslab.train.workers import in_order

Views = tuple[list[Tensor], Tensor, Tensor]


def view_batches(
    part: Part,
    *,
    batch: int,
    normalize: Normalize,
    device: torch.device | str,
    crops: int = 1,
    scale: int | None = None,
    pad: int = 4,
    workers: int = 0,
) -> Iterator[Views]:
    """The part in order: a list of V views, each float32 (B, C, h, w), labels (B,), indices (B,) on the CPU.

    crops=10: the four corners, the center, and their mirror images; taken from the image padded by `pad` zeros
    after normalization (in memory), or resized to 256/224 of its size (encoded; AlexNet's ten crops).
    scale=s: the whole image with shorter side s, for a fully convolutional net; encoded images keep their
    aspect ratio and are batched with neighbors of equal shape. Views and labels are on `device`.
    Raises BrokenImage at the first image that cannot be read, UsageError for invalid views.
    """
    if crops not in (1, 10):
        raise UsageError(f"crops must be 1 or 10, got {crops}")
    if crops == 10 and scale is not None:
        raise UsageError("crops = 10 and scale cannot be combined; choose one of them")
    if scale is not None and scale < 1:
        raise UsageError(f"scale must be positive, got {scale}")
    if batch < 1:
        raise UsageError(f"batch must be positive, got {batch}")
    normalize = normalize.to(device)
    if isinstance(part, Pixels):
        for start in range(0, len(part), batch):
            index = torch.arange(start, min(start + batch, len(part)))
            x = part.pixels[start : start + batch].to(device)
            views = _views_in_memory(x, normalize, crops=crops, scale=scale, pad=pad)
            yield views, part.labels[index].to(device), index
        return
    steps = EncodedViews(part, batch=batch, crops=crops, scale=scale)
    for groups, broken in in_order(steps, range(-(-len(part) // batch)), workers=workers):
        if broken is not None:
            raise BrokenImage(*broken)
        for stacked, rows in groups:
            views = [normalize(view.to(device)) for view in stacked]
            yield views, part.labels[rows].to(device), torch.tensor(rows)


def _views_in_memory(x: Tensor, normalize: Normalize, *, crops: int, scale: int | None, pad: int) -> list[Tensor]:
    H, W = x.shape[-2:]
    if scale is not None and scale != min(H, W):
        size = [max(scale, round(side * scale / min(H, W))) for side in (H, W)]
        x = F.interpolate(x.float() / 255, size=size, mode="bilinear", antialias=True, align_corners=False)
    x = normalize(x)
    if crops == 1:
        return [x]
    padded = F.pad(x, (pad, pad, pad, pad))
    views = [padded[..., top : top + H, left : left + W] for top, left in _five(2 * pad, 2 * pad)]
    return views + [view.flip(3) for view in views]


def _five(down: int, right: int) -> list[tuple[int, int]]:
    """(top, left) of the four corner crops and the center crop; a crop can move by `down` and `right` pixels."""
    return [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]


class EncodedViews(Dataset[Any]):
    """Step k: the views of images [k * batch, (k+1) * batch), grouped by shape; or the broken image."""

    def __init__(self, part: Encoded, *, batch: int, crops: int, scale: int | None) -> None:
        self.part, self.batch, self.crops, self.scale = part, batch, crops, scale

    def __getitem__(self, k: int) -> tuple[list[tuple[list[Tensor], list[int]]], tuple[str, str] | None]:
        groups: list[tuple[list[list[Tensor]], list[int]]] = []
        try:
            for i in range(k * self.batch, min(len(self.part), (k + 1) * self.batch)):
                views = self._views(i)
                if not groups or groups[-1][0][0][0].shape != views[0].shape:
                    groups.append(([], []))
                groups[-1][0].append(views)
                groups[-1][1].append(i)
        except BrokenImage as error:  # returned as a value: an exception from a worker loses its class
            return [], (error.name, error.reason)
        return [([torch.stack(v) for v in zip(*views, strict=True)], rows) for views, rows in groups], None

    def _views(self, i: int) -> list[Tensor]:
        if self.scale is not None:
            image = self.part.image(i)
            width, height = resized(image.size, self.scale)
            if width * height > LIMIT:
                raise BrokenImage(self.part.name(i), f"its {image.width} x {image.height} pixels would become "
                                  f"{width:,} x {height:,} at scale {self.scale}")  # fmt: skip
            return [to_tensor(resize_shorter(image, self.scale, interpolation=self.part.reading.interpolation))]
        if self.crops == 1:
            return [self.part.pixels(i)]
        return ten_crops(self.part.image(i), height=self.part.shape[1], width=self.part.shape[2],
                         interpolation=self.part.reading.interpolation)  # fmt: skip


def ten_crops(
    image: Image.Image, *, height: int, width: int, interpolation: Interpolation = "bilinear"
) -> list[Tensor]:
    """Ten crops, uint8 (C, height, width): corners, center and their mirrors, of the image resized to 256/224."""
    size = round(max(height, width) * 256 / 224)
    whole_width, whole_height = resized(image.size, size)
    if whole_width * whole_height <= STRIP * height * width:
        image = resize_shorter(image, size, interpolation=interpolation)  # once for all views
    places = _five(whole_height - height, whole_width - width)
    boxes = [(left, top, left + width, top + height) for top, left in places]
    views = [to_tensor(resize_shorter(image, size, box=box, interpolation=interpolation)) for box in boxes]
    return views + [view.flip(2) for view in views]
