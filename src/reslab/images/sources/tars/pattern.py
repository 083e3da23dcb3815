"""The shards that a --data word means: a .tar file, a folder of them, or a pattern such as train-{000..146}.tar."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from reslab.errors import UsageError
from reslab.images.sources.scan import is_hidden, is_image, is_regular
from reslab.images.sources.tars.manifest import read_manifest
from reslab.stored.files import named
from reslab.train.parts import HELD_OUT, TRAIN, first_of, held_out, starts_as

MARKS = re.compile(r"[{*?\[]")
BRACES = re.compile(r"\{([^{}]*)\}")
NUMBERS = re.compile(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?")
MOST = 1_000_000  # shards that a pattern may mean
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")


@dataclass(frozen=True, kw_only=True)
class Shards:
    """The shards of each part; without test shards, the test part is still to be split off."""

    name: str
    folder: Path  # that of the manifest and of the class names
    train: list[Path]
    validation: list[Path] = field(default_factory=list)
    test: list[Path] = field(default_factory=list)
    unused: list[Path] = field(default_factory=list)
    whole: bool = True  # all shards of the folder, not those that a pattern names

    @property
    def every(self) -> list[Path]:
        """Those that are read, part after part."""
        return [*self.train, *self.validation, *self.test]


def is_tar(path: Path) -> bool:
    """Whether it is a regular file named .tar, in any case."""
    return path.suffix.lower() == ".tar" and not is_hidden(path.name) and is_regular(path)


def is_pattern(word: str) -> bool:
    """Whether a word, which is no path, is a pattern of shards."""
    return word.lower().endswith(".tar") and MARKS.search(word) is not None


def refuse_packed(path: Path) -> None:
    """Raise UsageError for a file named as a compressed tar."""
    if path.name.lower().endswith(PACKED):
        raise UsageError(f"{named(path)} is a compressed tar, whose images cannot be read at random; unpack it once "
                         "to a .tar (gunzip, bunzip2, unxz or unzstd: images do not get smaller by it)")  # fmt: skip


def of_file(path: Path) -> Shards:
    """One shard alone, of which a fifth is held out."""
    return Shards(name=path.stem, folder=path.parent, train=[path], whole=False)


def of_pattern(word: str) -> Shards:
    """The shards that a pattern means: {000..146} counts, {a,b} lists, * ? [ ] match names.

    Raises UsageError for a shard that is missing, and for a pattern that matches nothing.
    """
    folder, _, last = word.rpartition("/")
    literal = not MARKS.search(folder) or Path(folder).is_dir()  # a folder may have braces in its name
    words = [os.path.join(folder, one) for one in expanded(last)] if literal else list(expanded(word))
    found: list[Path] = []
    for one in words:
        start, name = os.path.split(one)
        if re.search(r"[*?\[]", name if literal else one):
            matched = sorted(glob.glob(os.path.join(glob.escape(start), name) if literal else one))
            found += [Path(match) for match in matched if is_tar(Path(match))]
        elif is_tar(Path(one)):
            found.append(Path(one))
        else:
            lost = [each for each in words if not MARKS.search(each) and not Path(each).exists()]
            many = f", nor do {len(lost) - 1:,} more of the {len(words):,}" if len(lost) > 1 else ""
            raise UsageError(f"{named(one)} does not exist{many}: the pattern {named(word)} names it")
    if not found:
        raise UsageError(f"no .tar file matches {named(word)}; in a terminal, write the pattern in quotes")
    parents = {path.parent for path in found}
    first = found[0].parent
    return in_parts(list(dict.fromkeys(found)), first.name if len(parents) == 1 else named(word), first, alone=True)


def expanded(word: str) -> Iterator[str]:
    """The words that braces mean, as in a shell: {08..11} is 08, 09, 10, 11, and {0..6..2} is 0, 2, 4, 6."""
    match = BRACES.search(word)
    if match is None:
        yield word
        return
    numbers = NUMBERS.fullmatch(match[1])
    if numbers:
        low, high, step = int(numbers[1]), int(numbers[2]), int(numbers[3] or 1)
        if not low <= high < low + MOST or not step:
            by = f" by {step}" if numbers[3] else ""
            raise UsageError(f"the pattern {named(word)} counts from {low} to {high}{by}; it must count up, to at most "
                             f"{MOST:,} shards")  # fmt: skip
        width = len(numbers[1]) if numbers[1].startswith("0") or len(numbers[1]) == len(numbers[2]) else 0
        inner: Iterator[str] = (f"{k:0{width}d}" for k in range(low, high + 1, step))
    else:
        inner = iter(match[1].split(","))
    for piece in inner:
        yield from expanded(word[: match.start()] + piece + word[match.end() :])


def of_folder(folder: Path) -> Shards | None:
    """The shards of a folder, of its part folders, or of the one folder in it that holds some; None if it has none.

    A tar beside folders of images is their archive, and the folder is one of images. Raises UsageError if the folder
    can be taken for more than one data set.
    """
    own, manifest = tars_in(folder), read_manifest(folder)
    if manifest is not None:
        manifest.check(own, every=True)  # before its parts, some of which may not be written yet
    if own:
        return None if holds_images(folder) else in_parts(own, folder.name, folder)
    inner = {one: tars_in(one) for one in visible(folder)}
    holding = {one: found for one, found in inner.items() if found and not holds_images(one, levels=0)}
    if not holding:
        packed = next((one for one in sorted(folder.iterdir()) if one.name.lower().endswith(PACKED)), None)
        if packed and not holds_images(folder):
            refuse_packed(packed)
        return None
    if len(holding) == 1 and not starts_as(next(iter(holding)).name, (*TRAIN, *HELD_OUT)):
        one, found = next(iter(holding.items()))
        return in_parts(found, folder.name, one)
    names = [one.name for one in holding]
    train, (validation, test) = first_of(names, TRAIN), held_out(names)
    if not train or not test:
        raise UsageError(f"{named(folder)} has {len(holding)} folders with .tar files ({', '.join(names[:5])}); name "
                         "them train and test (or val), or give one of them")  # fmt: skip
    by_name = {one.name: found for one, found in holding.items()}
    parts = [[path for name in some for path in by_name.pop(name)] for some in (train, validation, test)]
    return Shards(name=folder.name, folder=folder, train=parts[0], validation=parts[1], test=parts[2],
                  unused=[path for found in by_name.values() for path in found])  # fmt: skip


def in_parts(found: Sequence[Path], name: str, folder: Path, *, alone: bool = False) -> Shards:
    """The shards in parts by the starts of their names; without such names they are one part.

    `alone`: training shards may be without others, as a pattern that names them means just these.
    """
    names = [path.name for path in found]
    parents = [path.parent.name for path in found]
    if len(set(parents)) > 1 and not any(starts_as(one, (*TRAIN, *HELD_OUT)) for one in names):
        names = parents  # {train,val}/*.tar
    train, (validation, test) = first_of(names, TRAIN), held_out(names)
    if (not train and not test) or (alone and not (train and test)):
        return Shards(name=name, folder=folder, train=list(found), whole=not alone)
    if not train or not test:
        raise UsageError(f"{named(folder)} needs train*.tar and test*.tar (or val*.tar), but holds "
                         f"{', '.join(names[:5])}; of a pattern such as '{named(folder)}/*.tar', a fifth is held out "
                         "for testing")  # fmt: skip
    parts = [
        [path for path, one in zip(found, names, strict=True) if one in some] for some in (train, validation, test)
    ]
    used = {path for part in parts for path in part}
    return Shards(name=name, folder=folder, train=parts[0], validation=parts[1], test=parts[2],
                  unused=[path for path in found if path not in used], whole=not alone)  # fmt: skip


def tars_in(folder: Path) -> list[Path]:
    return sorted(filter(is_tar, folder.iterdir()))


def visible(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not is_hidden(one.name))


def holds_images(folder: Path, levels: int = 2) -> bool:
    """Whether a folder, or one up to so many levels below it, holds an image; some folders of each level are read."""
    with os.scandir(folder) as entries:
        if any(is_image(entry.name) and not entry.is_dir() for entry in entries):
            return True
    return levels > 0 and any(holds_images(one, levels - 1) for one in islice(visible(folder), 100))
