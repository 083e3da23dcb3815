"""Which files `reslab predict` is asked for: files, the images in folders, a list of paths from standard input."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UsageError
from reslab.images.sources.scan import EXTENSIONS, HIDDEN, Scan

MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"P6\n", b"P5\n")  # of image files
IMAGE = "standard input holds an image, not paths; give its file's name"


@dataclass(frozen=True)
class Named(Sequence[Path]):
    """Files by the names that their user gave, as sources to decode."""

    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Path:  # type: ignore[override]
        return Path(self.names[i])


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The files to predict, in order; what there is none of, with the reason; files of folders that are no images."""

    files: list[str]
    missing: list[tuple[str, str]]
    ignored: Counter[str]


def gather(words: Iterable[str]) -> Gathered:
    """Files as they are, folders' images at any depth, sorted, hidden files skipped. A repeated word counts again."""
    files, missing, ignored = list[str](), list[tuple[str, str]](), Counter[str]()
    for word in words:
        if os.path.isdir(word):
            scan = Scan(Path(word))
            found = [os.path.join(word, path) for path in scan.images("")]
            files += found
            ignored.update({one.reason: one.files for one in scan.account() if one.reason != HIDDEN})
            if not found:
                missing.append((word, f"there is no image in this folder (known by {', '.join(EXTENSIONS)})"))
        elif not word or not os.path.lexists(word):
            missing.append((word, "no such file or folder"))
        else:
            files.append(word)
    return Gathered(files=files, missing=missing, ignored=ignored)


def listed_paths(data: bytes) -> list[str]:
    """The paths in what standard input gave: one a line, or each ended by a NUL (find -print0).

    Raises UsageError for the bytes of an image.
    """
    if data.startswith(MAGIC):
        raise UsageError(IMAGE)
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line]
