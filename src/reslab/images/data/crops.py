"""Boxes of encoded images, decoded no further than they need, resized to the size of the images."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from reslab.errors import BrokenImage
from reslab.images.data.boxes import crop_box
from reslab.images.data.decode import Edges, decoded_rows, resize_box
from reslab.images.data.images import Encoded, to_tensor
from reslab.images.data.opened import reason

MARGIN = (
    8  # pixels beside a box that resizing may use: of less than half the size, bicubic takes 2 * 2 in each direction
)
Boxed = tuple[np.ndarray, Edges]
"""Pixels uint8 (h, w, C), and the box in them that is wanted."""


def random_crop(part: Encoded, i: int, units: np.ndarray, *, area: float, aspect: float) -> Tensor:
    """A random box of image i (see boxes.py) resized to H x W, antialiased: uint8 (C, H, W).

    The box is chosen in the image's own pixels. units (boxes.UNITS,). Raises BrokenImage.
    """
    return resized_box(random_box(part, i, units, area=area, aspect=aspect), part=part)


def random_box(part: Encoded, i: int, units: np.ndarray, *, area: float, aspect: float) -> Boxed:
    """The same, decoded and not yet resized."""

    def choose(width: int, height: int) -> Edges:
        top, left, h, w = crop_box(height, width, units.tolist(), area=area, aspect=aspect)
        return left, top, left + w, top + h

    return boxed(part, i, choose)


def boxed(part: Encoded, i: int, choose: Callable[[int, int], Edges]) -> Boxed:
    """What image i shows in the box that `choose` gives for the width and height of the upright image.

    A JPEG is decoded down to the last row of the box only, and at 1/2, 1/4 or 1/8 of its size if the box then still
    has at least H x W pixels. Raises BrokenImage.
    """
    row = int(part.rows[i])
    try:
        pixels, box = decoded_rows(part.sources[row], choose, shape=part.shape, reading=part.reading)
    except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
        raise BrokenImage(part.sources.name(row), reason(error)) from error
    return trimmed(pixels, box, height=part.shape[1], width=part.shape[2])


def trimmed(pixels: np.ndarray, box: Edges, *, height: int, width: int) -> Boxed:
    """A copy of the box alone; of one that is not of whole pixels, with the pixels beside it that resizing may use:
    bicubic looks twice as far as a pixel of the result reaches.
    """
    scale = max((box[2] - box[0]) / width, (box[3] - box[1]) / height, 1.0)
    margin = 0 if whole(box) else 2 * math.ceil(scale) + 2
    left, top = (max(0, int(edge) - margin) for edge in box[:2])
    right, bottom = (math.ceil(edge) + margin for edge in box[2:])
    x0, y0, x1, y1 = box
    return pixels[top:bottom, left:right].copy(), (x0 - left, y0 - top, x1 - left, y1 - top)


def whole(box: Edges) -> bool:
    """Whether it is one of whole pixels."""
    return all(float(edge).is_integer() for edge in box)


def resized_box(found: Boxed, *, part: Encoded) -> Tensor:
    """The box resized to the size of the part's images, antialiased: uint8 (C, H, W), channels last in memory.

    A box of whole pixels by torch, a third of Pillow's time; it sees no pixel outside of the box, Pillow a few.
    """
    (pixels, box), (_, H, W), how = found, part.shape, part.reading.interpolation
    if not whole(box):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return to_tensor(resize_box(image, box, height=H, width=W, interpolation=how))
    x = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # [None] first: then torch sees that channels are last
    if x.shape[2:] == (H, W):
        return x[0]
    return F.interpolate(x, (H, W), mode=how, antialias=True, align_corners=False)[0]
