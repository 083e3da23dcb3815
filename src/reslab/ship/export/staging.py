"""A folder that is written aside and then takes its place at once, or leaves nothing behind."""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from reslab.errors import ReslabError, UsageError, arg
from reslab.run import MEMBERS
from reslab.ship.folder import CONFIG, SUMS, is_exported, listed, read_config
from reslab.ship.listed import foreign
from reslab.stored.files import named, present
from reslab.stored.write import UMASK, explained

AT_FDCWD, EXCHANGE = -100, 2  # of Linux's renameat2
SWAP = 2  # of renamex_np of macOS


@contextlib.contextmanager
def staged(out: Path, *, kind: str, name: str) -> Iterator[Path]:
    """with staged(out, ...) as folder: `folder`, a new one beside `out`, becomes `out` at the end.

    After an error, Ctrl-C or SIGTERM it is removed, and `out` is as it was. Raises UsageError if `out` is there and
    neither empty nor an exported folder of this model and nothing else, or lies in a run or in another exported folder.
    """
    check_place(out, kind=kind, name=name)
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    try:
        with stoppable():
            folder.chmod(0o777 & ~UMASK)  # mkdtemp's is private
            yield folder
            check_place(out, kind=kind, name=name)  # minutes have passed
            with explained(out):
                replace(folder, out)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, Stopped):
            raise Terminated("stopped by SIGTERM; nothing was written") from error
        raise


def check_place(out: Path, *, kind: str, name: str) -> None:
    """Raise UsageError if an export of this model must not take the place of what lies at `out`."""
    for parent in out.resolve().parents:
        if what := what_is(parent):
            raise UsageError(f"{named(out)} lies in {named(parent)}, which is {what}; choose another ", arg("folder"))
    if os.path.lexists(out) and not out.is_dir():
        raise UsageError(f"{named(out)} is a file; choose another ", arg("folder"))
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not is_exported(out):
        raise UsageError(f"{named(out)} is not empty and no exported folder; choose another ", arg("folder"))
    try:
        there, sums = read_config(out), {CONFIG, SUMS, *(listed(out) if present(out / SUMS) else ())}
    except ReslabError as error:  # its advice is to export the model again
        raise UsageError(
            f"{named(out)} holds a damaged export: remove it, or choose another ", arg("folder")
        ) from error
    if (there.kind, there.name) != (kind, name):
        raise UsageError(f"{named(out)} holds another model, {there.name} ({there.kind}); choose another ",
                         arg("folder"))  # fmt: skip
    if other := next(foreign(out, sums), None):
        raise UsageError(f"{named(out)} holds {named(other)}, which is no part of the export that would be replaced: "
                         "move it away, or choose another ", arg("folder"))  # fmt: skip


def what_is(folder: Path) -> str:
    """What may be replaced or removed as a whole, so that nothing else belongs in it; "" for any other folder."""
    if present(folder / CONFIG) and present(folder / SUMS):
        return "an exported folder"
    beside = any(present(folder / name) for name in ("recipe.toml", "weights.safetensors", "data.json"))
    return "a run" if present(folder / MEMBERS) or (present(folder / "spec.json") and beside) else ""


def replace(new: Path, out: Path) -> None:
    """Put the folder `new` in the place of `out`, in one step where the system can swap two names."""
    if not out.exists():
        os.rename(new, out)
        return
    place = out.resolve() if out.is_symlink() else out  # the folder behind a link is replaced, not the link
    if not swapped(new, place):
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
        os.rename(place, aside)  # over the empty one
        try:
            os.rename(new, place)
        except OSError:
            os.rename(aside, place)
            raise
        new = aside
    shutil.rmtree(new, ignore_errors=True)  # what was there before


def swapped(one: Path, other: Path) -> bool:
    """Let two paths change places at once; False where the system or the file system cannot."""
    try:
        libc: Any = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            return bool(libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), EXCHANGE) == 0)
        if sys.platform == "darwin":
            return bool(libc.renamex_np(os.fsencode(one), os.fsencode(other), SWAP) == 0)
    except (OSError, AttributeError, TypeError):  # another C library, an old one, none
        pass
    return False


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Inside, SIGTERM raises Stopped, as Ctrl-C does KeyboardInterrupt; but not in another thread than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)  # None: set by another language


class Stopped(BaseException):
    """SIGTERM arrived. It is no Exception: code that catches those must not go on."""


class Terminated(ReslabError):  # noqa: N818 - what it says
    """The process was asked to end."""

    exit_code = 128 + signal.SIGTERM
