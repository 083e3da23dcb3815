"""PNGs whose data ends early in good order: Pillow leaves the rows that are missing black, without a word."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's color types
# Adam7: first column and row of each pass, and the steps between its columns and rows (PNG specification, 8.2).
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PIECE = 2**20  # bytes that are inflated at a time


def lacks_rows(source: bytes | Path, image: Image.Image) -> bool:
    """Whether the data of an opened PNG that was loaded is shorter than its size needs.

    The data is inflated a second time only if that may be so: the last row is empty, or the rows are interlaced.
    """
    if getattr(image, "tile", None) or not image.height:
        return False  # only its header was read
    last = image.crop((0, image.height - 1, image.width, image.height))
    if not image.info.get("interlace") and np.asarray(last).any():
        return False
    data = source if isinstance(source, bytes) else source.read_bytes()
    return inflated(data) < needed(data)


def needed(data: bytes) -> int:
    """Bytes of all rows, each with the byte that names its filter."""
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = CHANNELS[color] * depth
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes if x < width and y < height]
    return sum(h * (1 + (w * bits + 7) // 8) for w, h in sizes)


def inflated(data: bytes) -> int:
    """Bytes that the data of a PNG holds."""
    found, stream = 0, zlib.decompressobj()
    for part in parts(data):
        while part and not stream.eof:
            found += len(stream.decompress(part, PIECE))
            part = stream.unconsumed_tail
    while not stream.eof and (more := stream.decompress(b"", PIECE)):
        found += len(more)
    return found


def parts(data: bytes) -> Iterator[bytes]:
    """The contents of the IDAT chunks."""
    place = 8
    while place + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[place : place + 8])
        if name == b"IDAT":
            yield data[place + 8 : place + 8 + size]
        place += 12 + size
