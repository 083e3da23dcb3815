"""The plotting library: one script that the pages of a folder share, or the same script packed into a single page."""

import base64
import gzip
import os
from functools import lru_cache
from pathlib import Path

from reslab.stored.files import present, read_bytes
from reslab.stored.write import write_aside

# What marks a folder whose subfolders hold the runs it is about: they share its script.
OF_SEVERAL = ("study.json", "members.json", "results/compare.json", "results/compare-tables.json")


def source() -> bytes:
    from plotly.offline import get_plotlyjs  # here: a command that draws nothing should not wait for it

    return str(get_plotlyjs()).encode()


def name() -> str:
    """The shared script's name, with the version of plotly.js: pages of an older version keep their own script."""
    from plotly.offline import get_plotlyjs_version

    return f"reslab-plotly-{get_plotlyjs_version()}.js"


def shared(page: Path) -> str:
    """Write the script that a page shares with the others of its folder or study; returns its URL from the page.

    A script that differs from the installed plotly's, damaged or another's, is replaced. Raises ReslabError if it
    cannot be written.
    """
    folder = page.resolve().parent
    above = any(present(folder.parent / mark) for mark in OF_SEVERAL)
    file = (folder.parent if above else folder) / name()
    script = source()
    if not os.path.isfile(file) or os.path.islink(file) or read_bytes(file) != script:
        write_aside(file, lambda out: out.write(script))
    return f"{'../' if above else ''}{file.name}"


def packed() -> str:
    """The script for a page that is sent alone: compressed with gzip, in base64; figures.js unpacks it."""
    return _pack(source())


@lru_cache(maxsize=1)
def _pack(script: bytes) -> str:
    return base64.b64encode(gzip.compress(script, mtime=0)).decode("ascii")
