"""Small WebDataset shards, written by Python's tarfile: the images can be told apart by their red value."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def png(value: int, size: tuple[int, int] = (4, 4)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (value, 0, 0)).save(out, "PNG")
    return out.getvalue()


def shard(path: Path, members: Sequence[tuple[str, bytes]], *, format: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of these (name, content) pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size, about.mtime = len(content), 1.5  # a fraction of a second gives each member a pax header
            tar.addfile(about, io.BytesIO(content))
    return path


def examples(values: Sequence[int], *, classes: int = 2, key: str = "{:04d}") -> list[tuple[str, bytes]]:
    """An image of each red value and its class, value % classes, under one key."""
    return [(f"{key.format(k)}.{ending}", content) for k in values
            for ending, content in (("png", png(k)), ("cls", str(k % classes).encode()))]  # fmt: skip


def folder(root: Path, *, shards: int = 3, each: int = 10, name: str = "data") -> Path:
    """A folder of shards, with `each` images in every shard."""
    for s in range(shards):
        shard(root / f"{name}-{s:03d}.tar", examples(range(s * each, (s + 1) * each)))
    return root
