"""Thumbnails for pages: JPEGs that we encoded, in data URLs of a bounded length."""

import base64
import io

import numpy as np
import torch
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data.images import Encoded, Part

SIDE = 96  # pixels of the longer side, at most
LENGTH = 4_200  # characters of a data URL, at most: 240 of them take 1 MB
SMALL = 48  # images of at most this longer side are kept to the pixel, at the first of QUALITIES
QUALITIES = (95, 82, 65, 45, 25, 10)


def thumbnail(part: Part, i: int) -> str | None:
    """Image i of the part as a data URL, with its original aspect if its file is at hand; None if it cannot be read."""
    files = part if isinstance(part, Encoded) else part.files
    if files is not None:
        try:
            return encode(files.image(i, near=SIDE))
        except BrokenImage:
            if isinstance(part, Encoded):
                return None
    assert not isinstance(part, Encoded)
    return encode(picture(part.pixels[i]))


def picture(pixels: torch.Tensor) -> Image.Image:
    """uint8 (C, H, W) as an image: the first three channels in color, the first in gray if there are fewer."""
    values = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(values[:, :, 0] if values.shape[2] < 3 else values[:, :, :3]))


def encode(image: Image.Image) -> str:
    """The image, no larger than SIDE, as a JPEG in a data URL of at most LENGTH characters."""
    first = 0 if max(image.size) <= SMALL else 1
    small, quality, side = _within(image, SIDE), first, SIDE
    while len(url := _jpeg(small, QUALITIES[quality])) > LENGTH:
        quality += 1
        if quality == len(QUALITIES):  # noise: fewer pixels
            side, quality = side // 2, first
            small = _within(image, side)
    return url


def _within(image: Image.Image, side: int) -> Image.Image:
    if max(image.size) <= side:
        return image
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BOX)


def _jpeg(image: Image.Image, quality: int) -> str:
    out = io.BytesIO()
    sampling = 0 if quality == QUALITIES[0] else 2  # the colors of few pixels are kept, too
    image.save(out, "JPEG", quality=quality, optimize=True, subsampling=sampling)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
