"""A real server on a real socket: hostile bytes, slow clients, stopping, several workers."""

import contextlib
import http.client
import re
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgi import Lengths
from serving import alive, process

from reslab.ship.serve.app import make_app
from reslab.ship.serve.house import House
from reslab.ship.serve.servable import Place
from reslab.ship.serve.server import Server, listen
from reslab.ship.serve.settings import Settings

PATH = "/api/models/lengths/images"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
CHUNKED = HEAD.encode() + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
CHUNK = b"2000\r\n" + b"x" * 8192 + b"\r\n"  # 0x2000 bytes


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server in a thread, patient for 0.4 s, whose requests may have 10,000 bytes."""
    settings = Settings(port=0, timeout=0.4, max_bytes=10_000)
    listening = listen(settings)
    house = House(settings, {"lengths": (Place(name="lengths", folder=Path("none")), Lengths())})
    server = Server(make_app(house), settings, signals=False)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def sent(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that the server answers to raw bytes until it closes the connection, or 3 s have passed."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as one:
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            for part in parts:
                one.sendall(part)
                time.sleep(pause)
            while data := one.recv(65536):
                answer += data
        return answer


def status(answer: bytes) -> int:
    return int(answer.split()[1]) if answer else 0


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((HEAD.encode() + b"Content-Length: 3\r\nConnection: close\r\n\r\n123",), 200),
        ((CHUNKED, b"1\r\n1\r\n2\r\n23\r\n0\r\n\r\n"), 200),
        ((HEAD.encode() + b"Content-Length: 999999999999\r\nConnection: close\r\n\r\n1",), 413),
        ((CHUNKED, CHUNK, CHUNK), 413),
        ((HEAD.encode() + b"Content-Length: -5\r\n\r\n",), 400),
        ((HEAD.encode() + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\n123",), 400),
        ((HEAD.encode() + b"Content-Length: 10\r\n\r\n123",), 408),  # the rest never comes
        ((b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 70_000,), 400),
        ((b"GET /" + b"x" * 70_000,), 400),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01",), 400),  # TLS
        ((b"\0" * 100,), 400),
        ((b"GET /api/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",), 403),
        ((b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",), 404),
        ((b"GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",), 404),
        ((b"GET /%ff%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",), 404),
        ((b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n",), 200),
    ],
)  # fmt: skip
def test_hostile_bytes(port: int, parts: tuple[bytes, ...], expected: int) -> None:
    answer = sent(port, *parts)
    assert status(answer) == expected
    assert b"Traceback" not in answer
    assert alive(port)


@pytest.mark.parametrize(
    "parts", [(), (b"POST / HT",), (b"GET / HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n", *[b"X: y\r\n"] * 20)],
    ids=["silent", "half a line", "a header now and then"],
)  # fmt: skip
def test_who_sends_no_request_in_time_is_disconnected(port: int, parts: tuple[bytes, ...]) -> None:
    start = time.monotonic()
    assert sent(port, *parts, pause=0.1) == b""
    assert time.monotonic() - start < 2.9
    assert alive(port)


def test_a_body_that_trickles_in_is_refused(port: int) -> None:
    answer = sent(port, HEAD.encode() + b"Content-Length: 50\r\n\r\n", *[b"1"] * 20, pause=0.05)
    assert status(answer) in (408, 0)  # the client may still be sending when the connection is closed
    assert alive(port)


def test_a_connection_is_used_again_also_after_a_refusal(port: int) -> None:
    one = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for body, expected in ((b"123", 200), (b"x" * 20_000, 413), (b"1234", 200)):
        one.request("POST", PATH, body, {"Content-Type": "image/png"})
        answer = one.getresponse()
        answer.read()
        assert answer.status == expected
    one.close()


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY only if the socket names TCP; otherwise each answer would take 40 ms longer."""
    with contextlib.closing(listen(Settings(port=0))) as one:
        assert one.proto == socket.IPPROTO_TCP


class Load:
    """Clients that ask again and again, on new connections and on kept ones, until the server is gone."""

    def __init__(self, port: int, clients: int = 6) -> None:
        self.port, self.found, self.lock = port, Counter[str](), threading.Lock()
        self.threads = [threading.Thread(target=self.ask, args=(k % 2 == 0,)) for k in range(clients)]
        for thread in self.threads:
            thread.start()

    def ask(self, keep: bool) -> None:
        one: http.client.HTTPConnection | None = None
        while True:
            if one is None:
                one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
                try:
                    one.connect()
                except ConnectionRefusedError:
                    return
                except OSError as error:
                    self.note(f"connecting: {error!r}")
                    return
            try:
                one.request(
                    "POST", PATH, b"123", {"Content-Type": "image/png"} | ({} if keep else {"Connection": "close"})
                )
                answer = one.getresponse()
                answer.read()
                self.note(str(answer.status))
                if answer.will_close:
                    one.close()
                    one = None
            except (OSError, http.client.HTTPException) as error:
                self.note(f"lost: {error!r}")
                one = None

    def note(self, what: str) -> None:
        with self.lock:
            self.found[what] += 1

    def join(self) -> Counter[str]:
        for thread in self.threads:
            thread.join(30)
        return self.found


def test_stopping_under_load_loses_no_request() -> None:
    with process(1, "0.02") as (server, port):
        load = Load(port)
        time.sleep(0.7)
        start = time.monotonic()
        server.send_signal(signal.SIGTERM)
        log = server.communicate(timeout=15)[1]
        assert time.monotonic() - start < 10
        assert server.returncode == 0, log
        found = load.join()
        assert list(found) == ["200"]
        assert found["200"] > 20
        assert "Traceback" not in log


@pytest.mark.slow
def test_workers_share_a_socket_are_replaced_and_stop_together() -> None:
    """A worker that is killed by its request is replaced; its client alone loses an answer. Then no one does."""
    with process(2, "0.02") as (server, port):
        one = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        one.request("POST", PATH, b"12345678", {"Content-Type": "image/png"})
        with pytest.raises((http.client.HTTPException, OSError)):
            one.getresponse()
        time.sleep(3)
        load = Load(port)
        time.sleep(1)
        server.send_signal(signal.SIGTERM)
        log = server.communicate(timeout=25)[1]
        assert server.returncode == 0, log
        assert list(load.join()) == ["200"]
        assert "died with exit code 7: another one is started" in log


def flood(one: socket.socket) -> None:
    """Ask until there is no room to ask in, wait, then read what came."""
    with contextlib.suppress(TimeoutError):
        for _ in range(20_000):
            one.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
    time.sleep(1.5)
    for _ in range(10_000):
        if not one.recv(65536):
            break


def test_who_does_not_read_the_answers_is_disconnected(port: int) -> None:
    """An idle connection would be closed in order; this one is reset."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(0.5)
        one.connect(("127.0.0.1", port))
        with pytest.raises(ConnectionError):
            flood(one)
    assert alive(port)


@pytest.mark.slow
def test_metrics_are_those_of_all_workers() -> None:
    """Requests on new connections reach both workers; /metrics adds up what each counted."""
    with process(2, "0.02") as (server, port):
        load = Load(port, clients=4)
        time.sleep(1.5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=25)
        done = load.join()["200"]
    counts = re.findall(r'reslab_requests_total\{model="lengths",route="\S+/images",status="200"\} (\S+)', text)
    assert len(counts) == 1
    assert 0 < float(counts[0]) <= done
    assert 'version="v1"} 1.0' in text
    assert "pid=" not in text
