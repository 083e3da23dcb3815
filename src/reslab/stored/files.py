"""A file's bytes, its JSON, its TOML, or one sentence that says why not."""

import errno
import json
import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from reslab.errors import ReslabError, UsageError

LONGEST = 200  # characters of a path or value that a sentence shows
DEEPEST = 100  # levels of nested lists and objects: reslab writes fewer than ten
RESTORE = "restore a copy of it"
CORRECT = "correct it, or restore a copy"  # a file that people write


class MissingFile(UsageError):  # noqa: N818 - what it says
    """There is no such file."""


def named(path: Path | str) -> str:
    """A path on one line, with unprintable characters escaped, shortened if it is long."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"


def present(path: Path | str) -> bool:
    """Whether there is such a file, readable or not."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError:  # its folder is closed: whoever reads the file says so
        return True
    except (OSError, ValueError):  # no such file, or an impossible name
        return False


def unreadable(path: Path | str, error: OSError | ValueError) -> NoReturn:
    """Raise the sentence for a file that could not be opened: MissingFile, or ReslabError."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise MissingFile(f"{named(path)}: no such file") from error
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        why = "it is a folder; name a file, or restore a copy of it"
    elif isinstance(error, PermissionError):
        why = "you have no permission to read it; ask its owner, or change its mode (chmod u+r)"
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        raise MissingFile(f"{named(path)}: the name is too long") from error
    elif isinstance(error, OSError):
        why = error.strerror or str(error)
    else:  # a NUL in the name
        raise MissingFile(f"{named(path)} is not a valid file name: {error}") from error
    raise ReslabError(f"cannot read {named(path)}: {why}") from error


def read_bytes(path: Path | str) -> bytes:
    """The whole file. Raises MissingFile if there is none, ReslabError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        unreadable(path, error)


def read_text(path: Path | str) -> str:
    """The file as UTF-8; raises as `read_bytes` does, and ReslabError if it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")  # -sig: editors leave a byte order mark
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is not UTF-8"
        raise ReslabError(f"{named(path)} is damaged: {place}; {RESTORE}") from error


def parsed(parse: Callable[[Any], Any], text: Any, where: str, *, cure: str = RESTORE, what: str = "is damaged") -> Any:
    """parse(text). Raises ReslabError, which says that `where` is damaged."""
    try:
        value = parse(text)
        if depth(value) > DEEPEST:
            raise RecursionError
        return value
    except RecursionError as error:
        raise ReslabError(f"{where} is damaged: it is nested more than {DEEPEST} levels deep; {cure}") from error
    except ValueError as error:
        raise ReslabError(f"{where} {what}: {error}; {cure}") from error


def depth(value: Any) -> int:
    """How deeply lists and objects are nested, counted to just above DEEPEST."""
    level, deep = held_in([[value]]), 0
    while level and deep <= DEEPEST:
        level, deep = held_in(level), deep + 1
    return deep


def held_in(values: list[Any]) -> list[Any]:
    """The lists and objects directly within lists and objects."""
    each = (one.values() if isinstance(one, dict) else one for one in values)
    return [inner for one in each for inner in one if isinstance(inner, dict | list)]


def parse_json(text: str, where: str, *, cure: str = RESTORE) -> Any:
    """The value of a JSON text. Raises ReslabError, also for NaN and Infinity, which are not JSON."""
    return parsed(lambda text: json.loads(text, parse_constant=no_constant), text, where, cure=cure)


def no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_toml(data: bytes, where: str) -> dict[str, Any]:
    """The table of a TOML file. Raises ReslabError."""

    def parse(data: bytes) -> dict[str, Any]:
        return tomllib.loads(data.decode("utf-8-sig"))

    found: dict[str, Any] = parsed(parse, data, where, cure=CORRECT, what="is not a TOML file")
    return found
