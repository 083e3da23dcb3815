"""Progress of a plan and its end by Ctrl-C; beforehand, what it will do and how long that takes at most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import Sentence, arg, tell
from reslab.progress import Progress
from reslab.slim.planning.choices import Choices, Removed
from reslab.slim.planning.items import Items
from reslab.train.signals import Interrupted, Stop


@dataclass
class Meter:
    """Counts samples times candidates; `pause` stands before every pass."""

    progress: Progress
    stop: Stop
    folder: str | Path | None
    done: int = 0
    total: int = 1
    steps: int = 0  # of the plan, that are kept

    def step(self, some: int, note: str) -> None:
        self.done += some
        self.progress(min(self.done, self.total), self.total, note)

    def pause(self) -> None:
        """Raises Interrupted if a signal came."""
        if not self.stop.asked:
            return
        done = f"the plan was stopped after {self.steps} step{'s' * (self.steps != 1)}"
        if not self.steps:
            raise Interrupted("the plan was stopped before its first step was finished; run the same command again to "
                              "start it", self.stop.asked)  # fmt: skip
        if self.folder is None:
            raise Interrupted(Sentence(f"{done}, which were not kept; give a ", arg("folder"), " to resume"),
                              self.stop.asked)  # fmt: skip
        raise Interrupted(f"{done}, which are kept in {self.folder}; run the same command again to resume",
                          self.stop.asked)  # fmt: skip

    def announce(self, choices: Choices, items: Items, sets: Sequence[int], seconds: float, by: str) -> None:
        """Say what is measured. `sets`: how many candidates each step has; `seconds` of a pass of all samples."""
        n = items.chosen_by
        self.total = max(1, sum(sets) * n)
        # In a growing pass, a candidate joins at its block, and computes half of the model on average.
        most = seconds * sum(1 + many / 2 for many in sets) * n / items.n if by == "disabling" else seconds * len(sets)
        tell("planning: up to %d of %d blocks, chosen on %d samples; a pass of all takes %s; at this speed the plan "
             "takes up to about %s (progress counts samples times candidates)",
             len(sets), len(choices.blocks), n, clock(seconds), clock(most))  # fmt: skip


def sizes(choices: Choices, start: Removed, steps: int, beam: int) -> list[int]:
    """How many candidates each of the next steps has, at most."""
    first = len(choices.after(start))
    return [beam * (first - i) if i else first for i in range(min(steps, first))]


def clock(seconds: float) -> str:
    """3.2 s, 4 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
