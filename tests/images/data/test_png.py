"""PNGs that lack rows are refused, whole ones are not, whatever their last row holds."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data.decode import decode
from reslab.images.data.png import inflated, needed


def png(rows: int, *, height: int = 64, width: int = 5, depth: int = 8, color: int = 2, value: int = 7) -> bytes:
    """A PNG of sound chunks whose data holds so many rows of one value."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    raw = (b"\0" + bytes([value]) * -(-width * channels * depth // 8)) * rows

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(24))) if color == 3 else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("depth", "color"), [(8, 2), (8, 0), (1, 0), (16, 0), (2, 3), (8, 4), (8, 6), (16, 2)])
def test_missing_rows_are_no_black_ones(depth: int, color: int) -> None:
    for value in (0, 7):
        assert decode(png(64, depth=depth, color=color, value=value), channels=3, name="a").size == (5, 64)
        for rows in (1, 8, 63):
            with pytest.raises(BrokenImage, match="it is truncated: its data ends before its last row"):
                decode(png(rows, depth=depth, color=color, value=value), channels=3, name="a")


def test_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "short.png"
    path.write_bytes(png(8))
    with pytest.raises(BrokenImage, match="it is truncated: its data ends before its last row"):
        decode(path, channels=3, name="short.png")


# Adam7 (PNG specification 1.2, 8.2), 1 x 1 to 9 x 9 pixels of one byte: each pass has its rows and their filters.
INTERLACED = {(1, 1): 1 + 1, (8, 8): 64 + 1 + 1 + 1 + 2 + 2 + 4 + 4, (2, 1): 2 + 2}


@pytest.mark.parametrize(("size", "expected"), INTERLACED.items())
def test_the_bytes_of_interlaced_rows(size: tuple[int, int], expected: int) -> None:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 1)
    assert needed(head) == expected


def test_what_pillow_writes_is_whole() -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"):
        file = io.BytesIO()
        Image.new(mode, (9, 13)).save(file, "PNG")
        assert inflated(file.getvalue()) == needed(file.getvalue())
        decode(file.getvalue(), channels=1, name="black")


def test_floats_without_a_number_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(file, "TIFF")
    with pytest.raises(BrokenImage, match="none of its values is a number"):
        decode(file.getvalue(), channels=1, name="a")
