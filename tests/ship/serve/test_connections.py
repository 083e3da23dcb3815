"""Connections of a real server: half closed, too many; a stop that a pass would outlast."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asgi import Lengths, client, finished
from serving import process

from reslab.ship.serve import server as module
from reslab.ship.serve.app import make_app
from reslab.ship.serve.board import Board
from reslab.ship.serve.house import House
from reslab.ship.serve.reload import Reloader
from reslab.ship.serve.servable import Place
from reslab.ship.serve.server import Server, listen
from reslab.ship.serve.settings import Settings

POST = (
    b"POST /api/models/lengths/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 3\r\n"
)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Lengths]]:
    """A server in a thread for at most 4 connections."""
    monkeypatch.setattr(module, "CONNECTIONS", 4)
    settings, model = Settings(port=0, timeout=5), Lengths()
    listening = listen(settings)
    server = Server(make_app(House(settings, {"lengths": (Place(name="lengths", folder=Path("none")), model)})),
                    settings, signals=False)  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1], model
    model.gate.set()
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=4)


def read(one: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := one.recv(65536):
            answer += data
    return answer


def test_who_closes_its_half_is_answered_and_then_disconnected(served: tuple[int, Lengths]) -> None:
    with connected(served[0]) as one:
        one.sendall(POST + b"\r\n123")
        one.shutdown(socket.SHUT_WR)
        assert b'"c3"' in read(one)
    with connected(served[0]) as one:  # half of a request is none
        one.sendall(POST + b"\r\n1")
        one.shutdown(socket.SHUT_WR)
        assert read(one) == b""


def test_idle_connections_make_room_for_new_ones(served: tuple[int, Lengths]) -> None:
    """The oldest idle ones are closed; a connection that is being answered never is."""
    port, model = served
    model.gate.clear()
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(connected(port))
        busy.sendall(POST + b"Connection: close\r\n\r\n123")
        time.sleep(0.1)
        idle = [stack.enter_context(connected(port)) for _ in range(12)]
        time.sleep(0.1)
        fresh = stack.enter_context(connected(port))
        fresh.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert read(fresh).startswith(b"HTTP/1.1 200")
        assert read(idle[0]) == b""  # closed
        model.gate.set()
        assert b'"c3"' in read(busy)


def test_where_all_connections_are_busy_a_new_one_is_told_to_come_again(served: tuple[int, Lengths]) -> None:
    port, model = served
    model.gate.clear()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connected(port)).sendall(POST + b"\r\n123")
        time.sleep(0.2)
        late = stack.enter_context(connected(port))
        late.sendall(b"GET /api/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head, _, body = read(late).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head.lower()
        assert json.loads(body)["error"].startswith("the server is busy: it has too many connections")
        model.gate.set()


def test_a_pass_that_nothing_ends_does_not_outlast_the_stop() -> None:
    """The pass takes 60 s. Answers within 0.5 s, stopping within 6: 0.5 for the request and 5.5 on top."""
    with process(1, "60", "0.5") as (one, port):
        with connected(port) as asking:
            asking.sendall(POST + b"Connection: close\r\n\r\n123")
            assert read(asking).startswith(b"HTTP/1.1 504")
        start = time.monotonic()
        one.send_signal(signal.SIGTERM)
        log = one.communicate(timeout=20)[1]
        assert time.monotonic() - start < 7
        assert one.returncode == 0
        assert "given up" in log


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_ctrl_c_stops_at_once(workers: int) -> None:
    """The pass takes 60 s, and without a second signal its request would be waited for."""
    with process(workers, "60") as (one, port), connected(port) as asking:
        asking.sendall(POST + b"\r\n123")
        time.sleep(0.3)
        start = time.monotonic()
        one.send_signal(signal.SIGINT)
        time.sleep(0.3)
        one.send_signal(signal.SIGINT)
        log = one.communicate(timeout=20)[1]
        assert time.monotonic() - start < 3
        assert one.returncode == 0
        assert "stopped at once: requests that were not answered yet are lost" in log
        assert "Traceback" not in log
        assert read(asking) == b""


def test_a_thread_of_an_engine_is_waited_for_as_long_as_the_stop_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's compiles a model, for example; it would keep the process alive after its time."""
    settings = Settings(port=0)
    house = House(settings, {"lengths": (Place(name="lengths", folder=Path("none")), Lengths())})
    server = Server(make_app(house), settings, signals=False)
    compiling = threading.Thread(target=time.sleep, args=(0.2,), name="an engine's")
    compiling.start()
    both = threading.main_thread(), compiling  # not those of other tests
    monkeypatch.setattr(threading, "enumerate", lambda: [one for one in both if one.is_alive()])
    server.let_go()
    assert not compiling.is_alive()


def test_a_queue_s_length_is_told_when_it_changes_and_a_version_when_it_is_replaced() -> None:
    """Other workers show both: they do not ask this one."""
    model = Lengths()
    made = client(model)
    house, counted = made.app.state.house, made.app.state.metrics

    def value(name: str, **labels: str) -> Any:
        return counted.registry.get_sample_value(name, {"model": "lengths", **labels})

    async def asking() -> None:
        model.gate.clear()
        path = "/api/models/lengths/images"
        work = asyncio.ensure_future(made.ask("POST", path, b"123", content_type="image/png"))
        await asyncio.sleep(0.05)
        assert value("reslab_queue_length") == 1
        model.gate.set()
        assert (await work).status == 200
        assert value("reslab_queue_length") == 0

    made.loop.run_until_complete(asking())
    house.models["lengths"].swap(Lengths(version="v2"))
    house.changed()
    labels = {"kind": "images", "engine": "torch", "precision": "fp32"}
    assert value("reslab_model_info", version="v1", **labels) == 0
    assert value("reslab_model_info", version="v2", **labels) == 1
    made.close()


def test_a_version_is_agreed_on_when_all_workers_serve_it(tmp_path: Path) -> None:
    board, house = Board(tmp_path), House(Settings(), {"m": (Place(name="m", folder=tmp_path), Lengths())})

    async def whole() -> None:
        reloader = Reloader(house, board=board)
        checks: list[str] = []

        async def check(name: str) -> str:
            checks.append(name)
            return ""

        reloader.check = check  # type: ignore[method-assign]
        assert await reloader.agreed("m", 5) == 0  # no others
        other = board.path(os.getpid() + 1)
        other.write_text('{"m": "v0"}')
        assert await reloader.agreed("m", 0.2) == 1
        asyncio.get_running_loop().call_later(0.1, other.write_text, '{"m": "v1"}')
        assert await reloader.agreed("m", 5) == 0
        assert checks == ["m", "m"]
        await house.close()

    finished(whole())
    assert json.loads(board.path(os.getpid()).read_text()) == {"m": "v1"}


def test_a_given_up_question_ends_between_two_batches() -> None:
    """A reader that calls back after each of 1,000 batches, whose question is given up after the third."""
    from reslab.ship.serve.questions import Answered, Item, Questions
    from reslab.ship.serve.refused import Refused

    done: list[int] = []

    def ask(question: str, contexts: list[str], *, top: int, report: Any, progress: Any) -> list[Any]:
        for k in range(1000 if question == "long?" else 1):
            progress(k, 1000)
            done.append(k)
            if k == 2:
                items[0].given_up.set()
        report.add("long question", "1", "it has 99 tokens; truncated to the first 64")
        return [SimpleNamespace(score=1.0, document=0)]

    items = [Item("long?", ("a",), 1), Item("short?", ("a",), 1)]
    first, second = Questions(None, SimpleNamespace(ask=ask)).run(items)  # type: ignore[arg-type]
    assert done == [0, 1, 2, 0]
    assert isinstance(first, Refused)
    assert isinstance(second, Answered)
    assert second.notes == ("the question: it has 99 tokens; truncated to the first 64",)
