"""Write files whole: to a temporary file, synced, renamed; what a file system cannot do is warned about once."""

import contextlib
import errno
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from reslab.errors import ReslabError, ReslabWarning, Sentence, arg
from reslab.stored.digest import keep_as
from reslab.stored.files import named


def read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# What a file system answers to an operation that it does not have.
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOTTY)
UMASK = read_umask()  # mkstemp makes files private; those of a run folder get the usual permissions


def write_aside(path: Path, write: Callable[[BinaryIO], Any], *, keep: Path | None = None) -> Path:
    """Write `path` atomically: to a temporary file, synced, renamed. Raises ReslabError and keeps the old file.

    `keep`: the replaced file's name from then on; without it, that file goes.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                sync(file)
            give_usual_mode(aside)
            if keep:
                keep_as(keep, path)
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
    return path


def sync(file: BinaryIO) -> None:
    """Wait until a file's bytes are on the disk; warn where the file system cannot (EINVAL of some FUSE)."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        once(f"the file system cannot sync files ({error.strerror}), so a power cut may lose the last checkpoint")


def give_usual_mode(path: str) -> None:
    """Give a file that mkstemp made private the usual permissions; some file systems have none (CIFS, FUSE)."""
    try:
        os.chmod(path, 0o666 & ~UMASK)
    except OSError as error:
        if error.errno not in (*UNSUPPORTED, errno.EPERM):
            raise
        once(f"the file system of {named(Path(path).parent)} does not let permissions be set ({error.strerror}); files "
             "keep those that it gives")  # fmt: skip


WARNED: set[str] = set()


def once(sentence: str) -> None:
    """Warn, the first time in this process that the sentence is given."""
    if sentence not in WARNED:
        WARNED.add(sentence)
        warnings.warn(ReslabWarning(sentence), stacklevel=3)


def sweep(folder: Path, names: Iterable[str]) -> None:
    """Remove temporary files that a killed process left of `names`. Only for the sole writer of these files."""
    for name in names:
        for aside in folder.glob(f".{name}.*"):
            with contextlib.suppress(OSError):
                aside.unlink()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into a ReslabError that says what to do."""
    what: str | Sentence
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = "the disk is full; free some space and run the command again (training resumes where it stopped)"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = Sentence("permission denied; choose another ", arg("folder"))
        elif isinstance(error, IsADirectoryError):
            what = "it is a folder; give a file"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            what = Sentence("a file is in the place of a folder; choose another ", arg("folder"))
        else:
            what = error.strerror or str(error)
        raise ReslabError(f"cannot write {path}: ", what) from error
