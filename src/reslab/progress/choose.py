"""Which display is shown: a bar, lines or a notebook's output, by where standard error goes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reslab.progress.display import Display, Lines, Notebook
from reslab.progress.protocol import Progress, Rows, silent


def chosen(unit: str = "") -> Display:
    """The display for where standard error goes."""
    from rich.console import Console
    from rich.errors import LiveError

    console = Console(stderr=True)
    if console.is_jupyter:
        return Notebook(unit)
    if console.is_terminal and not console.is_dumb_terminal and sys.stderr is not None and sys.stderr.isatty():
        from reslab.progress.bar import Bar

        try:
            return Bar(unit)
        except LiveError:  # the caller shows a bar already
            return Lines(unit)
    return Lines(unit)


@contextmanager
def board(unit: str = "") -> Iterator[Rows]:
    """Show the progress of several pieces of work, each under a name; `unit`: what a step is, to show their rate."""
    display = chosen(unit)
    try:
        yield display.row
    finally:
        display.close()


@contextmanager
def shown(name: str, *, unit: str = "") -> Iterator[Progress]:
    """Show the progress of one piece of work; `unit`: what a step is ("samples"), to show its rate."""
    with board(unit) as row:
        yield row(name)


def quiet(name: str) -> Progress:
    """Progress that is not shown."""
    return silent
