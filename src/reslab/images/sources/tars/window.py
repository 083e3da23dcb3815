"""A part of an open file as a file of its own: the header of an image in a shard is read without the image."""

import io
from typing import Any, BinaryIO

PIECE = 8192  # bytes read at once; most headers of images are shorter


class Window(io.RawIOBase):
    """The bytes [offset, offset + size) of `file`, which nobody else moves meanwhile."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self.file, self.offset, self.size, self.at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = max(0, start + place)
        return self.at

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.offset + self.at)
        piece = self.file.read(max(0, min(len(buffer), self.size - self.at)))
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def window(file: BinaryIO, offset: int, size: int) -> io.BufferedReader:
    """The same, buffered."""
    return io.BufferedReader(Window(file, offset, size), PIECE)
