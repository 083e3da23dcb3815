"""Gray of more than 8 bits: which values are black and white, decided once for a whole data set.

A file does not say what its white is: a 16-bit PNG may hold 12 bits, a float TIFF 0..1 or 0..255. Decided image by
image, two images of one set may be scaled 255-fold apart.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image

from reslab.errors import ReslabError

KINDS = ("16-bit", "integer", "float")  # how Pillow holds such gray: I;16, I and F
Range = tuple[float, float]
Ranges = Mapping[str, Range]
"""(black, white) for each kind that a data set holds."""

GRAY_MODES = frozenset({"1", "L", "LA", "La", "F", "I", "I;16", "I;16L", "I;16B", "I;16N"})
OVERSHOOT = 1.25  # a float up to this times white is still of its scale: resampling overshoots


def kind_of(mode: str, format: str | None) -> str | None:
    """One of KINDS for gray of more than 8 bits whose file does not name its white; None for any other image."""
    if mode == "I" and format == "PPM":  # a PGM names it, and Pillow has scaled it to 65535
        return None
    if mode.startswith("I;16"):
        return "16-bit"
    return {"I": "integer", "F": "float"}.get(mode)


def extent(image: Image.Image) -> Range:
    """The smallest and largest finite value; (0, 0) if there is none."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def decide(kind: str, extents: Iterable[Range]) -> Range:
    """(black, white) for images with these smallest and largest values.

    White is the largest value of the fewest bits, 8 or more, that hold every value: 255, 511, ... 65535. For floats it
    is 1 or 255 if no value is above it by more than a quarter. With negative values, the range is the measured one.
    """
    lows, highs = zip(*extents, strict=True)
    low, high = min(lows), max(highs)
    scales = (1.0, 255.0) if kind == "float" else ()
    white = next((scale for scale in scales if high <= OVERSHOOT * scale), None)
    if white is None:
        white = float(2 ** max(8, int(np.ceil(high)).bit_length()) - 1) if high < 2**31 else high
    if low >= 0 or (scales and low >= (1 - OVERSHOOT) * white):
        return 0.0, white
    return low, high if high > low else low + 1.0


def to_eight_bits(image: Image.Image, kind: str | None, ranges: Ranges) -> Image.Image:
    """The image of `kind` as mode L: black..white becomes 0..255, values outside are clipped, NaN is black.

    A kind that `ranges` lacks is decided by this image alone. Raises ValueError if no value is a number.
    """
    if kind == "float" and not np.isfinite(np.asarray(image)).any():
        raise ValueError("none of its values is a number")
    black, white = (0.0, 65535.0) if kind is None else ranges.get(kind) or decide(kind, [extent(image)])
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=black, posinf=white, neginf=black)
    return Image.fromarray(np.rint((values.clip(black, white) - black) * (255 / (white - black))).astype(np.uint8))


def described(ranges: Ranges) -> list[str]:
    """`16-bit gray: 0 is black and 4,095 white` for each kind."""
    return [f"{kind} gray: {black:,.6g} is black and {white:,.6g} white" for kind, (black, white) in ranges.items()]


def checked(ends: Sequence[float]) -> Range:
    """(black, white) from a stored list. Raises ReslabError unless it is two numbers, the smaller first."""
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ReslabError(f"black and white of gray images must be two numbers, the smaller first, got {list(ends)}")
    return float(ends[0]), float(ends[1])
