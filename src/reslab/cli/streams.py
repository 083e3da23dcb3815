"""Standard streams for one command: none is missing, and a full disk or a reader that left does not end the work."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from reslab.progress import Lasting

STANDARD = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


def open_closed() -> None:
    """Open /dev/null for each stream that was closed before the start, as a daemon's are.

    Python leaves such a stream None, and the next file that is opened would get its number: what a library writes to
    standard error would go into the run folder.
    """
    for name, number, mode in STANDARD:
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)  # another file has the number by now: leave it alone
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="backslashreplace"))  # noqa: SIM115


@contextmanager
def lasting_output() -> Iterator[Lasting]:
    """Standard output and error for the work of one command; standard output, to ask at the end what it met."""
    open_closed()
    out, err = sys.stdout, sys.stderr
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no text
    kept: list[Any] = [Lasting(out), Lasting(err)]
    sys.stdout, sys.stderr = kept
    try:
        yield kept[0]
    finally:
        sys.stdout, sys.stderr = out, err
        for stream in (out, err):
            drop_unwritten(stream)


def drop_unwritten(stream: Any) -> None:
    """Write what a buffer still holds; where that fails, let it go nowhere: at exit it would fail once more."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # ValueError: closed, or no real file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
