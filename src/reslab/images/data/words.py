"""Load the data set that a --data word names."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from reslab.errors import UsageError, arg, nearest
from reslab.images.data.decode import Interpolation
from reslab.images.data.gray import Ranges
from reslab.images.data.images import ImageData, Pixels, fingerprint
from reslab.images.sources.assemble import MEMORY, Loading
from reslab.images.sources.cifar import CIFAR10, CIFAR100, load_cifar
from reslab.images.sources.columns import Asked
from reslab.images.sources.folder import load_folder
from reslab.images.sources.hub import load_hub
from reslab.images.sources.listed import load_list
from reslab.images.sources.mnist import FASHION_MNIST, MNIST, load_mnist
from reslab.images.sources.parquet import load_parquet
from reslab.images.sources.parquet_files import is_parquet, lists_files, parquet_files
from reslab.images.sources.scan import is_regular
from reslab.images.sources.table import SUFFIXES
from reslab.images.sources.tars import pattern
from reslab.images.sources.tars.load import load_tars
from reslab.train.split import fixed_split

CIFARS = {spec.name: spec for spec in (CIFAR10, CIFAR100)}
MNISTS = {spec.name: spec for spec in (MNIST, FASHION_MNIST)}
WORDS = ("digits", *CIFARS, *MNISTS)


def load(
    word: str, *, root: Path | None = None, size: int | None = None, download: bool = False, memory: int = MEMORY,
    level: int | None = None, white: float | Ranges | None = None, max_pixels: int | None = None,
    file_column: str | None = None, label_columns: Sequence[str] | None = None, part_column: str | None = None,
    label_separator: str | None = None, crops: bool = False, interpolation: Interpolation | None = None,
    rgb: bool = False,
) -> ImageData:  # fmt: skip
    """The images that `word` names: one of WORDS, a folder, a parquet file, .tar shards, a list, or hf:NAME.

    Parquet files and shards may be a folder of them; shards also a pattern, such as data/train-{000..146}.tar.

    A list is a CSV, TSV or parquet file with a row for each image: its file, its class or labels, maybe its part. The
    last four arguments are for lists: the columns of files, labels and parts, by default found by name, and what
    separates several labels in one cell. Several `label_columns` hold 1 for each label that an image has, otherwise 0.

    root: folder of the published data sets, also for downloads; default: the environment variable RESLAB_DATA,
    otherwise ~/.cache/reslab. For a list: the folder of its images; default: the list's own.
    size: height and width of the images, for folders, parquet files, lists and the hub.
    memory: data sets of up to this many bytes of uint8 pixels are decoded into memory now. crops: but not if training
    images have to be resized, so that random crops ("resized-crop") can be taken from the files.
    level: how many folders deep the class folders lie in a folder or its parts. white: the white of gray images of more
    than 8 bits (16-bit, integer, float), or {kind: (black, white)}; default: measured once over the data set.
    max_pixels: the most pixels of one image; larger ones count as broken (default: 89 million).
    interpolation: bilinear (the default) or bicubic, where images are resized. These four, like size, are for folders,
    parquet files, lists and the hub. rgb: gray images are read as RGB, with three equal channels.
    Raises UsageError if the word names no usable data set, ReslabError if reading fails.
    """
    data = _load(
        word, root=root, size=size, download=download, memory=memory, level=level, white=white, max_pixels=max_pixels,
        file_column=file_column, label_columns=label_columns, part_column=part_column, label_separator=label_separator,
        crops=crops, interpolation=interpolation,
    )  # fmt: skip
    return data.as_rgb() if rgb else data


def _load(
    word: str, *, root: Path | None, size: int | None, download: bool, memory: int, level: int | None,
    white: float | Ranges | None, max_pixels: int | None, file_column: str | None, label_columns: Sequence[str] | None,
    part_column: str | None, label_separator: str | None, crops: bool, interpolation: Interpolation | None,
) -> ImageData:  # fmt: skip
    """The images as they are stored, gray or RGB."""
    asked = Asked(file=file_column, labels=tuple(label_columns or ()), part=part_column, separator=label_separator)
    if asked != Asked() and not is_list(word):
        every = {"file_column": file_column, "label_columns": label_columns, "part_column": part_column,
                 "label_separator": label_separator}  # fmt: skip
        name = next(name for name, value in every.items() if value is not None)
        raise UsageError(arg(name), f" is for a CSV, TSV or parquet file that lists images, and {word} is none")
    fixed = {"size": size, "level": level, "white": white, "max_pixels": max_pixels,
             "interpolation": interpolation}  # fmt: skip
    if word in WORDS and (given := [name for name, value in fixed.items() if value is not None]):
        raise UsageError(f"{word} has a fixed {'size' if given[0] == 'size' else 'format'}; ", arg(given[0]),
                         " applies only to folders, parquet files and hf:NAME")  # fmt: skip
    if word == "digits":
        return _digits()
    if word in CIFARS:
        return load_cifar(CIFARS[word], root=data_folder(root), may_download=download)
    if word in MNISTS:
        return load_mnist(MNISTS[word], root=data_folder(root), may_download=download)
    loading = Loading(size=size, memory=memory, white=white, max_pixels=max_pixels, crops=crops,
                      interpolation=interpolation or "bilinear")  # fmt: skip
    if word.startswith("hf:"):
        if word == "hf:":
            raise UsageError("hf: needs the name of a data set, such as hf:ylecun/mnist")
        return load_hub(word.removeprefix("hf:"), loading=loading)
    try:
        path = Path(word).expanduser()
    except RuntimeError as error:  # ~ without a home folder
        raise UsageError(f"the home folder is unknown (HOME is not set); write {word} as a full path") from error
    cache = lambda: data_folder(root)  # noqa: E731 - only where a copy or an index has to be kept there
    if word and path.is_dir():  # an empty word would be the current folder
        if parquet_files(path):
            if is_list(word):
                return load_list(path, root=root, asked=asked, loading=loading)
            return load_parquet(path, loading=loading, cache=cache)
        if shards := pattern.of_folder(path):
            return load_tars(shards, loading=loading, cache=cache)
        return load_folder(path, loading=loading, level=level)
    if path.is_file():
        if is_list(word):
            return load_list(path, root=root, asked=asked, loading=loading)
        if is_parquet(path):
            return load_parquet(path, loading=loading, cache=cache)
        if pattern.is_tar(path):
            return load_tars(pattern.of_file(path), loading=loading, cache=cache)
        pattern.refuse_packed(path)
        raise UsageError(f"unsupported file type: {path}; give a folder of class folders, a .csv or .tsv "
                         "file that lists images, a .parquet file, or .tar shards")  # fmt: skip
    if "://" in word:
        raise UsageError(f"{word} lies on the network, and images are read from files of this machine; download it "
                         "once and give the folder, or a data set of the Hugging Face Hub as hf:NAME")  # fmt: skip
    if pattern.is_pattern(word):
        return load_tars(pattern.of_pattern(str(path)), loading=loading, cache=cache)
    raise UsageError(
        f"no data set, folder or file named {word!r}; available: {', '.join(WORDS)}, "
        f"a folder of class folders, a CSV or parquet file, .tar shards, hf:NAME{nearest(word, WORDS)}"
    )


def is_list(word: str) -> bool:
    """Whether it lists images: a .csv or .tsv file, or a .parquet file, or a folder of them, without images in it."""
    if word in WORDS or word.startswith("hf:"):
        return False
    path = Path(word)
    try:
        path = path.expanduser()
        if word and path.is_dir():
            files = parquet_files(path)
            return bool(files) and all(map(lists_files, (files[0], files[-1])))
        if not is_regular(path):
            return False
    except (RuntimeError, ValueError, OSError):
        return False
    return path.suffix.lower() in SUFFIXES or (is_parquet(path) and lists_files(path))


def data_folder(root: Path | None) -> Path:
    """The folder of the published data sets and of copies. Raises UsageError if there is no home folder."""
    try:
        return (root or Path(os.environ.get("RESLAB_DATA") or "~/.cache/reslab")).expanduser()
    except RuntimeError as error:
        raise UsageError("the home folder is unknown (HOME is not set); name the folder of the data with ",
                         arg("root")) from error  # fmt: skip


def _digits() -> ImageData:
    """scikit-learn's 1,797 images of 8 x 8 pixels with 17 gray levels (UCI, Alpaydin and Kaynak 1998)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]  # 0..16 -> 0..255
    labels = torch.from_numpy(digits.target).to(torch.int64)
    classes = tuple("0123456789")
    everything = Pixels(pixels=pixels, labels=labels)
    train, test = (everything.subset(rows) for rows in fixed_split(labels, classes=classes))
    return ImageData(
        name="digits",
        train=train,
        test=test,
        classes=classes,
        shape=everything.shape,
        fingerprint=fingerprint(train, test, classes=classes),
        about="scikit-learn's handwritten digits (1,797 images of 8 x 8), fixed 80/20 split within each class.",
    )
