"""An uncompressed copy of parquet's images, as parquet can only be read one row group at a time."""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, arg, tell
from reslab.images.sources.unchanged import state
from reslab.progress.row import duration, in_bytes
from reslab.stored.files import named

try:
    import fcntl
except ImportError:  # Windows has no flock: there each process of a training writes a copy, and the last one stays
    fcntl = None  # type: ignore[assignment]

EVERY = 10.0  # seconds between two lines of progress
WORTH = 2**28  # bytes from which a copy is announced

Column = tuple[Path, str]
"""A file and its image column."""


def copied(columns: list[Column], cache: Path, chunks: Callable[[list[Column]], Iterator[Any]], schema: Any) -> Path:
    """The images of the columns as one Arrow stream in `cache`, made once; of several processes, by the first.

    Raises ReslabError if the disk has no room for it.
    """
    target = cache / "arrow" / f"{key(columns)}.arrows"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.with_suffix(".lock")):
        if not target.exists():
            _write(columns, target, chunks, schema)
    return target


def key(columns: list[Column]) -> str:
    """A name for these columns of these files, as they are now: parquet's end has its columns' sizes and statistics."""
    seen = []
    for path, name in columns:
        with path.open("rb") as file:
            seen.append((str(path.resolve()), name, state(path, file)))
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _write(columns: list[Column], target: Path, chunks: Callable[[list[Column]], Iterator[Any]], schema: Any) -> None:
    import pyarrow as pa

    needed = sum(_size(file) for file in dict.fromkeys(file for file, _ in columns))
    if needed > WORTH:
        files = columns[0][0].name if len(columns) == 1 else f"{len(columns)} parquet files"
        tell("copying the images of %s once, uncompressed, to %s (%s)", files, target, in_bytes(needed))
    aside, done = target.with_suffix(f".{os.getpid()}"), 0
    began = told = time.perf_counter()
    try:
        with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for chunk in chunks(columns):
                writer.write_batch(pa.record_batch([chunk], schema=schema))
                done, now = done + chunk.nbytes, time.perf_counter()
                if now - told > EVERY and done < needed:
                    told = now
                    tell("copied %s of %s, about %s left", in_bytes(done), in_bytes(needed),
                         duration((needed - done) * (now - began) / done))  # fmt: skip
        aside.replace(target)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ReslabError(f"the disk of {named(target.parent)} is full: the uncompressed copy of the images takes "
                          f"about {in_bytes(needed)}; choose another folder with ", arg("root")) from error  # fmt: skip
    finally:
        aside.unlink(missing_ok=True)


def _size(file: Path) -> int:
    """Bytes of a file's rows, uncompressed, as its metadata state them: nearly all of them are images."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        groups = [parquet.metadata.row_group(k) for k in range(parquet.metadata.num_row_groups)]
        return sum(group.total_byte_size for group in groups)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process after another, where the file system has locks."""
    with path.open("a") as file:
        if fcntl:
            with contextlib.suppress(OSError):  # without locks each writes its own file, and the last one stays
                fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
