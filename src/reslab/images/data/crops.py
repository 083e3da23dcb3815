"""Boxes of encoded images, decoded no further than they need, resized to the size of the images."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from reslab.errors import BrokenImage
from reslab.images.data.boxes import crop_box
from reslab.images.data.decode import Edges, Interpolation, decoded_rows, resize_box
from reslab.images.data.images import Encoded, to_tensor
from reslab.images.data.opened import reason


def random_crop(part: Encoded, i: int, units: np.ndarray, *, area: float, aspect: float) -> Tensor:
    """A random box of image i (see boxes.py) resized to H x W, antialiased: uint8 (C, H, W).

    The box is chosen in the image's own pixels. units (boxes.UNITS,). Raises BrokenImage.
    """

    def choose(width: int, height: int) -> Edges:
        top, left, h, w = crop_box(height, width, units.tolist(), area=area, aspect=aspect)
        return left, top, left + w, top + h

    return cropped(part, i, choose)


def cropped(part: Encoded, i: int, choose: Callable[[int, int], Edges]) -> Tensor:
    """The box of image i that `choose` gives for the width and height of the upright image, resized: uint8 (C, H, W).

    A JPEG is decoded down to the last row of the box only, and at 1/2, 1/4 or 1/8 of its size if the box then still
    has at least H x W pixels. Raises BrokenImage.
    """
    _, H, W = part.shape
    row = int(part.rows[i])
    try:
        pixels, box = decoded_rows(part.sources[row], choose, shape=part.shape, reading=part.reading)
    except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
        raise BrokenImage(part.sources.name(row), reason(error)) from error
    return resized_box(pixels, box, height=H, width=W, interpolation=part.reading.interpolation)


def resized_box(pixels: np.ndarray, box: Edges, *, height: int, width: int, interpolation: Interpolation) -> Tensor:
    """The box of pixels uint8 (h, w, C) resized to `height` x `width`, antialiased: uint8 (C, height, width).

    A box of whole pixels by torch, a third of Pillow's time; it sees no pixel outside of the box, Pillow a few.
    """
    if not all(float(edge).is_integer() for edge in box):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        return to_tensor(resize_box(image, box, height=height, width=width, interpolation=interpolation))
    left, top, right, bottom = map(int, box)
    x = torch.from_numpy(pixels[top:bottom, left:right].copy())[None]  # torch is slow to copy a part
    x = x.permute(0, 3, 1, 2)  # after [None]: then torch sees that channels are last, and leaves them there
    if x.shape[2:] == (height, width):
        return x[0]
    return F.interpolate(x, (height, width), mode=interpolation, antialias=True, align_corners=False)[0]
