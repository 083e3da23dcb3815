"""JPEGs decoded by libjpeg-turbo itself (the package simplejpeg), and no further down than wanted.

Only plain JPEGs: 8 bits, gray or YCbCr, the usual subsampling. Everything else, and all that a strict decoder would
refuse, is left to Pillow, which alone judges whether an image is broken.
"""

import re
import struct
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

SHRINKS = (8, 4, 2)  # libjpeg also knows 3/8, 5/8 ..., which are slower than decoding the next larger one of these
CONTEXT = 4  # rows below the last wanted: smooth upsampling of colors looks at the next row of colors
WORTH = 16  # rows; fewer are not worth a search through the data
SEGMENTS = 100  # more headers than any camera writes
LUMAS = (0x11, 0x21, 0x22)  # samples of brightness per sample of color: 4:4:4, 4:2:2, 4:2:0
BASELINE, PROGRESSIVE, SCAN, END = 0xC0, 0xC2, 0xDA, 0xD9
TABLES = (0xC4, 0xDB, 0xDD, 0xFE)  # Huffman codes, quantization, restart interval, comments
ADOBE, YCBCR, PREVIEWS = b"Adobe", b"\1", b"MPF\0"
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # in coded data, none but stuffed zeros, fill and restart markers


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the headers of a plain JPEG say, and where they say it."""

    width: int
    height: int
    gray: bool
    baseline: bool  # one pass from top to bottom, unlike a progressive one
    height_at: int  # where the height stands, two bytes
    scan: int  # where the coded data begin
    upright: bool  # nothing is said of an orientation, nor of a second picture


@cache
def turbo() -> ModuleType | None:
    """The package simplejpeg; None where it cannot be imported: Pillow then decodes everything."""
    try:
        import simplejpeg
    except Exception:  # also a wheel of another system
        return None
    return simplejpeg


def layout(data: bytes) -> Layout | None:
    """The layout of a plain JPEG; None for any other, for damaged headers, and where nobody could decode it."""
    if data[:2] != b"\xff\xd8" or turbo() is None:
        return None
    at, frame, upright = 2, None, True
    for _ in range(SEGMENTS):
        if at + 12 > len(data) or data[at] != 0xFF:
            return None
        code, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if code in (BASELINE, PROGRESSIVE):
            if frame is not None or (frame := _frame(data, at)) is None:
                return None
        elif code == SCAN and frame is not None:
            return Layout(**frame, scan=at + 2 + length, upright=upright)
        elif 0xE0 <= code <= 0xEF:
            if code == 0xE1 or (code == 0xE2 and data.startswith(PREVIEWS, at + 4)):
                upright = False  # whoever wants to know, asks Pillow
            elif code in (0xE0, 0xEE) and (length < 14 or _other_colors(data, at)):
                return None
        elif code not in TABLES:
            return None
        if length < 4:
            return None
        at += 2 + length
    return None


def _other_colors(data: bytes, at: int) -> bool:
    """Whether the segment at `at` is Adobe's and says that the colors are not YCbCr."""
    return data.startswith(ADOBE, at + 4) and data[at + 15 : at + 16] != YCBCR


def _frame(data: bytes, at: int) -> dict[str, Any] | None:
    """Of a frame's header at `at`: what Layout holds of it, or None unless it is plain."""
    bits, height, width, parts = struct.unpack_from(">BHHB", data, at + 4)
    ids, sampled = data[at + 10 : at + 10 + 3 * parts : 3], data[at + 11 : at + 11 + 3 * parts : 3]
    usual = (ids == b"\x01\x02\x03" and sampled[0] in LUMAS and sampled[1:] == b"\x11\x11") or parts == 1
    if not usual or bits != 8 or not height or not width or data[at + 3] != 8 + 3 * parts:
        return None
    return {"width": width, "height": height, "gray": parts == 1, "baseline": data[at + 1] == BASELINE,
            "height_at": at + 5}  # fmt: skip


def shrunk(box: tuple[float, float, float, float], *, height: int, width: int) -> int:
    """The largest of 8, 4, 2 and 1 by which an image may be shrunk so that the box keeps height x width pixels."""
    left, top, right, bottom = box
    most = min((bottom - top) / height, (right - left) / width)
    return next((each for each in SHRINKS if each <= most), 1)


def rows(data: bytes, found: Layout, *, bottom: float, shrink: int) -> np.ndarray | None:
    """The rows 0 .. bottom of a plain JPEG, and perhaps some more: uint8 (h, w, 3), or (h, w, 1) of a gray one.

    `bottom` counts the image's own rows; the result is `shrink` times smaller. None if anything is unusual.
    """
    module, height = turbo(), found.height
    if module is None:
        return None
    last = -(-int(bottom + CONTEXT * shrink) // shrink) * shrink
    cut = last + WORTH <= height and ends_plainly(data, found)
    if cut:
        height = last
    h, w = -(-height // shrink), -(-found.width // shrink)
    least = {} if shrink == 1 else {"min_height": h, "min_width": w, "min_factor": shrink}
    try:
        # What follows the last row is reported as extraneous; `ends_plainly` has shown that it is more of the same.
        upper = shortened(data, found, height=height) if cut else data
        pixels = module.decode_jpeg(upper, "GRAY" if found.gray else "RGB", strict=not cut, **least)
    except (ValueError, MemoryError):
        return None
    return pixels if pixels.shape == (h, w, 1 if found.gray else 3) else None


def ends_plainly(data: bytes, found: Layout) -> bool:
    """Whether the image is one baseline scan and its end: then no decoder can refuse what a part of it passes."""
    if not found.baseline:
        return False
    marker = MARKER.search(data, found.scan)
    return marker is not None and marker[0][1] == END


def shortened(data: bytes, found: Layout, *, height: int) -> bytearray:
    """The same JPEG with a smaller height in its header: the decoder stops after so many rows."""
    copy = bytearray(data)
    struct.pack_into(">H", copy, found.height_at, height)
    return copy
