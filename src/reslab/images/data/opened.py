"""Open an encoded image of a stranger: only regular files, only known formats, only so many pixels."""

import contextlib
import io
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from reslab.images.data.png import lacks_rows

# What the extensions of sources/folder.py stand for. Pillow chooses a reader by content, and others than these start
# programs (Ghostscript for PostScript) or are rarely tested. JPEG includes MPO: a second picture, as phones write it.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SHOWN = "BMP, GIF, JPEG, PNG, PPM, TIFF or WebP"

LONGEST = 2**26  # bytes of a file that are read at once

_lock = threading.Lock()  # Pillow's limit is global


@contextlib.contextmanager
def opened(source: bytes | Path | BinaryIO, *, limit: int | None = None) -> Iterator[Image.Image]:
    """The image, of which only the header is read yet; of an open file, no more can be read.

    `limit`: the most pixels it may have; None: Pillow's. Raises nearly anything for damaged bytes; `reason` words it.
    """
    if isinstance(source, Path):
        found = source.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a fifo would wait for ever
            raise ValueError("it is not a regular file")
        if found.st_size == 0:
            raise ValueError("it is empty")
    elif isinstance(source, bytes) and not source:
        raise ValueError("it is empty")
    with _lock:
        most = Image.MAX_IMAGE_PIXELS if limit is None else limit
    try:
        with _begun(io.BytesIO(source) if isinstance(source, bytes) else source, limit) as image:
            # Pillow only warns between its limit and twice its limit; a worker should refuse before it allocates.
            if most is not None and image.width * image.height > most:
                raise Image.DecompressionBombError
            yield image
            if image.format == "PNG" and isinstance(source, bytes | Path) and lacks_rows(source, image):
                raise ValueError("it is truncated: its data ends before its last row")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(too_many(most)) from error


def too_many(most: int | None) -> str:
    """Why an image of more pixels is refused."""
    return f"it has more than {most or 0:,} pixels (max_pixels): refused as a decompression bomb"


def allowed(pixels: int, limit: int | None) -> bool:
    """Whether an image may have so many pixels; `limit` as for `opened`."""
    most = Image.MAX_IMAGE_PIXELS if limit is None else limit
    return most is None or pixels <= most


def in_memory(source: bytes | Path) -> bytes | Path:
    """The bytes of a file, read at once; the path itself if `opened` should refuse it, or if it is very long."""
    if isinstance(source, bytes):
        return source
    found = source.stat()
    return source.read_bytes() if stat.S_ISREG(found.st_mode) and 0 < found.st_size <= LONGEST else source


def _begun(file: BinaryIO | Path, limit: int | None) -> Image.Image:
    """The opened image. Pillow's limit is another only while the header is read, so that threads decode at once."""
    with _lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = before if limit is None else limit
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def reason(error: Exception) -> str:
    """Why an image cannot be read, for a sentence that names it."""
    if isinstance(error, UnidentifiedImageError):
        return f"it is not an image that Pillow can read as {SHOWN}"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).strip() or type(error).__name__
