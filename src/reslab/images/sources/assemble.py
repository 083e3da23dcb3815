"""Make a data set of listed images: one size, one number of channels, in memory if it fits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data.counts import class_counts
from reslab.images.data.decode import FILTERS, Interpolation, Reading
from reslab.images.data.gray import Ranges, described
from reslab.images.data.images import Encoded, ImageData, Part, Shape, fingerprint
from reslab.images.data.read import read_images
from reslab.images.data.survey import Survey, given_ranges, ranges, survey
from reslab.images.sources.encoded import Sources
from reslab.images.sources.scan import Ignored
from reslab.train.split import fixed_split, labels_split

MEMORY = 2 * 2**30  # bytes: CIFAR takes 0.2 GB; 14,000 images of 224 x 224 fill it
LARGE_SIDE = 128  # median shorter side from which images count as photographs
PHOTO, SMALL = 224, 32  # sizes chosen when the images' sizes differ: ImageNet's and CIFAR's


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How the images of a folder, a parquet file or the hub are loaded; see `load`."""

    size: int | None = None
    memory: int = MEMORY
    white: float | Ranges | None = None
    max_pixels: int | None = None
    crops: bool = False
    interpolation: Interpolation = "bilinear"

    def check(self) -> None:
        """Raise UsageError for an invalid value."""
        for name, value in (("size", self.size), ("white", self.white), ("max_pixels", self.max_pixels)):
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise UsageError(f"{name} must be positive, got {value}")
        if self.interpolation not in FILTERS:
            raise UsageError(f"interpolation must be {' or '.join(FILTERS)}, got {self.interpolation!r}")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images whose size is not known yet: `sources[rows[i]]` holds image i, of class or labels labels[i]."""

    sources: Sources
    rows: Tensor
    labels: Tensor  # int64 (N,), or (N, K) for several labels an image

    @classmethod
    def of(cls, sources: Sources, labels: Tensor) -> "Listing":
        """All of `sources`."""
        return cls(sources=sources, rows=torch.arange(len(sources)), labels=labels)

    def split(self, classes: tuple[str, ...]) -> tuple["Listing", "Listing"]:
        """The fixed stratified split: four fifths for training, one fifth for testing."""
        if self.labels.dim() == 2:
            train, test = labels_split(self.labels)
        else:
            train, test = fixed_split(self.labels, classes=classes)
        return (
            replace(self, rows=self.rows[train], labels=self.labels[train]),
            replace(self, rows=self.rows[test], labels=self.labels[test]),
        )


def assemble(
    *, name: str, train: Listing, test: Listing, classes: tuple[str, ...], loading: Loading, about: str,
    validation: Listing | None = None, ignored: Sequence[Ignored] = (), notes: Sequence[str] = (), split: bool = False,
) -> ImageData:  # fmt: skip
    """The data set; in memory if it takes at most `memory` bytes as uint8, otherwise encoded. With `crops`, training
    images that would have to be resized stay encoded, too.

    The headers of all images decide the size, the channels, and how gray of more than 8 bits is scaled. Broken training
    images are skipped and listed; one of another part raises BrokenImage. `split`: the parts were made here.
    """
    loading.check()
    listings = {"training": train, **({"validation": validation} if validation else {}), "test": test}
    surveys = {part: survey(one.sources, one.rows, limit=loading.max_pixels) for part, one in listings.items()}
    shape, how = _shape(surveys, size=loading.size)
    reading = Reading(gray=_gray(listings, surveys, loading), limit=loading.max_pixels,
                      interpolation=loading.interpolation)  # fmt: skip
    parts: list[Part] = [
        Encoded(sources=listing.sources, rows=listing.rows, labels=listing.labels, shape=shape, reading=reading)
        for listing in listings.values()
    ]
    skipped: tuple[str, ...] = ()
    broken = sum(len(part.broken) for part in surveys.values())
    C, H, W = shape
    cropped = loading.crops and any(size != (H, W) for size in surveys["training"].sizes)
    if sum(map(len, parts)) * C * H * W <= loading.memory and not cropped:
        parts, skipped = _in_memory(parts, classes)
        broken = 0  # the data set holds them as skipped
    told = [counted(broken, "broken image")] if broken else []
    return ImageData(
        name=name,
        train=parts[0],
        test=parts[-1],
        validation=parts[1] if validation else None,
        classes=classes,
        shape=shape,
        fingerprint=fingerprint(parts[0], parts[-1], classes=classes, validation=parts[1] if validation else None),
        skipped=skipped,
        about=f"{about}, {how}.",
        reading=reading,
        split=split,
        ignored=tuple(ignored),
        surveys=tuple(surveys.values()),
        notes=(*told, *notes, *_notes(surveys, shape, reading), *_lacking(listings, classes)),
    )


def _in_memory(parts: list[Part], classes: tuple[str, ...]) -> tuple[list[Part], tuple[str, ...]]:
    train, *held_out = parts
    read: list[Part] = []
    for part in held_out:
        assert isinstance(part, Encoded)
        pixels, broken = read_images(part)
        if broken:
            raise BrokenImage(broken[0].name, broken[0].reason, others=len(broken) - 1)
        read.append(pixels)
    assert isinstance(train, Encoded)
    pixels, broken = read_images(train)
    if len(pixels) == 0:
        raise ReslabError(f"no training image can be read (first: {broken[0]})")
    before, after = (class_counts(part.labels, classes=len(classes)) for part in (train, pixels))
    lost = [k for k, n in enumerate(before) if n and not after[k]]
    if lost:
        one = "label" if train.labels.dim() == 2 else "class"
        raise ReslabError(
            f"no training image of {one} {classes[lost[0]]!r} can be read; replace its images or remove the {one} "
            f"({len(broken)} broken images in total, first: {broken[0].name}: {broken[0].reason})"
        )
    return [pixels, *read], tuple(f"{error.name}: {error.reason}" for error in broken)


def _shape(surveys: dict[str, Survey], *, size: int | None) -> tuple[Shape, str]:
    """The (C, H, W) that every image will have, and how it was chosen, in words.

    The training part alone chooses the size, and any color image in any part makes all of them RGB.
    """
    train = surveys["training"]
    if not train.sizes:
        raise ReslabError(f"no training image can be read (first: {train.broken[0]})")
    C = 3 if any(part.color for part in surveys.values()) else 1
    if size is None and len(train.sizes) == 1:
        H, W = next(iter(train.sizes))
        others = {name: part.sizes.total() - part.sizes[H, W] for name, part in surveys.items()}
        but = listed([counted(n, f"{name} image") for name, n in others.items() if n])
        return (C, H, W), f"{H} x {W}, unchanged" + f" but for {but}" * bool(but)
    chosen = size
    if chosen is None:
        chosen = PHOTO if median(min(pair) for pair in train.sizes.elements()) >= LARGE_SIDE else SMALL
    why = "as requested" if size is not None else "the sizes differ"
    return (C, chosen, chosen), f"resized and center-cropped to {chosen} x {chosen} ({why})"


def _gray(listings: dict[str, Listing], surveys: dict[str, Survey], loading: Loading) -> Ranges:
    given = {} if loading.white is None else given_ranges(surveys.values(), loading.white)
    if all(kind in given for part in surveys.values() for kind in part.deep):
        return given
    measured = ranges(((one.sources, surveys[name]) for name, one in listings.items()), limit=loading.max_pixels)
    return {**measured, **given}


def _notes(surveys: dict[str, Survey], shape: Shape, reading: Reading) -> list[str]:
    """What was assumed or changed, in words."""
    notes = []
    for what, part in surveys.items():
        if others := part.sizes.total() - part.sizes[shape[1:]]:
            notes.append(f"{counted(others, f'{what} image')} of other sizes resized")
    gray = sum(part.gray for part in surveys.values())
    if shape[0] == 3 and gray:
        notes.append(f"{counted(gray, 'gray image')} read as RGB")
    notes += described(reading.gray)
    if deep := sum(part.deep_color for part in surveys.values()):
        notes.append(f"{counted(deep, 'image')} with 16 bits per color read with 8")
    return notes


def _lacking(listings: dict[str, Listing], classes: tuple[str, ...]) -> Iterator[str]:
    """What to say of classes of which a part holds no image."""
    for part, listing in listings.items():
        several = listing.labels.dim() == 2
        counts = class_counts(listing.labels, classes=len(classes))
        lacking = [name for name, n in zip(classes, counts, strict=True) if not n]
        if lacking and (part != "training" or several):
            shown = ", ".join(lacking[:3]) + ", ..." * (len(lacking) > 3)
            which = counted(len(lacking), "label") if several else counted(len(lacking), "class", "classes")
            yield f"no {part} image of {which}: {shown}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def counted(n: int, one: str, many: str = "") -> str:
    """`1 image`, `1,437 images`."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"
