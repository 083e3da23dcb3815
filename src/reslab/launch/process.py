"""One rank: a process in a session of its own, and what it printed."""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence

from reslab.train.supervised import SAVED

KEPT = 20  # last lines of a rank other than 0, which are shown if it fails
PIECE = 65_536  # bytes read at once


class Process:
    """A rank. Rank 0 prints where its supervisor does, the others into a pipe."""

    def __init__(self, number: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.number = number
        self.pipe: int | None = None  # what rank 0 tells of checkpoints, or others print
        self.half, self.kept = b"", deque[str](maxlen=KEPT)
        self.saved = 0  # checkpoints that rank 0 has told of since `take_saved`
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        heeded = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until it calls `tie`, see there
        try:
            if number == 0:
                os.set_blocking(writing, False)
                self.child = subprocess.Popen(
                    command, env={**environment, SAVED: str(writing)}, stdin=subprocess.DEVNULL, pass_fds=[writing],
                    start_new_session=True,  # Ctrl-C in a terminal reaches the supervisor alone, which passes it on
                )  # fmt: skip
            else:
                self.child = subprocess.Popen(
                    command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing,
                    start_new_session=True,
                )  # fmt: skip
        except BaseException:
            os.close(reading)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heeded)
            os.close(writing)
        self.pipe = reading

    @property
    def code(self) -> int | None:
        """Its exit code; -n after signal n; None while it runs."""
        return self.child.poll()

    def read(self) -> None:
        """Take what has come through the pipe."""
        while self.pipe is not None:
            try:
                piece = os.read(self.pipe, PIECE)
            except BlockingIOError:
                return
            if not piece:
                os.close(self.pipe)
                self.pipe = None
            if self.number == 0:
                self.saved += len(piece)
                continue
            *lines, self.half = (self.half + piece).split(b"\n")
            self.kept.extend(line.decode(errors="replace").rstrip() for line in lines)
            self.half = self.half[-PIECE:]

    def lines(self) -> list[str]:
        """The last lines that a rank other than 0 printed."""
        self.read()
        return [line for line in (*self.kept, self.half.decode(errors="replace").rstrip()) if line]

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.code is None:
            self.child.send_signal(number)

    def send_all(self, number: int) -> None:
        """Send a signal to it and to the processes that it started, such as those that decode images."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of a group that has ended
            os.killpg(self.child.pid, number)

    def close(self) -> None:
        """Let go of its pipe and of what it left behind; it has ended."""
        self.send_all(signal.SIGKILL)
        self.child.wait()
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None
