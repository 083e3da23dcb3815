"""uvicorn with three habits of ours: patience with slow clients has an end, stopping loses no request, exit code 0."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reslab.errors import UsageError, first_line
from reslab.ship.serve.house import House
from reslab.ship.serve.settings import DRAIN, Settings

log = logging.getLogger("reslab.serve")
HEADER_BYTES = 32 * 2**10  # of a request's first line and headers
KEEP_ALIVE = 15  # seconds that an idle connection stays open
LINGER = 5.0  # seconds in which the rest of a request that was refused early is read and thrown away
CONNECTIONS = 900  # at most, for each worker; for more, idle ones are closed
HALF = 2.0  # seconds within which a client is answered that closed its half of the connection
LATE = 0.5  # seconds before the last moment at which a process that does not stop is ended
TICK = 0.05
AT_ONCE = "stopped at once: requests that were not answered yet are lost"


class Patient(H11Protocol):
    """A connection. One that does not send its request's headers in time is closed; so is one that, refused early,
    goes on sending, and one that does not read its answer. (How long a body may take is limited in limits.py.)"""

    timer: asyncio.TimerHandle | None = None
    stuck: asyncio.TimerHandle | None = None
    since = 0.0  # when it was opened, by the loop's clock
    half = False  # the client sends nothing more

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.since = self.loop.time()
        self.arm(self.patience)
        if len(self.connections) > CONNECTIONS:
            self.make_room()

    def make_room(self) -> None:
        """Close the oldest connection that no request is being answered on. If there is none, see limits.py."""
        idle = [one for one in self.connections if isinstance(one, Patient) and one is not self and not one.working]
        if idle:
            oldest = min(idle, key=lambda one: one.since)
            self.connections.discard(oldest)  # at once: others may come before it is told
            oldest.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that sent a whole request and then closed its half is answered, if that takes no longer than
        HALF: nothing tells it from one that left, whose request should not be worked on."""
        if not self.working or self.conn.their_state is h11.SEND_BODY:
            return False
        self.half = True
        self.timer = self.loop.call_later(HALF, self.transport.close)
        return True

    @property
    def patience(self) -> float:
        seconds: float = self.config.app.state.house.settings.timeout  # type: ignore[union-attr]
        return min(seconds, KEEP_ALIVE)

    @property
    def working(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def fresh(self) -> bool:
        """Whether it was opened and has sent nothing yet, or only a part of its first request's headers."""
        return self.cycle is None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.working:
            self.disarm()
        elif self.timer is None and not self.transport.is_closing():
            self.arm(self.patience)

    def on_response_complete(self) -> None:
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if self.half and not self.working:
            self.transport.close()
        if unread and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.arm(LINGER)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.stuck is None:
            self.stuck = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.read_on()

    def read_on(self) -> None:
        if self.stuck is not None:
            self.stuck.cancel()
            self.stuck = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.disarm()
        self.read_on()
        super().connection_lost(exc)

    def arm(self, seconds: float) -> None:
        self.disarm()
        self.timer = self.loop.call_later(seconds, self.over)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def over(self) -> None:
        self.timer = None
        if not self.working and not self.transport.is_closing():
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return False  # there are no websockets here, so the request is answered as if it had not asked


class Server(uvicorn.Server):
    """Runs the app until SIGTERM or Ctrl-C, then finishes every request that it accepted."""

    def __init__(self, app: Any, settings: Settings, *, signals: bool = True) -> None:
        config = uvicorn.Config(
            app, http=Patient, ws="none", lifespan="on", log_config=None, log_level="error", access_log=False,
            server_header=False, h11_max_incomplete_event_size=HEADER_BYTES, timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=math.ceil(settings.timeout) + 2, proxy_headers=False,
        )  # fmt: skip
        super().__init__(config)
        logging.getLogger("python_multipart").setLevel(logging.ERROR)  # strangers' bytes would fill the log
        self.house: House = app.state.house
        self.house.crowded = lambda: len(self.server_state.connections) > CONNECTIONS
        self.last: threading.Timer | None = None
        self.signals = signals

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again after it stopped; here a stop that was asked for is no failure."""
        if not self.signals:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops gracefully; a second Ctrl-C ends the process at once."""
        if self.should_exit and sig == signal.SIGINT:
            self.end(AT_ONCE)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Not ready any more; clients are asked to close their connections; then no new ones; then all is answered."""
        self.house.ready, self.house.draining = False, True
        log.info("stopping: accepted requests are answered first, within %.0f s", self.house.settings.stop_seconds)
        if self.signals:
            self.last = threading.Timer(self.house.settings.stop_seconds - LATE, self.give_up)
            self.last.daemon = True
            self.last.start()
        await self.pause(DRAIN)
        await self.take_the_last(sockets or [])
        await self.pause(DRAIN, until_quiet=True)
        loop = asyncio.get_running_loop()
        over = loop.call_later(self.config.timeout_graceful_shutdown - 1, self.house.give_up)  # type: ignore[operator]
        await super().shutdown(sockets)
        over.cancel()

    def give_up(self) -> None:
        """End the process: what still runs, such as a pass that nothing can end, would keep it alive."""
        self.end(f"stopped; what had not ended within {self.house.settings.stop_seconds:.0f} s was given up")

    def end(self, sentence: str) -> None:
        """End the process, whatever its threads do."""
        try:
            log.error(sentence)
            logging.shutdown()
        finally:  # also if the signal came while something was being printed
            os._exit(0)

    def let_go(self) -> None:
        """After the server has stopped: wait for every thread that would keep the process alive, then disarm `give_up`.

        Until then it bounds the wait. Engines have threads of their own, such as one that compiles a model.
        """
        while still := [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]:
            still[0].join()
        if self.last is not None:
            self.last.cancel()

    async def pause(self, seconds: float, *, until_quiet: bool = False) -> None:
        """Serve on for some seconds, or until no connection is about to send its first request."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not self.force_exit:
            if until_quiet and not any(getattr(one, "fresh", False) for one in self.server_state.connections):
                return
            await asyncio.sleep(TICK)

    async def take_the_last(self, sockets: list[socket.socket]) -> None:
        """Stop listening. Connections that the system has accepted and that nobody took yet are served, too."""
        loop = asyncio.get_running_loop()
        copies = [one.dup() for one in sockets]  # as long as one is open, waiting connections are not reset
        for server in self.servers:
            server.close()
        for one in copies:
            one.setblocking(False)
            while True:
                try:
                    connection, _ = one.accept()
                except OSError:  # none is left
                    break
                connection.setblocking(False)
                await loop.connect_accepted_socket(self.protocol, connection)
            one.close()

    def protocol(self) -> Patient:
        return Patient(self.config, self.server_state, self.lifespan.state)


def listen(settings: Settings) -> socket.socket:
    """The socket that is listened on. Raises UsageError if the address is taken or not this machine's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that name the protocol; with it answers wait 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
    except (OSError, UnicodeError) as error:
        made.close()
        why = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise UsageError(f"cannot listen on {address(settings.host, settings.port)}: {why.lower()}") from error
    made.listen(1024)
    made.set_inheritable(True)
    return made


def address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
