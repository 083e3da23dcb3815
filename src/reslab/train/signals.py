"""SIGTERM and Ctrl-C: finish the step, save and exit; a second Ctrl-C exits at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from reslab.errors import ReslabError


class Interrupted(ReslabError):  # noqa: N818 - not an error: the user asked it to stop
    """A signal stopped the training, which saved all it needs to resume. Exit code: 128 + the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Stop:
    """Inside the `with`, the first SIGINT or SIGTERM only stores its number in `asked`; the second acts as usual."""

    def __init__(self) -> None:
        self.asked = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.ask)
        return self

    def ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        self.restore()

    def restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.restore()
