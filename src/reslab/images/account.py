"""The whole account of an image data set: what was found, what is used, what is not, and what occurs twice."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.data.counts import class_counts, majority_error
from reslab.images.data.images import Encoded, ImageData, Part
from reslab.images.pictures.names import classes_of
from reslab.images.sources.scan import Ignored
from reslab.progress import Steps, silent
from reslab.train.workers import decoding_workers, in_order

CHUNK = 64  # images per step of a worker
SHOWN = 20  # broken images, duplicates and sizes that are listed


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many images have a size in pixels."""

    height: int
    width: int
    images: int


@dataclass(frozen=True, kw_only=True)
class PartAccount:
    """One part: images that can be read, by class, size and mode, and those that cannot."""

    name: str
    images: int
    by_class: tuple[int, ...]  # in the order of the classes, or labels
    majority: float | None  # % of always predicting the most frequent class, or each label's more frequent value
    sizes: tuple[Sizes, ...]  # the most frequent SHOWN
    other_sizes: int  # how many sizes are not listed
    modes: dict[str, int]  # Pillow's names: RGB, L (8-bit gray), P (palette), I;16 (16-bit gray), ...
    broken: int
    broken_examples: tuple[str, ...]  # "file: reason"
    repeated: int  # images with the same content as an earlier one of the part


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How many images of a part have the content of an image of another one."""

    part: str
    other: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A test image with the content of a training image."""

    train: str
    test: str
    train_class: str
    test_class: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account of a data set, whose images are compared by a hash of their decoded pixels at their own size."""

    name: str
    about: str
    line: str
    classes: tuple[str, ...]
    several: bool  # labels per image; the classes are then the labels
    shape: tuple[int, int, int]  # (C, H, W) as trained on
    parts: tuple[PartAccount, ...]
    ignored: tuple[Ignored, ...]
    notes: tuple[str, ...]  # what was assumed or changed
    shared: int  # test images with the content of a training image
    shared_elsewhere: int  # of these, images of another class than there
    shared_examples: tuple[Duplicate, ...]
    overlaps: tuple[Overlap, ...]  # with a validation part: its images in the training part, test images in it
    contradictory: int  # contents that occur in more than one class, in any part

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Contents(Dataset[Any]):
    """Step k: (i, hash of the content) for images [k * CHUNK, (k+1) * CHUNK) of a part; a broken one: (i, reason)."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def __len__(self) -> int:
        return -(-len(self.part) // CHUNK)

    def __getitem__(self, k: int) -> list[tuple[int, bytes | str]]:
        found: list[tuple[int, bytes | str]] = []
        for i in range(k * CHUNK, min(len(self.part), (k + 1) * CHUNK)):
            try:
                found.append((i, content(self.part, i)))
            except BrokenImage as error:
                found.append((i, f"{error.name}: {error.reason}"))
        return found


def content(part: Part, i: int) -> bytes:
    """The hash of image i's pixels. Raises BrokenImage."""
    pixels = np.asarray(part.image(i)) if isinstance(part, Encoded) else part.pixels[i].numpy()
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def take(data: ImageData, *, progress: Steps = silent) -> Account:
    """Read every image of the data set once.

    Load it with memory=0: then broken test images are counted, too, and images are compared at their own size.
    """
    total, done = sum(map(len, data.parts.values())), 0
    hashes: dict[str, dict[int, bytes]] = {name: {} for name in data.parts}
    broken: dict[str, list[str]] = {name: list(data.skipped) if name == "train" else [] for name in data.parts}
    for name, part in data.parts.items():
        steps = Contents(part)
        for chunk in in_order(steps, range(len(steps)), workers=decoding_workers(len(part))):
            for i, found in chunk:
                if isinstance(found, bytes):
                    hashes[name][i] = found
                else:
                    broken[name].append(found)
            done += len(chunk)
            progress(done, total)
    parts = tuple(_part(data, k, name, hashes[name], broken[name]) for k, name in enumerate(hashes))
    shared = list(_shared(data, hashes["train"], hashes["test"]))
    return Account(
        name=data.name, about=data.about, line=data.line(), classes=data.classes, several=data.several,
        shape=data.shape, parts=parts,
        ignored=data.ignored, notes=data.notes, shared=len(shared),
        shared_elsewhere=sum(one.train_class != one.test_class for one in shared),
        shared_examples=tuple(sorted(shared, key=lambda one: one.train_class == one.test_class)[:SHOWN]),
        overlaps=tuple(_overlaps(hashes)), contradictory=_contradictory(data, hashes),
    )  # fmt: skip


def name_of(part: Part, i: int) -> str:
    """Where image i lies: a file, a row of a file, or its number in a published data set."""
    files = part if isinstance(part, Encoded) else part.files
    return f"image {i}" if files is None else files.name(i)


def _part(data: ImageData, k: int, name: str, hashes: dict[int, bytes], broken: list[str]) -> PartAccount:
    part = data.parts[name]
    by_class = class_counts(part.labels[list(hashes)], classes=len(data.classes))
    C, H, W = data.shape
    sizes, modes = Counter({(H, W): len(part)}), {"RGB" if C == 3 else "L": len(part)}
    if data.surveys:
        sizes, modes = data.surveys[k].sizes, dict(data.surveys[k].modes.most_common())
    return PartAccount(
        name=name, images=len(hashes), by_class=tuple(by_class),
        majority=majority_error(by_class, len(hashes), several=data.several),
        sizes=tuple(Sizes(height=h, width=w, images=n) for (h, w), n in sizes.most_common(SHOWN)),
        other_sizes=max(0, len(sizes) - SHOWN), modes=modes, broken=len(broken), broken_examples=tuple(broken[:SHOWN]),
        repeated=len(hashes) - len(set(hashes.values())),
    )  # fmt: skip


def same_content(
    train: Mapping[int, bytes], test: Mapping[int, bytes], labels: tuple[Tensor, Tensor]
) -> Iterator[tuple[int, int]]:
    """(training image, test image) for each test image that is in the training part, too, from hashes by image.

    The training image is one of the test image's own class if there is one. `labels`: of both parts.
    """
    places: dict[bytes, list[int]] = {}
    for i, digest in train.items():
        places.setdefault(digest, []).append(i)
    for i, digest in test.items():
        if digest in places:
            same = (j for j in places[digest] if torch.equal(labels[0][j], labels[1][i]))
            yield next(same, places[digest][0]), i


def _shared(data: ImageData, train: dict[int, bytes], test: dict[int, bytes]) -> Iterator[Duplicate]:
    for j, i in same_content(train, test, (data.train.labels, data.test.labels)):
        yield Duplicate(
            train=name_of(data.train, j), test=name_of(data.test, i),
            train_class=classes_of(data.classes, data.train.labels[j]),
            test_class=classes_of(data.classes, data.test.labels[i]),
        )  # fmt: skip


def _overlaps(hashes: dict[str, dict[int, bytes]]) -> Iterator[Overlap]:
    """Of each pair of parts but training and test: how many images of the later one are in the earlier one, too."""
    for other, part in combinations(hashes, 2):
        if "validation" in (other, part):
            known = set(hashes[other].values())
            yield Overlap(part=part, other=other, images=sum(digest in known for digest in hashes[part].values()))


def _contradictory(data: ImageData, hashes: dict[str, dict[int, bytes]]) -> int:
    labels: dict[bytes, set[str]] = {}
    for name, part in data.parts.items():
        for i, digest in hashes[name].items():
            labels.setdefault(digest, set()).add(str(part.labels[i].tolist()))
    return sum(len(found) > 1 for found in labels.values())
