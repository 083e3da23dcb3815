"""How a folder of images is laid out: its parts, and how deep in them the class folders lie."""

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UsageError, arg
from reslab.images.sources.scan import is_hidden, is_image
from reslab.train.parts import HELD_OUT, TEST, TRAIN, VALIDATION

Classes = dict[str, list[str]]
"""The folders of each class, relative to the folder that holds them; several if their names differ in Unicode only."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The parts of a folder ("" for the folder itself), and the level of the class folders below them."""

    train: str
    test: str | None
    level: int
    validation: str | None = None  # beside a test part; without one, val/ is the test part


def find(folder: Path, level: int | None) -> Layout:
    """The layout of `folder`. Raises UsageError if it can be taken for more than one, naming the choices."""
    if level is not None and level < 1:
        raise UsageError(f"level must be positive, got {level}")
    train, test = _part(folder, TRAIN), _part(folder, HELD_OUT)
    if train and test is None:
        raise UsageError(
            f"{folder} has {train}/ but no test/, val/, valid/ or validation/ with class folders: "
            f"add one, or give {folder / train} to hold out a fifth of it for testing"
        )
    if test and train is None:
        if level is None:
            raise UsageError(f"{folder} has {test}/ with class folders but no train/: add train/, or set ",
                             arg("level", 1), f" if {test} is a class")  # fmt: skip
        test = None
    validation = _part(folder, VALIDATION) if test and test.lower() in TEST else None
    return Layout(
        train=train or "", test=test, validation=validation, level=level or _only_level(folder / (train or ""))
    )


def class_folders(folder: Path, level: int) -> Classes:
    """The class folders `level` folders below `folder` by their names (NFC), sorted by code point on every machine."""
    found: Classes = {}
    for path in sorted(_below(folder, level)):
        found.setdefault(unicodedata.normalize("NFC", path), []).append(path)
    return dict(sorted(found.items()))


def _below(folder: Path, level: int) -> list[str]:
    names = _subfolders(folder)
    return names if level == 1 else [f"{name}/{rest}" for name in names for rest in _below(folder / name, level - 1)]


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))


def _part(folder: Path, names: Sequence[str]) -> str | None:
    """The subfolder named by the first possible of `names`, capitalized or not, that holds class folders."""
    found = sorted(_subfolders(folder), reverse=True)  # test before Test
    return next((p for name in names for p in found if p.lower() == name and _subfolders(folder / p)), None)


def _only_level(folder: Path) -> int:
    """1, where the class folders can only be those directly in `folder`. Raises UsageError where others could be."""
    names = _subfolders(folder)
    inner = {name: _subfolders(folder / name) for name in names if not _holds_image(folder / name)}
    if inner and all(name in inner for name in names) and any(inner.values()):
        outer = [name for name in names if inner[name]][:2]
        deep = [inner[name][0] for name in outer]
        if len(names) == 1:
            raise UsageError(f"{folder} holds one folder, {names[0]}, which holds only folders, such as {deep[0]}: "
                             f"give {folder / names[0]} if these are the classes, or set ", arg("level", 1),
                             f" if {names[0]} is one")  # fmt: skip
        raise UsageError(
            f"every folder in {folder} holds only folders, such as "
            f"{' and '.join(f'{one}/{two}' for one, two in zip(outer, deep, strict=True))}: set ", arg("level", 1),
            f" if {' and '.join(outer)} are classes, or ", arg("level", 2), f" if {' and '.join(dict.fromkeys(deep))} "
            "are; if the folders are parts, name them train and test",
        )  # fmt: skip
    for name, folders in inner.items():
        if same := sorted({*folders} & {*names}):
            raise UsageError(f"{folder / name} holds folders with the names of classes ({', '.join(same[:3])}) and no "
                             "image: if it is a part, name it test and put the other class folders into train; "
                             "if it is a class, set ", arg("level", 1))  # fmt: skip
    return 1


def _holds_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) for entry in entries if not entry.is_dir())
