"""Make a data set of listed images: one size, one number of channels, in memory if it fits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data.decode import header
from reslab.images.data.images import Encoded, ImageData, Part, Shape, fingerprint
from reslab.images.data.read import read_images
from reslab.images.sources.encoded import Sources
from reslab.train.split import fixed_split

SAMPLE = 512  # headers read to choose a size
LARGE_SIDE = 128  # median shorter side from which images count as photographs
PHOTO, SMALL = 224, 32  # sizes chosen when the images' sizes differ: ImageNet's and CIFAR's


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images whose size is not known yet: `sources[rows[i]]` holds image i, of class labels[i]."""

    sources: Sources
    rows: Tensor
    labels: Tensor

    @classmethod
    def of(cls, sources: Sources, labels: Tensor) -> "Listing":
        """All of `sources`."""
        return cls(sources=sources, rows=torch.arange(len(sources)), labels=labels)

    def split(self, classes: tuple[str, ...]) -> tuple["Listing", "Listing"]:
        """The fixed stratified split: four fifths for training, one fifth for testing."""
        train, test = fixed_split(self.labels, classes=classes)
        return (
            replace(self, rows=self.rows[train], labels=self.labels[train]),
            replace(self, rows=self.rows[test], labels=self.labels[test]),
        )


def assemble(
    *,
    name: str,
    train: Listing,
    test: Listing,
    classes: tuple[str, ...],
    size: int | None,
    memory: int,
    about: str,
) -> ImageData:
    """The data set; in memory if it takes at most `memory` bytes as uint8, otherwise encoded.

    Broken training images are skipped and listed; a broken test image raises BrokenImage.
    """
    shape, how = _survey(train, size=size)
    parts: list[Part] = [
        Encoded(sources=listing.sources, rows=listing.rows, labels=listing.labels, shape=shape)
        for listing in (train, test)
    ]
    skipped: tuple[str, ...] = ()
    C, H, W = shape
    if (len(parts[0]) + len(parts[1])) * C * H * W <= memory:
        parts, skipped = _in_memory(parts, classes)
    return ImageData(
        name=name,
        train=parts[0],
        test=parts[1],
        classes=classes,
        shape=shape,
        fingerprint=fingerprint(parts[0], parts[1], classes=classes),
        skipped=skipped,
        about=f"{about}, {how}.",
    )


def _in_memory(parts: list[Part], classes: tuple[str, ...]) -> tuple[list[Part], tuple[str, ...]]:
    train, test = parts
    assert isinstance(train, Encoded)
    assert isinstance(test, Encoded)
    test_pixels, broken = read_images(test)
    if broken:
        raise BrokenImage(broken[0].name, broken[0].reason, others=len(broken) - 1)
    pixels, broken = read_images(train)
    if len(pixels) == 0:
        raise ReslabError(f"no training image can be read (first: {broken[0]})")
    lost = sorted(set(train.labels.tolist()) - set(pixels.labels.tolist()))
    if lost:
        raise ReslabError(
            f"no training image of class {classes[lost[0]]!r} can be read; replace its images or remove the class "
            f"({len(broken)} broken images in total, first: {broken[0].name}: {broken[0].reason})"
        )
    return [pixels, test_pixels], tuple(f"{error.name}: {error.reason}" for error in broken)


def _survey(listing: Listing, *, size: int | None) -> tuple[Shape, str]:
    """The (C, H, W) that every image will have, and how it was chosen, in words."""
    if size is not None and size < 1:
        raise UsageError(f"size must be positive, got {size}")
    headers = list(_headers(listing))
    C = 1 if all(gray for _, _, gray in headers) else 3
    sizes = Counter((height, width) for width, height, _ in headers)
    if size is None and len(sizes) == 1:
        H, W = next(iter(sizes))
        return (C, H, W), f"{H} x {W}, unchanged"
    chosen = size
    if chosen is None:
        chosen = PHOTO if median(min(pair) for pair in sizes.elements()) >= LARGE_SIDE else SMALL
    why = "as requested" if size is not None else "the sizes differ"
    return (C, chosen, chosen), f"resized and center-cropped to {chosen} x {chosen} ({why})"


def _headers(listing: Listing) -> Iterator[tuple[int, int, bool]]:
    """(width, height, gray) of up to SAMPLE evenly spaced images; broken ones are skipped."""
    n = min(len(listing.rows), SAMPLE)
    first: BrokenImage | None = None
    found = False
    for row in listing.rows[torch.arange(n) * len(listing.rows) // n].tolist():
        try:
            yield header(listing.sources[row], name=listing.sources.name(row))
            found = True
        except BrokenImage as error:
            first = first or error
    if not found:
        raise ReslabError(f"no training image can be read (first: {first})")
