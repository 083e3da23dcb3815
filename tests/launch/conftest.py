"""Toy programs in the place of ranks."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launch_toys import Toys, runs
from quick import pngs

__all__ = ["pngs", "toys"]


@pytest.fixture
def toys(tmp_path: Path) -> Iterator[Callable[[str], Toys]]:
    """toys(program): the code of each rank, which knows `rank`, `here` and `start`; whatever it starts is ended."""
    made: list[Toys] = []

    def make(program: str) -> Toys:
        made.append(Toys(tmp_path, program))
        return made[-1]

    yield make
    for one in made:
        for supervisor in one.supervisors:
            supervisor.kill()
            supervisor.communicate()
        for path in one.folder.glob("started.*"):
            for line in path.read_text().splitlines():
                with contextlib.suppress(OSError):
                    if runs(int(line)):
                        os.kill(int(line), signal.SIGKILL)
