"""Do many tasks, several at a time, each by a hand: a process here, or a worker of a cluster.

The one scheduler of reslab/study: trainings in run folders of their own (jobs.py) and the cells of a grid.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from reslab.errors import Sentence
from reslab.train.signals import Interrupted, Stop

AGAIN = 1.0  # seconds until a task that another command is doing is asked for again
T = TypeVar("T", bound=Hashable)
TRIES = 2  # of a task whose worker dies: one more, in a new worker


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Why a task was not done. `code`: of the process's exit; `died`: its worker did, so it may be tried again."""

    why: Sentence | str
    code: int = 1
    died: bool = False


@dataclass(frozen=True, kw_only=True)
class Busy:
    """Another command is doing the task: its result can be read later."""


Outcome = Failed | Busy | None  # None: done


class Hand(Protocol):
    """What does one task at a time."""

    def do(self, task: Any) -> Outcome:
        """Do the task and wait for its end. After `stop`, start nothing."""

    def stop(self) -> None:
        """From another thread: ask the task to save and end; a second time, to end at once."""

    def close(self) -> None:
        """Let go of what it holds."""


def nothing(*_: Any) -> None:
    """Tell nobody."""


def work_off(
    needs: Mapping[T, Iterable[T]], hands: Sequence[Hand], *, first: Callable[[T], float] = lambda task: 0.0,
    go_on: bool = False, began: Callable[[T], None] = nothing, ended: Callable[[T, Outcome], None] = nothing,
) -> dict[T, Failed]:  # fmt: skip
    """Do all tasks, the keys of `needs`, after those that they need; returns those that failed.

    A free hand takes the ready task of the greatest `first`, of equal ones the first in order. A task whose hand dies
    is done once more. After a failure the others are asked to stop or, with `go_on`, finish: all but those that need
    what failed. SIGINT or SIGTERM asks every hand once to save and end, then Interrupted is raised; after a second
    signal they end at once.
    """
    state = State(needs, first, go_on=go_on, hands=len(hands))

    def serve(hand: Hand) -> None:
        try:
            while (task := state.take()) is not None:
                began(task)
                outcome = hand.do(task)
                ended(task, outcome)
                state.end(task, outcome)
        except BaseException as error:  # a fault of the hand, not of its task
            state.error = state.error or error
            state.stop()
        finally:
            state.leave()

    threads = [threading.Thread(target=serve, args=(hand,), daemon=True) for hand in hands]
    with Stop() as asked:
        try:
            for thread in threads:
                thread.start()
            told = False
            while state.serving:
                state.wait()
                if asked.asked:
                    state.stop()
                if state.stopping and not told:
                    told = True
                    stop(hands)  # once: a second signal would not let them save
        except BaseException:
            state.stop()
            stop(hands)
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            raise
        finally:
            for hand in hands:
                hand.close()
        if asked.asked:
            raise Interrupted("stopped; run the same command again to resume", asked.asked)
    if state.error is not None:
        raise state.error
    return state.failed


def stop(hands: Iterable[Hand]) -> None:
    for hand in hands:
        hand.stop()


class State(Generic[T]):
    """Which tasks wait, run and have ended; shared by the threads of all hands."""

    def __init__(self, needs: Mapping[T, Iterable[T]], first: Callable[[T], float], *, go_on: bool, hands: int) -> None:
        self.open = {task: {one for one in needed if one in needs} for task, needed in needs.items()}  # not yet done
        self.order = sorted(needs, key=first, reverse=True)  # sorting is stable
        self.go_on, self.stopping, self.serving = go_on, False, hands
        self.running: set[T] = set()
        self.failed: dict[T, Failed] = {}
        self.not_before: dict[T, float] = {}  # of tasks that another command is doing
        self.tries: dict[T, int] = {}
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def take(self) -> T | None:
        """The next task to do, waiting for one; None: there will be none."""
        with self.changed:
            while self.order and not self.stopping:
                now = time.monotonic()
                task = next((one for one in self.order if not self.open[one] and self.not_before.get(one, 0) <= now),
                            None)  # fmt: skip
                if task is not None:
                    self.order.remove(task)
                    self.running.add(task)
                    return task
                self.changed.wait(timeout=AGAIN / 4 if self.not_before else None)
            return None

    def end(self, task: T, outcome: Outcome) -> None:
        with self.changed:
            self.running.discard(task)
            self.not_before.pop(task, None)
            again = False
            if isinstance(outcome, Busy):
                self.not_before[task], again = time.monotonic() + AGAIN, True
            elif isinstance(outcome, Failed) and outcome.died and not self.stopping:
                self.tries[task] = self.tries.get(task, 1) + 1
                again = self.tries[task] <= TRIES
            if again:
                self.order.insert(0, task)
            elif isinstance(outcome, Failed):
                self.failed[task] = outcome
                self.stopping = self.stopping or not self.go_on
                self.drop_users(task)
            else:
                for needed in self.open.values():
                    needed.discard(task)
            self.changed.notify_all()

    def drop_users(self, task: T) -> None:
        """Whatever needs a failed task will not be done."""
        for user in [one for one in self.order if task in self.open[one]]:
            self.order.remove(user)
            self.drop_users(user)

    def stop(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def leave(self) -> None:
        """A hand has nothing more to do."""
        with self.changed:
            self.serving -= 1
            self.changed.notify_all()

    def wait(self) -> None:
        """Until something changes, half a second at most: signals are looked at in between."""
        with self.changed:
            if self.serving:
                self.changed.wait(timeout=0.5)
