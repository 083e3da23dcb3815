"""Messages between two supervisors: lines of JSON over TCP, and a beat where there is nothing to say."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

BEAT = 2.0  # seconds between two signs of life
SILENCE = 20.0  # seconds without one, after which the other machine is taken for lost
LAST = 1.0  # seconds for the last words
LONGEST = 65_536  # bytes of a line
Message = dict[str, Any]


class Wire:
    """One end of a connection. `lost` says why it is no longer one; "" while it is."""

    def __init__(self, connection: socket.socket, *, clock: Callable[[], float] = time.monotonic) -> None:
        connection.setblocking(False)
        self.connection, self.clock = connection, clock
        self.coming, self.going = b"", b""
        self.heard = self.spoke = clock()
        self.lost = ""

    def fileno(self) -> int:
        return self.connection.fileno()

    def say(self, message: Message) -> None:
        """Send a message as soon as the connection takes it."""
        self.going += json.dumps(message).encode() + b"\n"
        self.push()

    def push(self) -> None:
        while self.going and not self.lost:
            try:
                sent = self.connection.send(self.going)
            except BlockingIOError:
                return
            except OSError as error:
                self.lost = f"the connection is lost ({error.strerror or error})"
                return
            self.going = self.going[sent:]
            self.spoke = self.clock()

    def messages(self) -> Iterator[Message]:
        """What has come, whole messages only; and keep the connection alive. A line that is no message ends it."""
        self.pull()
        *lines, self.coming = self.coming.split(b"\n")
        if len(self.coming) > LONGEST:
            self.lost = self.lost or "it does not speak as a supervisor of reslab does"
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self.lost = "it does not speak as a supervisor of reslab does"
                return
            if message:  # an empty one is a beat
                yield message
        if self.clock() > self.heard + SILENCE:
            self.lost = self.lost or f"no sign of life for {SILENCE:.0f} seconds"
        if self.clock() > self.spoke + BEAT and not self.going:
            self.say({})
        self.push()

    def pull(self) -> None:
        while not self.lost and len(self.coming) <= LONGEST:
            try:
                piece = self.connection.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                self.lost = f"the connection is lost ({error.strerror or error})"
                return
            if not piece:
                self.lost = "its supervisor is gone"
                return
            self.coming += piece
            self.heard = self.clock()

    def close(self) -> None:
        """Send what is left to be sent and wait until the other end has read it, for a moment at most; close."""
        with self.connection, contextlib.suppress(OSError):
            self.connection.settimeout(LAST)
            if not self.lost:
                self.connection.sendall(self.going)
                self.connection.shutdown(socket.SHUT_WR)
                while self.connection.recv(LONGEST):  # closed with something unread, it would be reset
                    pass
