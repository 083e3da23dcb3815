"""CIFAR-10 and CIFAR-100 from the original files (Krizhevsky, 2009), binary or Python version."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.errors import UsageError, arg
from reslab.images.data.images import ImageData, Pixels, fingerprint
from reslab.images.sources.fetch import download, md5
from reslab.images.sources.scan import is_regular

SITE = "https://www.cs.toronto.edu/~kriz/"
PIXELS = 3 * 32 * 32  # bytes per image: red, green and blue planes

Reader = Callable[[str], bytes]
"""Returns the content of the data set's file with this name."""


@dataclass(frozen=True, kw_only=True)
class Cifar:
    """The original files: names, sizes and published checksums."""

    name: str
    classes: tuple[str, ...]
    train: dict[str, int]  # file (without the .bin of the binary version) -> number of images
    test: dict[str, int]
    label_bytes: int  # before each image's pixels; the last one is the label
    label_key: bytes  # in the Python version
    binary: str  # folder of the binary version
    binary_archive: tuple[str, str]  # file and its MD5, from the data set's own page
    python: str  # folder of the Python version
    python_archive: tuple[str, str]
    python_md5: dict[str, str]  # from torchvision/datasets/cifar.py; no other file is ever unpickled


def load_cifar(spec: Cifar, *, root: Path, may_download: bool) -> ImageData:
    """The data set from the files under `root`; they are downloaded there only if `may_download`.

    Raises UsageError if they are missing or not the originals, ReslabError if the download fails.
    """
    here = _find(spec, root)
    if here is None and may_download:
        archive, published = spec.binary_archive
        download([SITE + archive], root / archive, md5=published)
        here = _find(spec, root)
    if here is None:
        raise UsageError(
            f"{spec.name} not found in {root} (looked for {spec.binary}/, {spec.binary_archive[0]}, "
            f"{spec.python}/, {spec.python_archive[0]}); pass ",
            arg("download", True),
            " to download it",
        )
    read, binary, where = here
    part = _binary_part if binary else _python_part
    train, test = part(spec, read, spec.train), part(spec, read, spec.test)
    return ImageData(
        name=spec.name,
        train=train,
        test=test,
        classes=spec.classes,
        shape=train.shape,
        fingerprint=fingerprint(train, test, classes=spec.classes),
        about=f"The original {spec.name} files ({where}), the published train and test parts.",
    )


def _find(spec: Cifar, root: Path) -> tuple[Reader, bool, str] | None:
    """(reader of the files, whether they are the binary version, what was found); the safest version first."""
    versions = ((spec.binary, spec.binary_archive, True), (spec.python, spec.python_archive, False))
    for folder, (archive, published), binary in versions:
        if (root / folder).is_dir():
            return _in_folder(root / folder), binary, f"{folder}/"
        if (root / archive).is_file():
            return _in_archive(root / archive, folder, published), binary, archive
    return None


def _in_folder(folder: Path) -> Reader:
    def read(name: str) -> bytes:
        if not is_regular(folder / name):
            raise UsageError(f"{folder} has no {name}; remove the folder and pass ", arg("download", True))
        return (folder / name).read_bytes()

    return read


def _in_archive(archive: Path, folder: str, published: str) -> Reader:
    found = md5(archive)
    if found != published:
        raise UsageError(
            f"{archive} is damaged or not the original (MD5 {found}, published {published}); remove it and pass ",
            arg("download", True),
        )
    content = {}  # read in one pass: random access to a .tar.gz would unpack it each time
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.startswith(f"{folder}/"):
                content[member.name.removeprefix(f"{folder}/")] = file.read()
    return content.__getitem__


def _binary_part(spec: Cifar, read: Reader, files: dict[str, int]) -> Pixels:
    width = spec.label_bytes + PIXELS
    records = []
    for stem, images in files.items():
        data = read(f"{stem}.bin")
        if len(data) != images * width:
            raise UsageError(
                f"{spec.name}'s {stem}.bin has {len(data):,} bytes, but the original has {images * width:,}: "
                "it is truncated or a different file; remove it and pass ",
                arg("download", True),
            )
        records.append(np.frombuffer(data, dtype=np.uint8).reshape(images, width))
    together = np.concatenate(records)
    labels = together[:, spec.label_bytes - 1]
    return _part(spec, together[:, spec.label_bytes :], labels.astype(np.int64))


def _python_part(spec: Cifar, read: Reader, files: dict[str, int]) -> Pixels:
    pixels, labels = [], []
    for name in files:
        data = read(name)
        batch = _unpickled(data, name, spec)
        pixels.append(batch[b"data"])
        labels.append(np.array(batch[spec.label_key], dtype=np.int64))
    return _part(spec, np.concatenate(pixels), np.concatenate(labels))


def _part(spec: Cifar, pixels: np.ndarray, labels: np.ndarray) -> Pixels:
    if labels.max() >= len(spec.classes):
        raise UsageError(
            f"{spec.name} has an image with label {labels.max()}, but the largest label is {len(spec.classes) - 1}: "
            "these are not the original files; remove them and pass ",
            arg("download", True),
        )
    images = np.ascontiguousarray(pixels).reshape(-1, 3, 32, 32)
    return Pixels(pixels=torch.from_numpy(images), labels=torch.from_numpy(labels))


def _unpickled(data: bytes, name: str, spec: Cifar) -> dict[bytes, Any]:
    """The content of a Python batch. A pickle can run any code, so only the exact published bytes are opened."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != spec.python_md5[name]:
        raise UsageError(
            f"{spec.python}/{name} is not the original file (MD5 {found}, published {spec.python_md5[name]}) "
            "and is not opened; remove the folder and pass ",
            arg("download", True),
        )
    batch: dict[bytes, Any] = _ArraysOnly(io.BytesIO(data), encoding="bytes").load()
    return batch


class _ArraysOnly(pickle.Unpickler):
    """Unpickles only dictionaries of numpy arrays."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a CIFAR batch")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)  # numpy 2 moved it


_NAMES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
_NAMES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""

CIFAR10 = Cifar(
    name="cifar10",
    classes=tuple(_NAMES_10.split()),
    train={f"data_batch_{i}": 10_000 for i in range(1, 6)},
    test={"test_batch": 10_000},
    label_bytes=1,
    label_key=b"labels",
    binary="cifar-10-batches-bin",
    binary_archive=("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    python="cifar-10-batches-py",
    python_archive=("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    python_md5={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)

CIFAR100 = Cifar(
    name="cifar100",
    classes=tuple(_NAMES_100.split()),
    train={"train": 50_000},
    test={"test": 10_000},
    label_bytes=2,  # the coarse label of 20, then the fine one of 100
    label_key=b"fine_labels",
    binary="cifar-100-binary",
    binary_archive=("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    python="cifar-100-python",
    python_archive=("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
    python_md5={"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
)
