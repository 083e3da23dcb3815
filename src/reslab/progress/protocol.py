"""What long work calls to report its progress."""

from collections.abc import Callable
from typing import Protocol


class Phase(str):
    """A note that begins a phase of the work, such as "timing precision": rate and time left start over."""

    __slots__ = ()


class Progress(Protocol):
    """A step of the work. A plain function (done, total, note="") will do."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """`done` of `total` steps are done; `note` says in words what is happening or was found."""


Steps = Callable[[int, int], None]  # what a measurement reports (done, total) to; any Progress will do
Rows = Callable[[str], Progress]  # a piece of work's name -> what it reports to; for several trainings


def silent(done: int, total: int, note: str = "", /) -> None:
    """Show nothing."""


def in_phase(progress: Progress, name: str) -> Steps:
    """For a measurement that reports only (done, total): its steps are the phase `name`."""
    return lambda done, total: progress(done, total, Phase(name))
