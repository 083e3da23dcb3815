"""A folder of class folders, with or without train and test folders around them."""

import unicodedata
from pathlib import Path

import torch

from reslab.errors import UsageError
from reslab.images.data.images import ImageData
from reslab.images.sources.assemble import Listing, Loading, assemble, listed
from reslab.images.sources.encoded import Files, Sources
from reslab.images.sources.layout import Classes, Layout, class_folders, find
from reslab.images.sources.scan import Scan
from reslab.images.sources.texts import Texts

LAYOUT = "FOLDER/cat/1.jpg FOLDER/dog/2.jpg, or FOLDER/train/cat/1.jpg FOLDER/test/cat/2.jpg"


def load_folder(folder: Path, *, loading: Loading, level: int | None = None) -> ImageData:
    """`folder` with train/ and test/ (or val/, ...: layout.py) that hold class folders, or just class folders.

    The names of the parts may be capitalized. Beside a test part, val/ is the validation part. Without a test part, a
    fixed fifth of each class is held out for testing. Files that are not used are counted. `level`: 1 if the class
    folders lie directly in the folder or its parts, 2 if one folder deeper; None: 1, unless that is in doubt. Raises
    UsageError for any other layout.
    """
    layout = find(folder, level)
    classes = class_folders(folder / layout.train, layout.level)
    if not classes:
        raise UsageError(f"{folder / layout.train} holds no class folders; expected {LAYOUT}")
    names, scan = tuple(classes), Scan(folder)
    train = _listing(scan, layout.train, classes, names)
    notes = [f"{' and '.join(map(ascii, many))} are one class: the names differ only in how Unicode spells them"
             for many in classes.values() if len(many) > 1]  # fmt: skip
    notes += [*_alike(names), *_deeper(train.sources, layout.train, classes)]
    _account(scan, layout.train, classes)
    validation: list[Listing] = []
    if layout.test is None:
        train, test = train.split(names)
        about = f"Images of folder {folder.name}, fixed 80/20 split within each class"
    else:
        held = [part for part in (layout.validation, layout.test) if part is not None]
        *validation, test = [_held_out(scan, part, layout, classes) for part in held]
        used = [f"{part}/" for part in (layout.train, *held)]
        about = f"Images of folder {folder.name}, with its {listed(used)} parts"
        scan.beside("", (layout.train, *held))
    return assemble(name=folder.name, train=train, test=test, validation=validation[0] if validation else None,
                    classes=names, loading=loading, about=about, ignored=scan.account(), notes=notes,
                    split=layout.test is None)  # fmt: skip


def _held_out(scan: Scan, part: str, layout: Layout, classes: Classes) -> Listing:
    """The images of the validation or test part, which may lack classes of the training part."""
    held = _agreed(scan.root / layout.train, scan.root / part, classes, layout.level)
    listing = _listing(scan, part, held, tuple(classes), may_lack=True)
    _account(scan, part, held)
    return listing


def _alike(names: tuple[str, ...]) -> list[str]:
    """What to say of classes whose names a reader could take for one: they differ in case, spaces or width only."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault("".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return [f"{' and '.join(map(repr, many))} are {len(many)} classes, though their names are almost the same"
            for many in alike.values() if len(many) > 1]  # fmt: skip


def _deeper(sources: Sources, part: str, classes: Classes) -> list[str]:
    """What to say of images that lie in folders within the class folders: these may be the classes that are meant."""
    level = len(Path(part).parts) + 1 + next(iter(classes)).count("/")
    names = (sources.name(row) for row in range(len(sources)))
    deeper = [name.split("/") for name in names if name.count("/") > level]
    if not deeper:
        return []
    shown = ", ".join(dict.fromkeys("/".join(parts[: level + 1]) for parts in deeper[:: -(-len(deeper) // 2)]))
    return [
        f"{len(deeper):,} images lie in folders within the class folders, such as {shown}, and are of the outer class"
    ]


def _agreed(train: Path, test: Path, classes: Classes, level: int) -> Classes:
    """The class folders of the test part. Raises UsageError for a class that the training part lacks."""
    held = class_folders(test, level)
    if not held.keys() <= classes.keys():
        only = [f"{name!r} only in {train.name}/" for name in classes if name not in held]
        only += [f"{name!r} only in {test.name}/" for name in held if name not in classes]
        raise UsageError(f"the class folders of {train} and {test} differ: {', '.join(only[:5])}; a class of "
                         f"{test.name}/ must have images in {train.name}/, so add them there, or remove or rename its "
                         f"folder in {test.name}/")  # fmt: skip
    return held


def _listing(scan: Scan, part: str, classes: Classes, names: tuple[str, ...], *, may_lack: bool = False) -> Listing:
    """The images of the class folders in `part`, named by their paths relative to the scanned folder."""
    paths: list[Texts] = []  # of each class: the strings of all would take ten times as much memory
    counts: list[int] = []
    for name in names:
        found = [path for one in classes.get(name, ()) for path in scan.images(f"{part}/{one}" if part else one)]
        if not found and not may_lack:
            raise UsageError(f"class folder {scan.root / part / name} holds no images; fill it or remove it")
        paths.append(Texts.of(found))
        counts.append(len(found))
    if not sum(counts):
        raise UsageError(f"{scan.root / part} holds no images; fill it or remove it")
    labels = torch.repeat_interleave(torch.arange(len(names)), torch.tensor(counts))
    return Listing.of(Files(scan.root, Texts.joined(paths)), labels)


def _account(scan: Scan, part: str, classes: Classes) -> None:
    """Count what lies in the part beside its class folders."""
    inside: dict[str, set[str]] = {part: set()}
    for path in (path for many in classes.values() for path in many):
        at = part
        for step in path.split("/"):
            inside.setdefault(at, set()).add(step)
            at = f"{at}/{step}" if at else step
    for at, used in inside.items():
        scan.beside(at, used)
