"""A folder of class folders, with or without train and test folders around them."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from reslab.errors import UsageError
from reslab.images.data.images import ImageData
from reslab.images.sources.assemble import Listing, assemble
from reslab.images.sources.encoded import Files

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
TEST_NAMES = ("test", "val", "valid", "validation")
LAYOUT = "FOLDER/cat/1.jpg FOLDER/dog/2.jpg, or FOLDER/train/cat/1.jpg FOLDER/test/cat/2.jpg"


def load_folder(folder: Path, *, size: int | None, memory: int) -> ImageData:
    """`folder` with train/ and test/ (or val/, valid/, validation/) that hold class folders, or just class folders.

    The names of the parts may be capitalized. Without a test part, a fixed fifth of each class is held out for
    testing. Files without an image extension are ignored. Raises UsageError for any other layout.
    """
    train, test = _part(folder, ("train",)), _part(folder, TEST_NAMES)
    if train and test is None:
        raise UsageError(
            f"{folder} has {train}/ but no test/, val/, valid/ or validation/ with class folders: "
            f"add one, or give {folder / train} to hold out a fifth of it for testing"
        )
    if train and test:
        classes = _agreed(folder / train, folder / test)
        parts = _listing(folder, classes, part=train), _listing(folder, classes, part=test)
        about = f"Images of folder {folder.name}, with its {train}/ and {test}/ parts"
    else:
        classes = _class_folders(folder)
        if not classes:
            raise UsageError(f"{folder} holds no class folders; expected {LAYOUT}")
        parts = _listing(folder, classes).split(classes)
        about = f"Images of folder {folder.name}, fixed 80/20 split within each class"
    return assemble(
        name=folder.name, train=parts[0], test=parts[1], classes=classes, size=size, memory=memory, about=about
    )


def _part(folder: Path, names: Sequence[str]) -> str | None:
    """The subfolder named by the first possible of `names`, capitalized or not, that holds class folders."""
    found = sorted(_class_folders(folder), reverse=True)  # test before Test
    return next((p for name in names for p in found if p.lower() == name and _class_folders(folder / p)), None)


def _class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the subfolders, sorted by code point: the same on every machine."""
    if not folder.is_dir():
        return ()
    hidden = (".", "__")  # .git, __MACOSX, __pycache__
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(hidden)))


def _agreed(train: Path, test: Path) -> tuple[str, ...]:
    classes, others = _class_folders(train), _class_folders(test)
    if classes != others:
        only = [f"{name!r} only in {train.name}/" for name in classes if name not in others]
        only += [f"{name!r} only in {test.name}/" for name in others if name not in classes]
        raise UsageError(f"the class folders of {train} and {test} differ: {', '.join(only[:5])}")
    return classes


def _listing(folder: Path, classes: tuple[str, ...], *, part: str = "") -> Listing:
    """The images of the class folders in the folder's `part`, named by their paths relative to the folder."""
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _images(folder, f"{part}/{name}" if part else name)
        if not found:
            raise UsageError(f"class folder {folder / part / name} holds no images; fill it or remove it")
        paths += found
        labels += [label] * len(found)
    return Listing.of(Files(folder, tuple(paths)), torch.tensor(labels))


def _images(folder: Path, name: str) -> list[str]:
    """The images anywhere under folder/name, as sorted paths relative to `folder`, with /."""
    found = []
    for at, _, files in os.walk(folder / name):
        start = Path(at).relative_to(folder).as_posix()
        found += [f"{start}/{file}" for file in files if _is_image(file)]
    return sorted(found)


def _is_image(file: str) -> bool:
    return not file.startswith(".") and file.lower().endswith(EXTENSIONS)
