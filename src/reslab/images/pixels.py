"""One image as pixels of a net's size, read as the images of its training were; no torch."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data.decode import FILTERS, Interpolation, Reading, eight_bits, fit
from reslab.images.data.gray import GRAY_MODES, KINDS, checked, kind_of
from reslab.images.data.opened import opened, reason
from reslab.images.inputs import Source

Shape = tuple[int, int, int]  # C, H, W

REMARKS = {  # what may have been changed of an image: one image, several
    "gray": ("1 gray image read as RGB", "{:,} gray images read as RGB"),
    "color": ("1 color image converted to gray", "{:,} color images converted to gray"),
    "scale": (
        "1 gray image of more than 8 bits scaled by its own values (there was none in training)",
        "{:,} gray images of more than 8 bits scaled each by its own values (there was none in training)",
    ),
    "frames": (
        "1 animated image: only its first frame was read",
        "{:,} animated images: only their first frames were read",
    ),
}


@dataclass(frozen=True, kw_only=True)
class PixelReader:
    """Any image -> uint8 (H, W, C) of the net's `shape` (C, H, W): decoded, resized to cover H x W, center-cropped."""

    shape: Shape
    reading: Reading

    def read(self, source: Source) -> tuple[np.ndarray, list[str]]:
        """uint8 (H, W, C), and the keys of REMARKS that apply. Raises BrokenImage."""
        name = str(source) if isinstance(source, Path) else "image"
        try:
            if isinstance(source, Image.Image):
                return self._read(source)
            with opened(source, limit=self.reading.limit) as image:
                return self._read(image)
        except Exception as error:  # on damaged bytes, Pillow's readers raise nearly anything
            raise BrokenImage(name, reason(error)) from error

    def _read(self, image: Image.Image) -> tuple[np.ndarray, list[str]]:
        C, H, W = self.shape
        gray, kind = image.mode in GRAY_MODES, kind_of(image.mode, image.format)
        said = {
            "gray": gray and C == 3,
            "color": not gray and C == 1,
            "scale": kind is not None and kind not in self.reading.gray,
            # phones put a second picture into a JPEG, which is then an MPO
            "frames": image.format != "MPO" and getattr(image, "is_animated", False),
        }
        fitted = fit(eight_bits(image, channels=C, reading=self.reading), height=H, width=W,
                     interpolation=self.reading.interpolation)  # fmt: skip
        return np.asarray(fitted).reshape(H, W, C), [key for key, applies in said.items() if applies]


def fitted(images: np.ndarray, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> np.ndarray:
    """uint8 (N, h, w, C) -> (N, H, W, C), each image as images are decoded: resized to cover, center-cropped."""
    H, W = size
    if images.shape[1:3] == size or not len(images):
        return images if images.shape[1:3] == size else np.empty((0, H, W, images.shape[3]), np.uint8)
    flat = images[..., 0] if images.shape[3] == 1 else images
    made = [np.asarray(fit(Image.fromarray(one), height=H, width=W, interpolation=interpolation)) for one in flat]
    return np.stack(made).reshape(len(images), H, W, images.shape[3])


def reading_of(about: Mapping[str, Any]) -> Reading:
    """How images are decoded, from the data.json of a run (its "options" and "gray")."""
    options, white = about["options"], about["options"].get("white")
    asked: dict[str, Any] = dict.fromkeys(KINDS, (0.0, float(white))) if isinstance(white, int | float) else white or {}
    gray = {kind: checked(ends) for kind, ends in {**asked, **about.get("gray", {})}.items()}
    how: Any = options.get("interpolation") or "bilinear"
    if how not in FILTERS:
        raise ReslabError(f"interpolation in data.json must be {' or '.join(FILTERS)}, got {how!r}")
    return Reading(gray=gray, limit=options.get("max_pixels"), interpolation=how)


def remarked(counts: Counter[str]) -> tuple[str, ...]:
    """The remarks as sentences, for counts by key."""
    return tuple(one if n == 1 else many.format(n) for key, (one, many) in REMARKS.items() if (n := counts[key]))
