"""Reading a whole encoded part into memory."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.data.decode import BrokenImage
from reslab.data.images import Encoded, Pixels
from reslab.data.workers import cpu_count, in_order

CHUNK_BYTES = 2 * 2**20  # what travels from a worker at once: containers often give 64 MiB of shared memory
WORTH_WORKERS = 2000  # images; starting processes takes about as long as decoding this many small ones


class Chunks(Dataset[Any]):
    """Step k decodes images [k * chunk, (k+1) * chunk): uint8 (B, C, H, W), their indices, the broken."""

    def __init__(self, part: Encoded, chunk: int) -> None:
        self.part, self.chunk = part, chunk

    def __len__(self) -> int:
        return -(-len(self.part) // self.chunk)

    def __getitem__(self, k: int) -> tuple[Tensor, list[int], list[tuple[str, str]]]:
        indices = range(k * self.chunk, min(len(self.part), (k + 1) * self.chunk))
        pixels = torch.empty((len(indices), *self.part.shape), dtype=torch.uint8)
        kept: list[int] = []
        broken: list[tuple[str, str]] = []
        for i in indices:
            try:
                pixels[len(kept)] = self.part.pixels(i)
                kept.append(i)
            except BrokenImage as error:  # as values: an exception loses its class on the way out of a worker
                broken.append((error.name, error.reason))
        return pixels[: len(kept)], kept, broken


def read(part: Encoded, *, workers: int | None = None) -> tuple[Pixels, list[BrokenImage]]:
    """The part decoded into memory, without its broken images, and those.

    `workers`: processes that decode; None: as many as there are processors where it is worth it.
    """
    if workers is None:
        workers = min(cpu_count(), 8) if len(part) >= WORTH_WORKERS else 0
    C, H, W = part.shape
    steps = Chunks(part, max(1, min(512, CHUNK_BYTES // (C * H * W))))
    pixels = torch.empty((len(part), C, H, W), dtype=torch.uint8)
    rows: list[int] = []
    broken: list[BrokenImage] = []
    for decoded, kept, failures in in_order(steps, range(len(steps)), workers=workers):
        pixels[len(rows) : len(rows) + len(kept)] = decoded
        rows += kept
        broken += [BrokenImage(name, reason) for name, reason in failures]
    return Pixels(pixels=pixels[: len(rows)], labels=part.labels[rows]), broken
