"""OpenVINO and NNCF, imported without the usage reports that importing them sends to a server. No torch."""

import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reslab.extras import need

TELEMETRY = "openvino_telemetry"  # both send events through it, from their first import on, unless it is missing
ONE = threading.Lock()  # functools.cache alone would let two threads make a Core each


def openvino(why: str) -> Any:
    """The package openvino. Raises UsageError saying how to install it."""
    with unreported():
        return need("openvino", extra="ship", why=why)


def core(why: str) -> Any:
    """The one ov.Core of this process. Raises as `openvino` does.

    A second one must not be made: a Core gives the thread another stack for signals. Of two that end in the order in
    which they began, the later one puts back the stack of the earlier one, which is gone, and the next signal, such as
    Ctrl-C, ends the process (OpenVINO 2026.4 on Linux).
    """
    with ONE:
        return core_of(openvino(why))


@functools.cache
def core_of(ov: Any) -> Any:
    return ov.Core()


class Stack(ctypes.Structure):
    """stack_t of Linux."""

    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def own_signal_stack() -> Iterator[None]:
    """Around code that makes an ov.Core of its own (NNCF): the thread's stack for signals is what it was before."""
    if sys.platform != "linux":
        yield
        return
    before, libc = Stack(), ctypes.CDLL(None, use_errno=True)
    known = libc.sigaltstack(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known:
            libc.sigaltstack(ctypes.byref(before), None)


def nncf(why: str) -> Any:
    """The package nncf, which quantizes. Raises UsageError saying how to install it."""
    openvino(why)  # otherwise nncf imports it, outside of our sight
    with unreported():
        return need("nncf", extra="ship", why=why)


@contextmanager
def unreported() -> Iterator[None]:
    """Inside, the package that sends usage reports looks as if it were not installed; both do without it."""
    if TELEMETRY in sys.modules:  # another import was first: it is not ours to undo
        yield
        return
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[TELEMETRY]
