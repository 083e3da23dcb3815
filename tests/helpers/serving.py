"""A server of the made-up model of asgi.py in a process: python serving.py PORT WORKERS SECONDS [TIMEOUT]."""

import contextlib
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asgi import Lengths

from reslab.ship.serve.app import make_app
from reslab.ship.serve.house import House
from reslab.ship.serve.servable import Place
from reslab.ship.serve.server import Server, listen
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import Supervisor


@contextlib.contextmanager
def process(workers: int, seconds: str, timeout: str = "10") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port; it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, __file__, str(port), str(workers), seconds, timeout]
    one = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                if alive(port):
                    break
            time.sleep(0.05)
        yield one, port
    finally:
        if one.poll() is None:
            one.kill()
        one.communicate()


def alive(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as answer:
        return bool(answer.status == 200)


class Slow(Lengths):
    """Each batch takes some seconds. A file of 8 bytes ends the process."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def run(self, items: Sequence[Any]) -> Any:
        time.sleep(self.seconds)
        if any(item.byte == 8 for item in items):
            os._exit(7)
        return super().run(items)


def serve(found: Sequence[Place], settings: Settings, listening: Any) -> None:
    """One process. `found` carries the seconds as a name."""
    house = House(settings, {"lengths": (Place(name="lengths", folder=Path("none")), Slow(float(found[0].name)))})
    server = Server(make_app(house), settings)
    server.run(sockets=[listening])
    server.let_go()


class Workers(Supervisor):
    target = staticmethod(serve)


def main(port: int, workers: int, seconds: str, timeout: str = "10") -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = Settings(port=port, workers=workers, timeout=float(timeout), queue=200)
    found, listening = [Place(name=seconds, folder=Path("none"))], listen(settings)
    if workers == 1:
        serve(found, settings, listening)
    else:
        Workers(found, settings, listening).run()


if __name__ == "__main__":
    assert multiprocessing.parent_process() is None
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
