"""What long work calls to report how far it is."""

from collections.abc import Callable
from typing import Protocol


class Phase(str):
    """A note that begins a phase of the work, such as "timing precision": rate and time left are counted anew."""


class Progress(Protocol):
    """A step of the work. A plain function (done, total, note="") will do."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """`done` of `total` steps are done; `note` says in words what is happening or was found."""


Steps = Callable[[int, int], None]  # what a measurement reports (done, total) to; any Progress will do
Rows = Callable[[str], Progress]  # a piece of work's name -> what it reports to; for several trainings


def silent(done: int, total: int, note: str = "", /) -> None:
    """Show nothing."""


def in_phase(progress: Progress, name: str) -> Steps:
    """What a measurement that reports (done, total) alone is given: its steps are the phase `name`."""
    return lambda done, total: progress(done, total, Phase(name))
