"""MNIST and Fashion-MNIST from the original idx files (LeCun et al. 1998; Xiao et al. 2017)."""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reslab.errors import UsageError, arg
from reslab.images.data.images import ImageData, Pixels, fingerprint
from reslab.images.sources.fetch import download

RATIO = 1100  # bytes that one byte of a .gz can hold: 1,032 of them (deflate's limit)
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, kw_only=True)
class Mnist:
    """The files and the MD5 sums of their .gz versions (from torchvision/datasets/mnist.py)."""

    name: str
    classes: tuple[str, ...]
    folders: tuple[str, ...]  # downloads go to the first
    sites: tuple[str, ...]
    md5: dict[str, str]


def load_mnist(spec: Mnist, *, root: Path, may_download: bool) -> ImageData:
    """The data set from the files under `root`; they are downloaded there only if `may_download`.

    Raises UsageError if they are missing or damaged, ReslabError if the download fails.
    """
    folder = _find(spec, root)
    if may_download:
        folder = folder or root / spec.folders[0]
        for file in [file for file in spec.md5 if _file(folder, file) is None]:
            urls = [f"{site}{file}.gz" for site in spec.sites]
            download(urls, folder / f"{file}.gz", md5=spec.md5[file])
    if folder is None:
        looked = ", ".join(f"{name}/" for name in spec.folders)
        raise UsageError(
            f"{spec.name} not found in {root} (looked in {looked}); pass ", arg("download", True), " to download it"
        )
    train, test = _part(folder, TRAIN, spec), _part(folder, TEST, spec)
    return ImageData(
        name=spec.name,
        train=train,
        test=test,
        classes=spec.classes,
        shape=train.shape,
        fingerprint=fingerprint(train, test, classes=spec.classes),
        about=f"The original {spec.name} files ({folder.relative_to(root).as_posix()}/), "
        "the published train and test parts.",
    )


def _find(spec: Mnist, root: Path) -> Path | None:
    return next((root / name for name in spec.folders if _file(root / name, TRAIN[0]) is not None), None)


def _file(folder: Path, name: str) -> Path | None:
    """Plain or .gz; some copies write a dot before idx."""
    dotted = name.replace("-idx", ".idx")
    return next((p for n in (name, f"{name}.gz", dotted, f"{dotted}.gz") if (p := folder / n).is_file()), None)


def _part(folder: Path, names: tuple[str, str], spec: Mnist) -> Pixels:
    images, labels = (read_idx(_present(folder, name)) for name in names)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise UsageError(
            f"{folder} does not hold {spec.name}: {names[0]} has shape {images.shape}, {names[1]} {labels.shape}"
        )
    if labels.max(initial=0) >= len(spec.classes):
        raise UsageError(f"{folder / names[1]} has label {labels.max()}, but {spec.name}'s largest label is 9")
    return Pixels(pixels=torch.from_numpy(images[:, None]), labels=torch.from_numpy(labels.astype(np.int64)))


def _present(folder: Path, name: str) -> Path:
    file = _file(folder, name)
    if file is None:
        raise UsageError(f"{folder} has no {name}(.gz); pass ", arg("download", True), " to download it")
    return file


def read_idx(file: Path) -> np.ndarray:
    """The uint8 array of an idx file, plain or .gz: two zeros, 8 (for bytes), number of dimensions, sizes, values.

    No more than the header announces is read or unpacked. Raises UsageError for any other file.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
            start = content.read(4)
            if len(start) < 4 or start[:3] != b"\0\0\x08":
                raise UsageError(f"{file} is not an idx file of bytes; remove it and pass ", arg("download", True))
            sizes = content.read(4 * start[3])
            if len(sizes) < 4 * start[3]:
                raise UsageError(f"{file} is not an idx file of bytes; remove it and pass ", arg("download", True))
            shape = struct.unpack(f">{start[3]}I", sizes)
            expected = math.prod(shape)
            if expected > RATIO * file.stat().st_size:
                raise UsageError(f"{file} has {file.stat().st_size:,} bytes, which cannot hold the {expected:,} values "
                                 "that its header announces; remove it and pass ", arg("download", True))  # fmt: skip
            data = content.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(
            f"{file} is truncated or damaged ({error}); remove it and pass ", arg("download", True)
        ) from error
    if len(data) != expected:
        held = f"{len(data):,}" if len(data) < expected else "more"
        raise UsageError(
            f"{file} holds {held} values, but its header announces {expected:,}: "
            "it is truncated or damaged; remove it and pass ",
            arg("download", True),
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape).copy()


MNIST = Mnist(
    name="mnist",
    classes=tuple("0123456789"),
    folders=("MNIST/raw", "MNIST", "mnist"),
    sites=("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"),
    md5={
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)

FASHION_MNIST = Mnist(
    name="fashion-mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    folders=("FashionMNIST/raw", "FashionMNIST", "fashion-mnist"),
    sites=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    md5={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)
