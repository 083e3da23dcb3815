"""PNGs: rows that are missing, of which Pillow says nothing, and what is said about them behind their data."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's color types
# Adam7: first column and row of each pass, and the steps between its columns and rows (PNG specification, 8.2).
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)  # an IHDR of one gray pixel
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
NAMED = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # what Pillow reads of them
LARGEST = 2**20  # bytes of a chunk; Pillow reads no longer texts
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
    for name, place, size in chunks(io.BytesIO(data)):
        if name == b"IDAT":
            yield data[place : place + size]


def about(image: Image.Image) -> Image.Image | None:
    """What is said of how an opened PNG lies, also behind its data, as a loaded image of one pixel; None: nothing.

    Pillow reads no further than to the data before it loads the image, which may be large.
    """
    file: Any = image.fp  # type: ignore[attr-defined]
    place = file.tell()
    try:
        notes = list(told(file))
    finally:
        file.seek(place)
    if not notes:
        return None
    small = (SIGNATURE, chunk(b"IHDR", PIXEL), *notes, chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b""))
    found = Image.open(io.BytesIO(b"".join(small)), formats=("PNG",))
    found.load()
    return found


def told(file: IO[bytes]) -> Iterator[bytes]:
    """The chunks of a PNG that may hold an orientation."""
    for name, place, size in chunks(file):
        known = name == b"eXIf" or (name in TEXTS and at(file, place, 24).startswith(NAMED))
        if known and size <= LARGEST:
            yield chunk(name, at(file, place, size))


def chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """The name of each chunk of a PNG, and the place and size of its content."""
    place = len(SIGNATURE)
    while len(head := at(file, place, 8)) == 8:
        size, name = struct.unpack(">I4s", head)
        yield name, place + 8, size
        place += 12 + size


def at(file: IO[bytes], place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
