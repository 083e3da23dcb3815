"""Find the images below a folder, and account for every other file: what is ignored, and why."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
EXAMPLES = 5  # names kept for each reason
HIDDEN = "hidden file"  # .DS_Store, ._1.jpg, Thumbs.db: too common to be named before every training
OUTSIDE, LINKED, SPECIAL = "outside the class folders", "linked folder", "not a regular file"
HIDDEN_FOLDER, DANGLING, UNREADABLE = "hidden folder", "link that leads nowhere", "unreadable folder"
# What systems and tools make: known by the whole name, or by a dot before it; any other folder may be a class.
HIDDEN_STARTS = "."  # .git, .ipynb_checkpoints, .Trash-1000, ._1.jpg
HIDDEN_NAMES = (
    "__macosx", "__pycache__",
    "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot",  # of a NAS
    "$recycle.bin", "system volume information", "thumbs.db", "desktop.ini",  # of Windows
    "lost+found",  # of fsck
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """Files of a data set that are not used, for one reason; the first few by name."""

    reason: str
    files: int
    examples: tuple[str, ...]


@dataclass
class Scan:
    """Walks folders below `root` and counts what it does not take."""

    root: Path
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def images(self, folder: str) -> list[str]:
        """The images anywhere in root/folder, as sorted paths relative to the root, with /.

        Hidden and linked folders are not entered. A link that leads nowhere is an image: whoever reads it, reports it.
        """
        found: list[str] = []
        for path, entry in self._walk(folder):
            if (why := why_not(entry)) is None:
                found.append(path)
            else:
                self.ignore(why, path)
        return sorted(found)

    def beside(self, folder: str, used: Iterable[str]) -> None:
        """Count what root/folder holds beside its subfolders `used`: files, other folders, links that lead nowhere."""
        taken = set(used)
        start = f"{folder}/" if folder else ""
        for entry in self._entries(folder):
            path = f"{start}{entry.name}"
            if entry.name in taken:
                continue
            if entry.is_dir():
                self.folder(path)
            elif entry.is_symlink() and not entry.is_file() and not is_image(entry.name):
                self.ignore(DANGLING, path)
            else:
                why = why_not(entry)
                self.ignore(OUTSIDE if why is None else why, path)

    def folder(self, path: str) -> None:
        """Count the images of a folder that is not used, under its own name."""
        reason = HIDDEN_FOLDER if is_hidden(Path(path).name) else f"{path}/"
        for file, entry in self._walk(path):
            if why_not(entry) is None:
                self.ignore(reason, file)

    def ignore(self, reason: str, path: str) -> None:
        """Count one file."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        some = self.examples.setdefault(reason, [])
        if len(some) < EXAMPLES:
            some.append(path)

    def account(self) -> tuple[Ignored, ...]:
        """What was ignored, the most frequent reason first."""
        order = sorted(self.counts, key=lambda reason: (-self.counts[reason], reason))
        return tuple(Ignored(reason=reason, files=self.counts[reason], examples=tuple(sorted(self.examples[reason])))
                     for reason in order)  # fmt: skip

    def _walk(self, folder: str) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        """Every file below root/folder with its path."""
        waiting = [folder]
        while waiting:
            at = waiting.pop()
            for entry in self._entries(at):
                path = f"{at}/{entry.name}" if at else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if is_hidden(entry.name):
                        self.folder(path)
                    else:
                        waiting.append(path)
                elif entry.is_dir():
                    self.ignore(LINKED, path)
                else:
                    yield path, entry

    def _entries(self, folder: str) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.ignore(UNREADABLE, folder)
            return []


def is_hidden(name: str) -> bool:
    """Whether a file or folder belongs to a system or a tool, not to the data."""
    return name.startswith(HIDDEN_STARTS) or name.lower() in HIDDEN_NAMES


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def is_regular(path: Path) -> bool:
    """Whether there is a regular file: reading a fifo would wait for ever."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def why_not(entry: "os.DirEntry[str]") -> str | None:
    """Why a file is ignored; None for an image."""
    if not is_image(entry.name):
        if entry.name.startswith(".") or entry.name.lower() in HIDDEN_NAMES:
            return HIDDEN
        return Path(entry.name).suffix.lower() or "no extension"
    if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
        return None
    return SPECIAL
