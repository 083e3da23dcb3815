"""What stands beside shards: the manifest of prepared ones, or a list of class names."""

from collections.abc import Sequence
from pathlib import Path

from reslab.errors import ReslabError, UsageError
from reslab.images.sources import labels
from reslab.stored.files import named, present, read_text
from reslab.stored.read import read_json
from reslab.stored.shards import Shards as Stored

MANIFEST = "reslab-shards.json"
NAMES = ("classes.txt", "classnames.txt")  # a class name a line: that of label 0 first


class Manifest:
    """The manifest that `reslab data prepare` writes beside its shards."""

    def __init__(self, folder: Path, stored: Stored) -> None:
        self.folder, self.stored = folder, stored
        self.split, self.skipped = stored.split, stored.skipped
        self.classes = tuple(stored.classes)
        self.digests = {one.file: one.sha256 for part in stored.parts.values() for one in part}  # by name

    def check(self, shards: Sequence[Path], *, every: bool) -> None:
        """Raise ReslabError if these are not the shards that were prepared, of the size that they had.

        `every`: all that the manifest lists must be among them.
        """
        if not self.stored.complete:
            raise ReslabError(f"{named(self.folder)} is not prepared yet: run `reslab data prepare` again with the "
                              "same options, which goes on where it stopped")  # fmt: skip
        sizes = {one.file: one.bytes for part in self.stored.parts.values() for one in part}
        again = f"copy it again, or prepare {named(self.stored.source)} again"
        for shard in shards:
            if shard.name not in sizes:
                raise ReslabError(f"{named(shard)} is not among the shards that {MANIFEST} lists; move it to another "
                                  "folder")  # fmt: skip
            if (size := shard.stat().st_size) != sizes[shard.name]:
                raise ReslabError(f"{named(shard)} has {size:,} bytes, and had {sizes[shard.name]:,} when it was "
                                  f"prepared; {again}")  # fmt: skip
        here = {shard.name for shard in shards}
        if every and (lost := [name for name in sizes if name not in here]):
            raise ReslabError(f"{named(self.folder / lost[0])} is missing, which {MANIFEST} lists; {again}")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in the folder of shards; None if there is none. Raises ReslabError for a damaged one."""
    path = folder / MANIFEST
    return Manifest(folder, read_json(path, Stored)) if present(path) else None


def class_names(folder: Path, manifest: Manifest | None) -> tuple[str, ...] | None:
    """The names of the classes in the order of their numbers; None if nothing says them."""
    if manifest is not None:
        return manifest.classes
    found = {path: lines_of(path) for name in NAMES if present(path := folder / name)}
    if not found:
        return None
    (path, lines), *others = found.items()
    if differing := next((other for other, some in others if some != lines), None):
        raise UsageError(f"{named(path)} and {differing.name} beside it name other classes; remove one of them")
    return labels.class_names(lines, named(path))


def lines_of(path: Path) -> list[str]:
    """The class names in a file. Raises UsageError for an empty line."""
    lines = [line.strip() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or not all(lines):
        raise UsageError(f"{named(path)} has an empty line; write a class name on each, that of label 0 first")
    return lines
