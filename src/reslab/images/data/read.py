"""Read a whole encoded part into memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.data.images import Encoded, Pixels
from reslab.train.workers import decoding_workers, in_order

CHUNK_BYTES = 2 * 2**20  # what a worker sends at once: containers often have only 64 MiB of shared memory


class Chunks(Dataset[Any]):
    """Step k decodes images [k * chunk, (k+1) * chunk): uint8 (B, C, H, W), their indices, and the broken ones."""

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
            except BrokenImage as error:  # returned as values: an exception from a worker loses its class
                broken.append((error.name, error.reason))
        return pixels[: len(kept)], kept, broken


def chunks(part: Encoded, workers: int | None = None) -> Iterator[tuple[Tensor, list[int], list[tuple[str, str]]]]:
    """The steps of `Chunks`, each small enough to send between processes; `workers` as for `read_images`."""
    C, H, W = part.shape
    steps = Chunks(part, max(1, min(512, CHUNK_BYTES // (C * H * W))))
    return in_order(steps, range(len(steps)), workers=decoding_workers(len(part)) if workers is None else workers)


def sort_out(part: Encoded) -> tuple[list[int], list[BrokenImage]]:
    """The indices of the readable images of the part, and the broken ones. Reads every image and keeps none."""
    good: list[int] = []
    broken: list[BrokenImage] = []
    for _, kept, failures in chunks(part):
        good += kept
        broken += [BrokenImage(name, reason) for name, reason in failures]
    return good, broken


def read_images(part: Encoded, *, workers: int | None = None) -> tuple[Pixels, list[BrokenImage]]:
    """The part decoded into memory without its broken images, and the broken images.

    `workers`: number of decoding processes; None: chosen by the number of images.
    """
    C, H, W = part.shape
    pixels = torch.empty((len(part), C, H, W), dtype=torch.uint8)
    rows: list[int] = []
    broken: list[BrokenImage] = []
    for decoded, kept, failures in chunks(part, workers):
        pixels[len(rows) : len(rows) + len(kept)] = decoded
        rows += kept
        broken += [BrokenImage(name, reason) for name, reason in failures]
    return Pixels(pixels=pixels[: len(rows)], labels=part.labels[rows], files=part.subset(rows)), broken
