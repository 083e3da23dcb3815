"""Decode many images in order, a batch at a time: broken ones are reported, memory stays bounded. No torch."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.inputs import Source
from reslab.images.pixels import PixelReader
from reslab.train.cores import usable_cores

MOST_WORKERS = 8
WORTH_BYTES = 10 * 2**20  # of encoded images: starting processes takes about as long as decoding this much
AHEAD = 2  # batches that threads decode in advance
NOT_FINITE = "the net's scores for it are not finite numbers, so it has no most probable class"

One = tuple[np.ndarray, list[str]] | BrokenImage


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the images in order: those predicted, and those that could not be read.

    An image for which the net gives no finite score has no most probable class: it counts among the broken ones.
    """

    index: list[int]  # of the images predicted
    values: np.ndarray  # float64 (B, K): probabilities
    broken: list[tuple[int, str]]  # (index, reason)
    remarks: Counter[str]  # see pixels.REMARKS
    done: int  # images so far

    def __post_init__(self) -> None:
        good = np.isfinite(self.values).all(axis=1) if len(self.index) else np.ones(0, bool)
        if not good.all():
            lost = [(i, NOT_FINITE) for i, fine in zip(self.index, good, strict=True) if not fine]
            object.__setattr__(self, "broken", sorted([*self.broken, *lost]))
            object.__setattr__(self, "index", [i for i, fine in zip(self.index, good, strict=True) if fine])
            object.__setattr__(self, "values", self.values[good])


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A batch of images, less the broken ones."""

    pixels: np.ndarray  # uint8 (B, H, W, C)
    index: list[int]  # of these B
    broken: list[tuple[int, str]]  # (index, reason)
    remarks: list[str]  # keys of pixels.REMARKS


def decode_one(source: Source, reader: PixelReader) -> One:
    """The image's pixels and remarks, or why there are none, as a value: in a worker, an exception loses its class."""
    try:
        return reader.read(source)
    except BrokenImage as error:
        return error


def collect(found: Sequence[One], first: int, reader: PixelReader) -> Decoded:
    """A batch of what `decode_one` gave for the images from number `first` on."""
    C, H, W = reader.shape
    kept = [(first + i, one) for i, one in enumerate(found) if not isinstance(one, BrokenImage)]
    broken = [(first + i, one.reason) for i, one in enumerate(found) if isinstance(one, BrokenImage)]
    pixels = np.stack([one[0] for _, one in kept]) if kept else np.empty((0, H, W, C), np.uint8)
    remarks = [key for _, one in kept for key in one[1]]
    return Decoded(pixels=pixels, index=[i for i, _ in kept], broken=broken, remarks=remarks)


def in_batches(sources: Sequence[Source], reader: PixelReader, *, batch: int, threads: int) -> Iterator[Decoded]:
    """All images in order. `threads` decode in advance (Pillow releases Python's lock); 0: none, nothing in advance."""
    starts = range(0, len(sources), batch)
    if not threads:
        for k in starts:
            rows = range(k, min(len(sources), k + batch))
            yield collect([decode_one(sources[i], reader) for i in rows], k, reader)
        return
    waiting: deque[Future[One]] = deque()
    submitted = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for k in starts:
                while submitted < min(len(sources), k + AHEAD * batch):
                    waiting.append(submit(pool, sources[submitted], reader))
                    submitted += 1
                found = [waiting.popleft().result() for _ in range(min(batch, len(sources) - k))]
                yield collect(found, k, reader)
        finally:  # also if nobody wants the rest
            pool.shutdown(wait=False, cancel_futures=True)


def submit(pool: ThreadPoolExecutor, source: Source, reader: PixelReader) -> "Future[One]":
    """Decode in a thread; a PIL image, which its user may have given twice and which loads itself, at once."""
    if not isinstance(source, Image.Image):
        return pool.submit(decode_one, source, reader)
    done: Future[One] = Future()
    done.set_result(decode_one(source, reader))
    return done


def workers_for(sources: Sequence[Source]) -> int:
    """Number of decoding processes: one per usable core up to 8, or 0 if there is too little to decode."""
    some = [sources[i] for i in range(0, len(sources), max(1, len(sources) // 100))]
    sizes = [size for source in some if isinstance(source, Path) and (size := length(source)) > 0]
    mean = sum(sizes) / len(sizes) if sizes else 0
    return min(usable_cores(), MOST_WORKERS) if mean * len(sources) >= WORTH_BYTES else 0


def length(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0
