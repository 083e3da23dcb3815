"""The process behind a hand of the pool."""

import signal
import subprocess
import threading
from collections.abc import Callable

from reslab.study.pool import Failed

STOPPED = Failed(why="", code=128 + signal.SIGTERM)  # of a task that a stopped hand was still given


class Child:
    """A process that is started in one thread and may be stopped from another: a stop is never missed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.stopped, self.guard = False, threading.Lock()

    def begin(
        self, make: Callable[["subprocess.Popen[str] | None"], "subprocess.Popen[str]"]
    ) -> "subprocess.Popen[str] | None":  # fmt: skip
        """The process that `make` starts, or finds in the one before; None after a stop."""
        with self.guard:
            if self.stopped:
                return None
            self.process = make(self.process)
            return self.process

    def stop(self) -> None:
        """From another thread: ask it to save and end, and start none after it."""
        with self.guard:
            self.stopped = True
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
