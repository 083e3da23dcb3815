"""SIGTERM, Ctrl-C and warnings such as SIGHUP: finish the step, save and exit; a second Ctrl-C exits at once."""

import signal
import threading
import time
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any

from reslab.errors import ReslabError
from reslab.train.supervised import supervised


class Interrupted(ReslabError):  # noqa: N818 - not an error: the user asked it to stop
    """A signal stopped the training, which saved all it needs to resume. Exit code: 128 + the signal's number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


TOGETHER = 0.5  # seconds in which several signals are one: a terminal's, and the same as `timeout` forwards it
ASKED = (signal.SIGINT, signal.SIGTERM)
# A closed terminal, the warnings of Slurm and other schedulers before they kill, and a limit of CPU time.
WARNED = [getattr(signal, name) for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU") if hasattr(signal, name)]


class Stop:
    """Inside the `with`, the first signal only stores its number in `asked`; a second SIGINT or SIGTERM acts as usual.

    One that comes within half a second of the first is no second. A second warning is ignored: a closed terminal may
    send two. Warnings that are ignored (nohup), or that the program handles, are left as they are. With a supervisor,
    which kills at once what it wants to end at once, every second signal is ignored: a scheduler may send its own to
    all processes beside the supervisor's.
    """

    def __init__(self) -> None:
        self.asked, self.since = 0, 0.0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            for number in (*ASKED, *WARNED):
                if number in ASKED or signal.getsignal(number) == signal.SIG_DFL:
                    self.before[number] = signal.signal(number, self.ask)
        return self

    def ask(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self.since = number, now
        elif number in ASKED and now > self.since + TOGETHER and not supervised():
            self.restore(ASKED)
            signal.raise_signal(number)

    def restore(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number in self.before:
                signal.signal(number, self.before.pop(number))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.restore(tuple(self.before))
