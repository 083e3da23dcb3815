"""Read bytes at places of many files, each process by itself: with pread, so that forks and threads do not disturb."""

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OPEN = 64  # files that a process keeps open; a thousand shards would meet the system's limit


class OpenFiles:
    """Files that are opened when they are first read; sent to another process, they are opened again there."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.files: OrderedDict[int, int] = OrderedDict()  # number of the file: its descriptor
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["paths"])  # type: ignore[misc]

    def read(self, k: int, offset: int, size: int) -> bytes:
        """`size` bytes of file k from `offset` on, fewer at its end. Raises OSError."""
        with self.lock:
            file = self._file(k)
            if hasattr(os, "pread"):
                return _whole(file, offset, size)
            os.lseek(file, offset, os.SEEK_SET)  # Windows, which has no fork
            return os.read(file, size)

    def state(self, k: int) -> tuple[int, int]:
        """Bytes of file k and its time of change in nanoseconds. Raises OSError."""
        with self.lock:
            found = os.fstat(self._file(k))
        return found.st_size, found.st_mtime_ns

    def _file(self, k: int) -> int:
        """The descriptor of file k. The lock must be held."""
        file = self.files.pop(k, None)
        if file is None:
            if len(self.files) >= OPEN:
                os.close(self.files.popitem(last=False)[1])
            file = os.open(self.paths[k], os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.files[k] = file  # the last one used is the last one closed
        return file

    def __del__(self) -> None:
        for file in self.files.values():
            os.close(file)


def _whole(file: int, offset: int, size: int) -> bytes:
    """One pread may give less than is asked for."""
    data = os.pread(file, size, offset)
    while 0 < len(data) < size and (more := os.pread(file, size - len(data), offset + len(data))):
        data += more
    return data
