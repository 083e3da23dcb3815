"""What the server counts, for Prometheus: requests, times, batches, queues, versions; of several workers together."""

import os
import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reslab.ship.serve.house import House

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the folder in which several workers count; prometheus_client reads it, too
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("reslab_requests", "Requests answered.", ["model", "route", "status"], **common)
        self.seconds = Histogram("reslab_request_seconds", "Time from a request's headers to the end of its answer.",
                                 ["model", "route"], buckets=SECONDS, **common)  # fmt: skip
        self.batches = Histogram("reslab_batch_size", "Items (images, questions, requests of rows) per batch.",
                                 ["model"], buckets=SIZES, **common)  # fmt: skip
        self.busy = Counter("reslab_batch_seconds", "Time that the model ran.", ["model"], **common)
        self.queue = Gauge("reslab_queue_length", "Items admitted and not answered yet.", ["model"],
                           multiprocess_mode="livesum", **common)  # fmt: skip
        self.known: dict[str, tuple[str, ...]] = {}  # the labels of each model's version
        self.info = Gauge("reslab_model_info", "1: the version that is served; 0: one that was.",
                          ["model", "kind", "version", "engine", "precision"], multiprocess_mode="livemax",
                          **common)  # fmt: skip

    def batch(self, model: str, size: int, seconds: float) -> None:
        """Count one batch."""
        self.batches.labels(model).observe(size)
        self.busy.labels(model).inc(seconds)

    def length(self, model: str, held: int) -> None:
        """Note how many items are admitted and not answered yet: at every change, as other workers show it, too."""
        self.queue.labels(model).set(held)

    def request(self, model: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(model, route, str(status)).inc()
        self.seconds.labels(model, route).observe(seconds)

    def refresh(self, house: House) -> None:
        """Take the present lengths and versions of a house. (Labels cannot be removed where several workers count.)"""
        for name, hosted in house.models.items():
            self.queue.labels(name).set(hosted.batcher.held)
            about = hosted.current.about
            now = (name, about.kind, about.version, about.engine, about.precision)
            if self.known.get(name, now) != now:
                self.info.labels(*self.known[name]).set(0)
            self.known[name] = now
            self.info.labels(*now).set(1)

    def text(self) -> bytes:
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)


async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    counted: Metrics = request.app.state.metrics
    counted.refresh(request.app.state.house)
    return Response(counted.text(), headers={"content-type": CONTENT_TYPE_LATEST})


class Measured:
    """An ASGI middleware that counts what passes."""

    def __init__(self, app: ASGIApp, house: House, metrics: Metrics) -> None:
        self.app, self.house, self.metrics = app, house, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            # Strangers' words are never labels: there would be any number of them.
            named = scope.get("path_params", {}).get("name", "")
            model, route = named if named in self.house.models else "", scope.get("reslab.route", "other")
            self.metrics.request(model, route, status, time.perf_counter() - start)
