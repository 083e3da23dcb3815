"""A server of the page whose answers can be worked out by hand, and which is busy, strict or gone when a test says so.

images: the class is a color, its probability the share of the color in the image; block `stages.0.1` disabled takes
nine tenths of red away. reader: it looks for the last word of the question. table: income grows with age.
"""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import reslab

WEB = Path(reslab.__file__).parent / "ship" / "serve" / "web"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:"
COLORS = ["red", "green", "blue"]
RED = "stages.0.1"  # this block sees red
BLOCKS = [{"name": name, "module": name, "removable": name != "stages.1.0"}
          for name in ("stages.0.0", RED, "stages.1.0", "stages.1.1")]  # fmt: skip
FIELDS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "values": [], "low": 17.0, "high": 90.0, "middle": 37.0086},
    {"name": "work", "kind": "category", "values": ["Private", "State-gov", "<b>odd</b>"]},
    {"name": "tags", "kind": "categories", "values": ["new", "old"]},
    {"name": "review", "kind": "text", "values": []},
    {"name": "since", "kind": "date", "values": [], "low": "2001-01-01", "high": "2020-12-31", "middle": "2011-05-04"},
]
MODELS: dict[str, dict[str, Any]] = {
    "colors": {"kind": "images", "engine": "torch", "classes": COLORS, "blocks": BLOCKS, "any_size": True},
    "fixed": {"kind": "images", "engine": "openvino", "classes": COLORS, "blocks": [], "any_size": False},
    "tags": {"kind": "images", "engine": "onnx", "classes": COLORS, "blocks": [], "several": True},
    "reader": {"kind": "questions", "engine": "openvino", "settings": {}},
    "income": {"kind": "tables", "engine": "onnx", "fields": FIELDS, "classes": ["low", "high"]},
    "price": {"kind": "tables", "engine": "onnx", "fields": FIELDS[:1], "example": {"age": 40}},
}


@dataclass
class StandIn:
    """What the server does, and what it was asked."""

    names: list[str]
    token: str = ""
    version: str = "v1"
    refuse: list[tuple[int, str]] = field(default_factory=list)  # (status, sentence) of the next posts
    after: str = "0.2"  # Retry-After
    limit: int = 10**6  # bytes of a file
    wait: float = 0.0  # seconds before an answer
    posts: list[dict[str, Any]] = field(default_factory=list)
    home: str = ""

    def facts(self, name: str) -> dict[str, Any]:
        return {"name": name, "version": self.version, "precision": "fp32", "ready": True} | MODELS[name]

    def short(self, name: str) -> dict[str, Any]:
        return {key: one for key, one in self.facts(name).items() if key not in ("classes", "blocks", "fields")}

    def refused(self, request: Request) -> Response | None:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return error(401, "a token is needed")
        if request.method == "POST" and self.refuse:
            status, sentence = self.refuse.pop(0)
            return error(status, sentence, self.after if status == 503 else "")
        return None

    async def models(self, request: Request) -> Response:
        return self.refused(request) or JSONResponse([self.short(name) for name in self.names])

    async def model(self, request: Request) -> Response:
        return self.refused(request) or JSONResponse(self.facts(request.path_params["name"]))

    async def predict(self, request: Request) -> Response:
        """images, ask, rows."""
        if no := self.refused(request):
            return no
        await asyncio.sleep(self.wait)
        name, verb = request.path_params["name"], request.path_params["verb"]
        started = {"model": name, "version": self.version, "notes": [], "ms": 1.5}
        if verb == "images":
            return await self.images(request, started)
        asked = await request.json()
        self.posts.append(asked)
        if verb == "ask":
            return JSONResponse(started | {"answers": answers(asked["question"], asked["contexts"])})
        return JSONResponse(started | {"predictions": [row(name, one) for one in asked["rows"]]})

    async def images(self, request: Request, started: dict[str, Any]) -> Response:
        async with request.form() as form:
            files = [(str(one.filename), await one.read()) for one in form.getlist("files")]  # type: ignore
            off, top = form.getlist("disable"), int(str(form.get("top", 5)))
        self.posts.append({"files": [file for file, _ in files], "disable": off, "top": top})
        if any(len(data) > self.limit for _, data in files):
            return error(413, "the request is larger than allowed")
        good, broken = [], []
        for file, data in files:
            try:
                shares = seen(data, RED in off)
            except OSError:
                broken.append({"file": file, "reason": "this is no image"})
                continue
            order = sorted(zip(COLORS, shares, strict=True), key=lambda pair: -pair[1])
            several = MODELS[started["model"]].get("several")
            labels = [color for color, p in order if p >= 0.4] if several else [order[0][0]]
            classes = [{"name": color, "probability": p} for color, p in order[:top]]
            good.append({"file": file, "labels": labels, "classes": classes})
        return JSONResponse(started | {"predictions": good, "broken": broken})


OPENAPI = {
    "openapi": "3.1.0", "info": {"title": "An API", "description": "What it is."},
    "components": {"schemas": {"Asked": {"type": "object", "required": ["question"], "properties": {
        "question": {"type": "string", "description": "<b>what</b> is asked", "example": "who's it?"},
        "top": {"type": "integer", "default": 3}}}}},
    "paths": {
        "/api/models": {"get": {"summary": "All models", "responses": {"200": {"description": "a list"}}}},
        "/api/models/{name}/ask": {"post": {
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}}},
            "responses": {"200": {"description": "the answers"}}}},
    },
}  # fmt: skip


async def openapi(request: Request) -> Response:
    return JSONResponse(OPENAPI)


async def file(request: Request) -> Response:
    """A file of the page, under the strictest policy that it promises to keep."""
    path = WEB / {"": "index.html", "docs": "docs.html"}.get(request.path_params["file"], request.path_params["file"])
    return Response(path.read_bytes(), media_type=KINDS[path.suffix], headers={"content-security-policy": STRICT})


def error(status: int, sentence: str, after: str = "") -> Response:
    return JSONResponse({"error": sentence}, status, headers={"retry-after": after} if after else None)


def seen(data: bytes, without_red: bool) -> list[float]:
    """The share of each color in all light of an image."""
    with Image.open(io.BytesIO(data)) as image:
        light = np.asarray(image.convert("RGB"), dtype=float).reshape(-1, 3).sum(0)
    light[0] *= 0.1 if without_red else 1
    return [float(one) for one in light / light.sum()]


def answers(question: str, contexts: list[str]) -> list[dict[str, Any]]:
    """Where the last word of the question stands: 60 %, then 20 % and 10 %; nowhere: no answer, 90 %."""
    word = question.rstrip("? ").split()[-1]
    places = [
        (number, at) for number, text in enumerate(contexts) for at in range(len(text)) if text.startswith(word, at)
    ]
    found = [
        {"text": word, "score": 1.0, "probability": p, "document": number, "start": at, "end": at + len(word)}
        for (number, at), p in zip(places, (0.6, 0.2, 0.1), strict=False)
    ]
    nothing = {"text": "", "score": 2.0, "probability": 0.9, "document": None, "start": 0, "end": 0}
    return found or [nothing]


def row(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Of age a: "high" with probability a / 100; the price is 1000 a."""
    age = 50 if given["age"] is None else given["age"]
    if name == "price":
        return {"predicted": 1000.5 * age}
    high = age / 100
    return {"predicted": "high" if high >= 0.5 else "low", "probabilities": {"low": 1 - high, "high": high}}


@contextmanager
def serving(stand_in: StandIn, port: int = 0) -> Iterator[StandIn]:
    """Run it in a thread at an address of this machine."""
    app = Starlette(routes=[
        Route("/api/models", stand_in.models), Route("/api/models/{name}", stand_in.model),
        Route("/api/models/{name}/{verb}", stand_in.predict, methods=["POST"]),
        Route("/openapi.json", openapi),
        Route("/{file:path}", file),
    ])  # fmt: skip
    settings = uvicorn.Config(app, port=port, log_level="critical", ws="none", lifespan="off", http="h11")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    stand_in.home = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    try:
        yield stand_in
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


def quiet(one: Any) -> list[str]:
    """What a tab complained of, but for Chromium's own line about each answer with a status from 400 on."""
    return [line for line in one.noise if "Failed to load resource" not in line]
