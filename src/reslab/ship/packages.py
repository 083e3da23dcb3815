"""OpenVINO and NNCF, imported without the usage reports that importing them sends to a server. No torch."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reslab.extras import need

TELEMETRY = "openvino_telemetry"  # both send events through it, from their first import on, unless it is missing


def openvino(why: str) -> Any:
    """The package openvino. Raises UsageError saying how to install it."""
    with unreported():
        return need("openvino", extra="ship", why=why)


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
