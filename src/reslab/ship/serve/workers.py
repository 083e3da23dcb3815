"""Processes that serve: one by itself, or several on one socket under a supervisor."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, one_line
from reslab.ship.serve.app import make_app
from reslab.ship.serve.board import Board
from reslab.ship.serve.house import House
from reslab.ship.serve.metrics import SHARED
from reslab.ship.serve.reload import Reloader
from reslab.ship.serve.servable import Place, load
from reslab.ship.serve.server import AT_ONCE, Server
from reslab.ship.serve.settings import Settings

log = logging.getLogger("reslab.serve")
DEATHS, WITHIN = 5, 60.0  # so many workers may die within so many seconds; then the server gives up
FAILED = 3  # exit code of a worker that could not load its models
SPARE = 5.0  # seconds after which a worker that should have stopped is killed
ORPHAN = 1.0  # seconds between looks whether the supervisor still lives


def threads_of(settings: Settings) -> int:
    """CPU threads of each worker's models."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.threads or max(1, cores // settings.workers)


def build(found: Sequence[Place], settings: Settings) -> tuple[Any, Reloader]:
    """The app of these folders, loaded and warm. Raises UsageError or ReslabError."""
    threads, models = threads_of(settings), {}
    for where in found:
        one = load(where, threads=threads, max_pixels=settings.max_pixels)
        one.warm(settings.max_batch)
        models[where.name] = (where, one)
    house = House(settings, models)
    board = Board(Path(os.environ[SHARED])) if SHARED in os.environ else None
    return make_app(house), Reloader(house, threads=threads, board=board)


def run(found: Sequence[Place], settings: Settings, listening: socket.socket) -> None:
    """Serve in this process until SIGTERM or Ctrl-C. Raises UsageError or ReslabError if a folder cannot be served."""
    app, reloader = build(found, settings)
    app.state.reloader = reloader
    server = Server(app, settings)
    plain = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def life(one: Any) -> AsyncIterator[None]:
        loop, tasks = asyncio.get_running_loop(), []
        with contextlib.suppress(NotImplementedError, AttributeError, ValueError):  # Windows; not the main thread
            loop.add_signal_handler(signal.SIGHUP, lambda: tasks.append(loop.create_task(reloader.check_all())))
        if settings.reload:
            tasks.append(loop.create_task(reloader.watch(settings.reload)))
        if multiprocessing.parent_process() is not None:
            tasks.append(loop.create_task(orphaned(server)))
        async with plain(one):
            yield
        for task in tasks:
            task.cancel()

    app.router.lifespan_context = life
    log.info("%s ready", f"worker {os.getpid()}" if settings.workers > 1 else ", ".join(one.name for one in found))
    server.run(sockets=[listening])
    server.let_go()


async def orphaned(server: Server) -> None:
    """Stop if the supervisor is gone."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(ORPHAN)
    server.should_exit = True


def work(found: Sequence[Place], settings: Settings, listening: socket.socket) -> None:
    """One worker of several."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the supervisor says when to stop
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        run(found, settings, listening)
    except ReslabError as error:
        log.error("reslab: %s", one_line(error))
        raise SystemExit(FAILED) from None


class Supervisor:
    """Starts workers, replaces those that die, and stops them all together."""

    target = staticmethod(work)

    def __init__(self, found: Sequence[Place], settings: Settings, listening: socket.socket) -> None:
        self.found, self.settings, self.listening = found, settings, listening
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[Any] = []
        self.deaths: deque[float] = deque(maxlen=DEATHS)
        self.stopping = False

    def start(self) -> None:
        made = self.context.Process(target=self.target, args=(self.found, self.settings, self.listening))
        made.start()
        self.workers.append(made)

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C. Raises ReslabError if workers cannot be started, or die again and again."""
        before = {number: signal.signal(number, self.stop) for number in (signal.SIGINT, signal.SIGTERM)}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self.pass_on)
        try:
            with tempfile.TemporaryDirectory(prefix="reslab-metrics-") as folder:
                os.environ[SHARED] = folder  # the workers write their counts there
                for _ in range(self.settings.workers):
                    self.start()
                try:
                    self.watch(Path(folder))
                finally:
                    self.finish()
                    os.environ.pop(SHARED, None)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, number: int, frame: Any) -> None:
        """The first signal stops gracefully; a second Ctrl-C ends the workers at once."""
        if self.stopping and number == signal.SIGINT:
            log.error(AT_ONCE)
            for worker in self.workers:
                worker.kill()
        self.stopping = True

    def pass_on(self, number: int, frame: Any) -> None:
        for worker in self.workers:
            if worker.is_alive():
                os.kill(worker.pid, signal.SIGHUP)

    def watch(self, folder: Path) -> None:
        while not self.stopping:
            wait([worker.sentinel for worker in self.workers], timeout=0.2)
            for worker in [one for one in self.workers if not one.is_alive()]:
                self.workers.remove(worker)
                if self.stopping:
                    return
                if worker.exitcode == FAILED:
                    raise ReslabError("a worker could not load its models; the line above says why")
                self.deaths.append(time.monotonic())
                if len(self.deaths) == DEATHS and self.deaths[-1] - self.deaths[0] < WITHIN:
                    raise ReslabError(f"{DEATHS} workers died within {WITHIN:.0f} s, the last with exit code "
                                      f"{worker.exitcode}; the server gives up")  # fmt: skip
                log.error("worker %s died with exit code %s: another one is started", worker.pid, worker.exitcode)
                forget(folder, worker.pid)
                self.start()

    def finish(self) -> None:
        """Stop all workers: those that have not answered everything in time are killed."""
        self.listening.close()  # or connections that nobody takes any more would hang
        for worker in self.workers:
            if worker.is_alive():
                worker.terminate()
        end = time.monotonic() + self.settings.stop_seconds + SPARE
        for worker in self.workers:
            worker.join(max(0.0, end - time.monotonic()))
            if worker.is_alive():
                log.error("worker %s did not stop in time and is killed", worker.pid)
                worker.kill()
                worker.join()


def forget(folder: Path, pid: int) -> None:
    """Drop what a dead worker measured of the present, and what it served: its counters stay."""
    for path in [*folder.glob(f"gauge_live*_{pid}.db"), Board(folder).path(pid)]:
        path.unlink(missing_ok=True)
