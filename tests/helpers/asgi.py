"""Ask an ASGI app in this process, without a socket; and a model whose answers are known."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reslab.ship.serve.app import make_app
from reslab.ship.serve.house import House
from reslab.ship.serve.images import Scored
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.servable import About, Place
from reslab.ship.serve.settings import Settings

BOUNDARY = "reslab-test"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests to an app, in an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self.app, self.loop = app, asyncio.new_event_loop()

    def __call__(self, method: str, path: str, body: bytes | Iterable[bytes] = b"", **headers: str) -> Answer:
        return self.loop.run_until_complete(self.ask(method, path, body, **headers))

    def json(self, path: str, data: Any, **headers: str) -> Answer:
        return self("POST", path, json.dumps(data).encode(), content_type="application/json", **headers)

    def files(self, path: str, files: Sequence[tuple[str, bytes]], **fields: str | Sequence[str]) -> Answer:
        return self("POST", path, multipart(files, fields), content_type=f"multipart/form-data; boundary={BOUNDARY}")

    async def ask(self, method: str, path: str, body: bytes | Iterable[bytes] = b"", **headers: str) -> Answer:
        chunks = iter([body] if isinstance(body, bytes) else body)
        given = {"host": "127.0.0.1:8080", **{key.replace("_", "-"): value for key, value in headers.items()}}
        bare, _, query = path.partition("?")
        scope = {
            "type": "http", "method": method, "path": bare, "raw_path": bare.encode(), "query_string": query.encode(),
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in given.items()], "http_version": "1.1",
            "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080), "root_path": "",
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        whole, sent = False, []

        async def receive() -> dict[str, Any]:
            nonlocal whole
            if whole:
                await asyncio.Event().wait()  # the client waits
            chunk = next(chunks, None)
            whole = chunk is None
            return {"type": "http.request", "body": chunk or b"", "more_body": not whole}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        found = {k.decode(): v.decode("latin-1") for k, v in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]))

    def close(self) -> None:
        self.loop.run_until_complete(self.app.state.house.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine. asyncio.run would take the main thread's event loop away, which browsers need."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def multipart(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str | Sequence[str]] | None = None) -> bytes:
    parts = []
    for key, value in (fields or {}).items():
        for one in [value] if isinstance(value, str) else value:
            parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{one}\r\n'.encode())
    for name, data in files:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Item:
    byte: int
    key: tuple[str, ...]


class Lengths:
    """A made-up model of "images": class k has the probability 1 for a file of k bytes. 9 bytes: its batch fails.

    It waits in `run` while `gate` is not set, and keeps the sizes of its batches.
    """

    def __init__(self, name: str = "lengths", version: str = "v1") -> None:
        classes = [f"c{k}" for k in range(10)]
        blocks = [{"name": "b0", "module": "b0", "removable": True}]
        details = {"classes": classes, "shape": [3, 4, 4], "several": False, "any_size": True, "blocks": blocks,
                   "calibration": "not calibrated"}  # fmt: skip
        self.about = About(name=name, kind="images", version=version, engine="torch", precision="fp32", details=details)
        self.gate, self.batches, self.closed = threading.Event(), [], False
        self.gate.set()

    def prepare(self, payload: Any, options: Mapping[str, Any]) -> Item:
        size = payload.size if isinstance(payload, np.ndarray) else len(payload)
        if size > 9:
            raise Refused(422, "it is too long")
        return Item(size, tuple(options.get("disable", ())))

    def run(self, items: Sequence[Item]) -> list[Scored]:
        assert self.gate.wait(20)
        self.batches.append([item.byte for item in items])
        if any(item.byte == 9 for item in items):
            raise ValueError("/secret/path cannot be run")
        return [Scored(np.eye(10)[0 if item.key else item.byte], ()) for item in items]

    def warm(self, batch: int) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def client(*models: Any, **settings: Any) -> Client:
    """A client of these models."""
    made = models or (Lengths(),)
    house = House(Settings(**settings), {one.about.name: (Place(name=one.about.name, folder=Path("none")), one)
                                         for one in made})  # fmt: skip
    return Client(make_app(house))
