"""Standard streams of a command: never missing, and a full disk or a closed pipe does not end the work."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from reslab.progress import Lasting

STANDARD = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


def open_closed() -> None:
    """Open /dev/null for each standard stream that was closed before the start, as in a daemon.

    Python sets such a stream to None, and the next file opened would get its number: a library's messages to standard
    error would go into a file of the run folder.
    """
    for name, number, mode in STANDARD:
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)  # another file has the number by now
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115


@contextmanager
def lasting_output() -> Iterator[Lasting]:
    """Inside, standard output and error cannot end the work; yields standard output, which keeps its first `error`."""
    open_closed()
    out, err = sys.stdout, sys.stderr
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a file's name may contain bytes that are not text
    kept: list[Any] = [Lasting(out), Lasting(err)]
    sys.stdout, sys.stderr = kept
    try:
        yield kept[0]
    finally:
        sys.stdout, sys.stderr = out, err
        for stream in (out, err):
            drop_unwritten(stream)


def drop_unwritten(stream: Any) -> None:
    """Write what the buffer still holds; if that fails, discard it, so that it does not fail again at exit."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # ValueError: closed, or no real file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
