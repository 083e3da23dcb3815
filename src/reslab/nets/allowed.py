"""Which functions of Python files may be run to rebuild a net: those that the user named, never only a run folder.

A run folder stores the path of the file, and the function in it, that builds its net. Such a folder may come from a
stranger, so its word alone decides nothing: file and function must be what this user has named in a command or call,
here, at some time. Another function of the same file was not meant by it.
"""

import os
from pathlib import Path

from reslab.errors import ReslabError, UsageError, tell

NAMED: set[str] = set()  # in this process, for a home folder that cannot be written


def record() -> Path | None:
    """The list of what the user has named, one PATH:FUNCTION a line; None if there is no home folder."""
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "reslab" / "python-files.txt"
    except RuntimeError:
        return None


def allow(file: Path, function: str) -> None:
    """Remember a file and its function that the user has named."""
    path = f"{file.resolve()}:{function}"
    if path in known():
        return
    NAMED.add(path)
    where = record()
    try:
        if where is None or "\n" in path:
            return
        where.parent.mkdir(parents=True, exist_ok=True)
        with where.open("a", encoding="utf-8", errors="surrogateescape") as lines:
            lines.write(f"{path}\n")
    except OSError as error:
        tell("%s cannot be written (%s), so runs of %s must name it again", where, error.strerror or error, path)


def known() -> set[str]:
    """The PATH:FUNCTION that the user has named."""
    where = record()
    try:
        text = where.read_text(encoding="utf-8", errors="surrogateescape") if where else ""
    except OSError:
        text = ""
    return NAMED | set(text.split("\n")) - {""}


def refuse_unasked(file: Path, function: str) -> None:
    """Raise if a stored file must not be run: it is not there, its path is not plain, or the user never named it."""
    if not file.is_absolute() or file != file.resolve():
        raise UsageError(f"the net is built by {file}, which is no plain absolute path, so it is not run")
    if not file.is_file():
        raise ReslabError(f"the net is built by {file}, which is not there; restore it to load this run")
    word = f"{file}:{function}"
    if word not in known():
        raise UsageError(f"the net is built by running {function} of {file}, which you have not named on this "
                         "machine, so it is not run; read it, and if you trust it, name it once: `reslab look merges "
                         f"{word}`, or reslab.model({word!r}) in Python")  # fmt: skip


def refuse_inside(file: Path, folder: Path) -> None:
    """Raise UsageError for a file inside the run folder that names it: it came with the folder."""
    if file.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"the net of {folder} is built by {file}, a file inside the run folder, which is not run; "
                         "move it elsewhere, read it, and train with it there")  # fmt: skip
