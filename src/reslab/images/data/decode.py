"""Decode any image file to 8-bit gray or RGB."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data import jpeg
from reslab.images.data.gray import GRAY_MODES, Ranges, kind_of, to_eight_bits
from reslab.images.data.opened import allowed, in_memory, opened, reason
from reslab.images.data.upright import Edges, moved, orientation, upright, upright_size

STRIP = 8  # a resized image of more than this times the pixels that are kept is cropped first: a strip of 8000 x 1
LIMIT = 2**26  # pixels of a whole resized image
Box = tuple[int, int, int, int]
Interpolation = Literal["bilinear", "bicubic"]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the images of a data set are decoded."""

    gray: Ranges = field(default_factory=dict)  # (black, white) of gray of more than 8 bits
    limit: int | None = None  # the most pixels of an image; None: Pillow's 89 million
    interpolation: Interpolation = "bilinear"  # of resizing, always antialiased


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an image's header says of the upright image."""

    width: int
    height: int
    mode: str  # Pillow's
    kind: str | None  # of gray of more than 8 bits (gray.py)
    deep_color: bool  # 16 bits per color, of which Pillow keeps 8

    @property
    def gray(self) -> bool:
        return self.mode in GRAY_MODES


def decode(
    source: bytes | Path, *, channels: int, name: str, near: int | Callable[[int, int], int] | None = None,
    reading: Reading | None = None,
) -> Image.Image:  # fmt: skip
    """The image as 8-bit gray (channels=1) or RGB (channels=3), turned upright, at its original size.

    Transparent areas become white. Gray of more than 8 bits is scaled to 8 bits as `reading` says (see gray.py).
    `near`: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, much faster, as long as its shorter side keeps at
    least `near` pixels, or as many as `near` gives for the width and height of the upright image. Raises BrokenImage if
    the image is damaged, truncated, not a regular file, or large enough to be a decompression bomb.
    """
    reading = reading or Reading()
    try:
        with opened(source, limit=reading.limit) as image:
            if near is not None:
                least = near if isinstance(near, int) else near(*upright_size(image, orientation(image)))
                image.draft(image.mode, (least, least))
            return eight_bits(image, channels=channels, reading=reading)
    except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
        raise BrokenImage(name, reason(error)) from error


def decode_shorter(source: bytes | Path, side: int, *, channels: int, name: str, reading: Reading) -> Image.Image:
    """As `decode`, resized (antialiased) to a shorter side of `side` pixels; never enlarged. Raises BrokenImage.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if its shorter side keeps `side` pixels.
    """
    try:
        with opened(source, limit=reading.limit) as image:
            turn = orientation(image)
            size = upright_size(image, turn)
            aim = resized(size, side) if min(size) > side else size
            found, box = _drafted(image, turn, (0, 0, *size), shape=(channels, aim[1], aim[0]), reading=reading)
            return found if found.size == aim else found.resize(aim, FILTERS[reading.interpolation], box=box)
    except Exception as error:
        raise BrokenImage(name, reason(error)) from error


def decoded_rows(
    source: bytes | Path, choose: Callable[[int, int], Edges], *, shape: tuple[int, int, int], reading: Reading
) -> tuple[np.ndarray, Edges]:
    """What an image shows in a box, for training: its rows uint8 (h, w, C), and the box in them.

    `choose` gives the box (left, top, right, bottom) for the width and height of the upright image. The rows end with
    the box or later. A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if the box keeps the height and width of `shape`
    (C, H, W). Plain JPEGs come from libjpeg-turbo (jpeg.py), all others and all that it refuses from Pillow. Raises
    nearly anything for damaged bytes.
    """
    source = in_memory(source)
    plain = jpeg.layout(source) if isinstance(source, bytes) else None
    if plain and plain.upright and allowed(plain.width * plain.height, reading.limit):
        box = choose(plain.width, plain.height)
        found = _by_turbo(source, plain, box, shape=shape)
        if found:
            return found
    with opened(source, limit=reading.limit) as image:
        turn = orientation(image)
        box = choose(*upright_size(image, turn))
        if plain and not plain.upright and image.format == "JPEG" and turn == 1:
            found = _by_turbo(source, plain, box, shape=shape)
            if found:
                return found
        drafted, box = _drafted(image, turn, box, shape=shape, reading=reading)
        pixels = np.array(drafted)  # torch refuses read-only memory
    return pixels.reshape(*pixels.shape[:2], shape[0]), box


def _drafted(
    image: Image.Image, turn: int, box: Edges, *, shape: tuple[int, int, int], reading: Reading
) -> tuple[Image.Image, Edges]:
    """An opened image as `decode` gives it, a JPEG as small as the box may be for `shape`, and the box in it."""
    C, H, W = shape
    size, whole, shrink = upright_size(image, turn), image.size, jpeg.shrunk(box, height=H, width=W)
    image.draft(image.mode, (whole[0] // shrink, whole[1] // shrink))
    shrink = shrink if image.size != whole else 1
    found = eight_bits(image, channels=C, reading=reading)
    return found, _within(found.size, moved(box, size, found.size, shrink, turn), shrink)


def _by_turbo(
    data: bytes | Path, plain: jpeg.Layout, box: Edges, *, shape: tuple[int, int, int]
) -> tuple[np.ndarray, Edges] | None:
    """The upper rows of a plain JPEG and the box in them; None if they are left to Pillow."""
    C, H, W = shape
    if isinstance(data, Path) or (C == 1 and not plain.gray):
        return None
    shrink = jpeg.shrunk(box, height=H, width=W)
    pixels = jpeg.rows(data, plain, bottom=box[3], shrink=shrink)
    if pixels is None:
        return None
    box = _within((pixels.shape[1], pixels.shape[0]), box, shrink)
    return np.repeat(pixels, C, axis=2) if plain.gray and C > 1 else pixels, box


def _within(size: tuple[int, int], box: Edges, shrink: int) -> Edges:
    """The box in an image that was shrunk to `size` (width, height)."""
    left, top, right, bottom = box if shrink == 1 else [edge / shrink for edge in box]
    return left, top, min(right, size[0]), min(bottom, size[1])  # rounding may lead just outside


def eight_bits(image: Image.Image, *, channels: int, reading: Reading) -> Image.Image:
    """An opened image as `decode` gives it. Raises nearly anything for damaged bytes."""
    kind = kind_of(image.mode, image.format)  # a turned image has no format
    image.load()
    image = upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = to_eight_bits(image, kind, reading.gray)
    return _eight_bits(image, mode="L" if channels == 1 else "RGB")


def header(source: bytes | Path | BinaryIO, *, name: str, limit: int | None = None) -> Header:
    """Size and mode of the upright image, read from its header only. Raises BrokenImage."""
    try:
        with opened(source, limit=limit) as image:
            width, height = upright_size(image, orientation(image))
            raw = [str(tile.args) for tile in getattr(image, "tile", ())]  # RGB;16B
            deep = image.mode in ("RGB", "RGBA", "LA") and any("16" in args for args in raw)
            kind = kind_of(image.mode, image.format)
            return Header(width=width, height=height, mode=image.mode, kind=kind, deep_color=deep)
    except Exception as error:
        raise BrokenImage(name, reason(error)) from error


def fit(image: Image.Image, *, height: int, width: int, interpolation: Interpolation = "bilinear") -> Image.Image:
    """Resize the image (antialiased) to just cover `height` x `width`, then center-crop it."""
    scale = max(height / image.height, width / image.width)
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return _cut(image, size, (left, top, left + width, top + height), interpolation)


def resized(whole: tuple[int, int], size: int) -> tuple[int, int]:
    """(width, height) of an image of `whole` (width, height) resized to a shorter side of `size`, aspect ratio kept."""
    scale = size / min(whole)
    return max(size, round(whole[0] * scale)), max(size, round(whole[1] * scale))


def resize_box(
    image: Image.Image, box: tuple[float, float, float, float], *, height: int, width: int,
    interpolation: Interpolation = "bilinear",
) -> Image.Image:  # fmt: skip
    """The box (left, top, right, bottom) of the image resized to `height` x `width` (antialiased)."""
    return image.resize((width, height), FILTERS[interpolation], box=box)


def resize_shorter(
    image: Image.Image, size: int, *, box: Box | None = None, interpolation: Interpolation = "bilinear"
) -> Image.Image:
    """The image resized to a shorter side of `size` pixels (antialiased); of it only the `box`, if given."""
    whole = resized(image.size, size)
    return _cut(image, whole, box or (0, 0, *whole), interpolation)


def _cut(image: Image.Image, size: tuple[int, int], box: Box, interpolation: Interpolation) -> Image.Image:
    """The `box` of the image resized to `size`."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if size[0] * size[1] > STRIP * width * height:
        x, y = image.width / size[0], image.height / size[1]
        part = (left * x, top * y, right * x, bottom * y)
        return image.resize((width, height), FILTERS[interpolation], box=part)
    if image.size != size:
        image = image.resize(size, FILTERS[interpolation])
    return image if (width, height) == image.size else image.crop(box)


def _eight_bits(image: Image.Image, *, mode: str) -> Image.Image:
    if image.mode == mode and "transparency" not in image.info:
        return image.copy() if image.readonly else image
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode == "P":
        image = image.convert("RGB")
    return image.convert(mode)
