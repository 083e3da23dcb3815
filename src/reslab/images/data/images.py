"""Image data sets: parts in memory, parts that stay encoded, and the data set that holds two of them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reslab.errors import one_line, tell
from reslab.images.data.counts import class_counts
from reslab.images.data.decode import Reading, decode, fit
from reslab.images.data.survey import Survey
from reslab.images.sources.encoded import Sources
from reslab.images.sources.scan import HIDDEN, Ignored

SHOWN = 10  # classes, and reasons for ignoring files, that the line names
Shape = tuple[int, int, int]
"""(C, H, W) of one image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """One part of a data set in memory: pixels uint8 (N, C, H, W), labels int64 (N,) or (N, K)."""

    pixels: Tensor
    labels: Tensor
    files: "Encoded | None" = None  # what image i was decoded from: its name and its original size

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> Shape:
        """(C, H, W) of every image."""
        _, C, H, W = self.pixels.shape
        return C, H, W

    def subset(self, indices: Tensor | Sequence[int]) -> "Pixels":
        """The images at `indices` (N',), in that order."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        files = None if self.files is None else self.files.subset(rows)
        return Pixels(pixels=self.pixels[rows], labels=self.labels[rows], files=files)


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """One part whose images stay encoded until a worker needs them.

    `sources[rows[i]]` holds image i; labels int64 (N,), or (N, K) of 0 and 1; `pixels(i)` gives `shape` (C, H, W).
    """

    sources: Sources
    rows: Tensor
    labels: Tensor
    shape: Shape
    reading: Reading = field(default_factory=Reading)

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, indices: Tensor | Sequence[int]) -> "Encoded":
        """The images at `indices` (N',), in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    def name(self, i: int) -> str:
        """Human-readable location of image i: a file, or a row of a file."""
        return self.sources.name(int(self.rows[i]))

    def image(self, i: int, *, near: int | Callable[[int, int], int] | None = None) -> Image.Image:
        """Image i at its original size. `near`: see `decode`. Raises BrokenImage."""
        row = int(self.rows[i])
        name = self.sources.name(row)
        return decode(self.sources[row], channels=self.shape[0], name=name, near=near, reading=self.reading)

    def pixels(self, i: int) -> Tensor:
        """Image i as uint8 (C, H, W), resized to cover H x W and center-cropped. Raises BrokenImage."""
        _, H, W = self.shape
        return to_tensor(fit(self.image(i), height=H, width=W, interpolation=self.reading.interpolation))


Part = Pixels | Encoded


def in_rgb(part: Part) -> Part:
    """A gray part with three equal channels."""
    shape = (3, *part.shape[1:])
    if isinstance(part, Encoded):
        return replace(part, shape=shape)
    files = None if part.files is None else replace(part.files, shape=shape)
    return replace(part, pixels=part.pixels.repeat(1, 3, 1, 1), files=files)


def to_tensor(image: Image.Image) -> Tensor:
    """A gray or RGB image as uint8 (C, H, W)."""
    x = torch.from_numpy(np.array(image))  # a copy: torch refuses to share Pillow's read-only memory
    return x[None] if x.ndim == 2 else x.permute(2, 0, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageData:
    """A data set: a training part, a test part, a validation part if it brings one, and facts about them."""

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]
    shape: Shape
    fingerprint: str  # sha256, hex; see `fingerprint`
    skipped: tuple[str, ...] = ()  # "file: reason" of each broken training image skipped while loading
    about: str  # one sentence: where it came from, how it was split
    reading: Reading = field(default_factory=Reading)  # how its images are decoded
    split: bool = False  # the data had no test part: the parts are our fixed split
    ignored: tuple[Ignored, ...] = ()  # files that are not used, by reason
    notes: tuple[str, ...] = ()  # what was assumed or changed while loading
    surveys: tuple[Survey, ...] = ()  # what the headers of the parts say, unless the data set is a published one
    validation: Part | None = None  # of its own: selects and calibrates; the recipe then takes none from `train`

    @property
    def several(self) -> bool:
        """Whether an image may have several labels: labels are (N, K) of 0 and 1, and `classes` names the labels."""
        return self.train.labels.dim() == 2

    @property
    def parts(self) -> dict[str, Part]:
        """The parts by name, in the order in which people name them: train, validation if there is one, test."""
        held = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **held, "test": self.test}

    def without_validation(self) -> "ImageData":
        """The data as before they could bring a validation part: runs of older versions were trained on these."""
        if self.validation is None:
            return self
        kept = fingerprint(self.train, self.test, classes=self.classes)
        surveys = (self.surveys[0], self.surveys[-1]) if self.surveys else ()
        return replace(self, validation=None, fingerprint=kept, surveys=surveys)

    def as_rgb(self) -> "ImageData":
        """The same images with three equal channels if they are gray; RGB images as they are."""
        if self.shape[0] == 3:
            return self
        parts = {name: in_rgb(part) for name, part in self.parts.items()}
        train, test, own = parts["train"], parts["test"], parts.get("validation")
        mark = fingerprint(train, test, classes=self.classes, validation=own)
        return replace(self, train=train, test=test, validation=own, shape=train.shape, fingerprint=mark,
                       notes=(*self.notes, "gray images read as RGB"))  # fmt: skip

    @property
    def digits(self) -> bool:
        """Whether these are gray images of the ten digits (any form of MNIST), which must not be mirrored."""
        return self.shape[0] == 1 and self.classes == tuple("0123456789")

    def relabeled(self, classes: tuple[str, ...]) -> "ImageData":
        """The same images with their labels counted among `classes`, which hold all names of theirs.

        Of several labels, one that these images do not know is 0.
        """
        number = torch.tensor([classes.index(name) for name in self.classes], dtype=torch.int64)

        def renumbered(part: Part) -> Part:
            if not self.several:
                return replace(part, labels=number[part.labels])
            labels = torch.zeros(len(part), len(classes), dtype=torch.int64)
            labels[:, number] = part.labels
            return replace(part, labels=labels)

        own = self.validation
        return replace(self, train=renumbered(self.train), test=renumbered(self.test), classes=classes,
                       validation=None if own is None else renumbered(own))  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """The facts that a run stores in data.json: JSON-ready, no pixels."""
        return {
            "name": self.name,
            "train": len(self.train),
            **({} if self.validation is None else {"validation": len(self.validation)}),
            "test": len(self.test),
            "classes": list(self.classes),
            "counts": {name: class_counts(part.labels, classes=len(self.classes)) for name, part in self.parts.items()},
            "shape": list(self.shape),
            "fingerprint": self.fingerprint,
            "skipped": len(self.skipped),
            "about": self.about,
            **({"several": True} if self.several else {}),
            **({"gray": {kind: list(ends) for kind, ends in self.reading.gray.items()}} if self.reading.gray else {}),
        }

    def line(self) -> str:
        """The data set on one line: classes, images of both parts, size, what is ignored, what was assumed.

        `3 classes: ant, bee, cat; 48 + 12 images, RGB 32x32; 5 files ignored: .heic`
        """
        C, H, W = self.shape
        n = len(self.classes)
        names = self.classes if n <= SHOWN else (*self.classes[:3], "...", self.classes[-1])
        counts = " + ".join(f"{len(part):,}" for part in self.parts.values())
        which = "" if self.validation is None else " (training, validation, test)"
        what = f"label{'s' * (n != 1)}" if self.several else f"class{'es' * (n != 1)}"
        parts = [f"{n:,} {what}: {', '.join(names)}",
                 f"{counts} images{which}, {'RGB' if C == 3 else 'gray'} {H}x{W}"]  # fmt: skip
        if self.skipped:
            parts.append(f"{len(self.skipped):,} broken image{'s' * (len(self.skipped) != 1)} skipped")
        told = [one for one in self.ignored if one.reason != HIDDEN]
        if told:
            total = sum(one.files for one in told)
            which = ", ".join(one.reason + f" ({one.files:,})" * (len(told) > 1) for one in told[:SHOWN])
            parts.append(f"{total:,} file{'s' * (total != 1)} ignored: {which}{', ...' * (len(told) > SHOWN)}")
        return one_line("; ".join([*parts, *self.notes]))

    def announce(self) -> None:
        """Log the line; the command line shows it."""
        tell("%s: %s", self.name, self.line())


def fingerprint(train: Part, test: Part, *, classes: Sequence[str], validation: Part | None = None) -> str:
    """SHA-256 (hex) of the data as the net will see them.

    In memory: every decoded pixel and every label. Encoded: every label, and each image's name and length
    in bytes; hashing the images themselves would take as long as reading an epoch.
    """
    digest = hashlib.sha256("\0".join(classes).encode(errors="surrogatepass"))
    for part in (train, test, *(() if validation is None else (validation,))):
        digest.update(f"\n{len(part)} {part.shape}\n".encode())
        digest.update(part.labels.numpy().tobytes())
        if isinstance(part, Pixels):
            digest.update(part.pixels.numpy().data)
        else:
            if part.reading.gray:
                digest.update(f"{sorted(part.reading.gray.items())}\n".encode())
            if part.reading.interpolation != "bilinear":
                digest.update(f"{part.reading.interpolation}\n".encode())
            for row in part.rows.tolist():
                digest.update(f"{part.sources.key(row)}\0{part.sources.length(row)}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()
