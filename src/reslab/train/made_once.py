"""A run folder that several processes train in: one of them makes it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError
from reslab.run import MEMBERS, Run

if TYPE_CHECKING:
    from reslab.train.world import World

PATIENCE = 60.0  # seconds in which a new folder must be seen on every machine


def for_all(world: "World", make: Callable[[], tuple["Run", Any]]) -> tuple["Run", Any]:
    """(the run folder that `make` makes or finds, the data loaded on the way); it runs in rank 0 alone.

    The others get the folder, without data. Raises what `make` raises, and UsageError where the folder is not seen.
    """
    if world.alone:
        return make()
    made: list[tuple[Run, Any]] = []

    def folder() -> str:
        made.append(make())
        return str(made[0][0].folder.resolve())

    word = world.first(folder)
    if world.leads:
        return made[0]
    run, began = Run(word), time.monotonic()
    while not (run.has("spec.json") or run.has(MEMBERS)):
        if time.monotonic() > began + PATIENCE:
            raise UsageError(f"{word} is not there on this machine: all machines must see the run folder, in a file "
                             "system that they share")  # fmt: skip
        time.sleep(0.1)
    return run, None
