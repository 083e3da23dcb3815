"""One shard being written: under another name until it is whole, with its digest."""

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from reslab.images.sources.tars.headers import BLOCK, padded
from reslab.stored.shards import Shard
from reslab.stored.write import explained, sync


class ShardFile:
    """Inside the `with`, examples are added; `close` gives the shard its name. Without it, nothing stays.

    Members have no time and no owner, so that the same examples are the same bytes.
    """

    def __init__(self, path: Path, start: int) -> None:
        self.path, self.start = path, start
        self.aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.images, self.bytes, self.digest = 0, 0, hashlib.sha256()

    def __enter__(self) -> "ShardFile":
        with explained(self.path):
            self.file = self.aside.open("wb")
        return self

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        """The members of one example."""
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            self.write(about.tobuf(tarfile.PAX_FORMAT) + content + bytes(padded(len(content)) - len(content)))
        self.images += 1

    def write(self, data: bytes) -> None:
        with explained(self.path):
            self.file.write(data)
        self.digest.update(data)
        self.bytes += len(data)

    def close(self, stop: int) -> Shard:
        """End the tar, wait until it is on the disk, and name it: the record of the shard up to image `stop`."""
        self.write(bytes(2 * BLOCK))
        with explained(self.path):
            self.file.flush()
            sync(self.file)
            self.file.close()
            os.replace(self.aside, self.path)
        return Shard(file=self.path.name, start=self.start, stop=stop, images=self.images, bytes=self.bytes,
                     sha256=self.digest.hexdigest())  # fmt: skip

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self.aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left of shards."""
    for aside in folder.glob(".*.tar.*.part"):
        with contextlib.suppress(OSError):
            aside.unlink()
