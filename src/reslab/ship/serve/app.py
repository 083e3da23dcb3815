"""The server's routes, put together as one ASGI app."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from reslab.ship.serve import api, oip, openapi, pages
from reslab.ship.serve.house import House
from reslab.ship.serve.limits import Limits
from reslab.ship.serve.metrics import Measured, Metrics, metrics
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.replies import Gone, Handler, refuse

log = logging.getLogger("reslab.serve")
Routes = Sequence[tuple[str, str, Handler]]  # method, path, handler

ROUTES: Routes = (
    ("POST", "/api/models/{name}/images", api.images),  # first: they are found fastest
    ("POST", "/api/models/{name}/ask", api.ask),
    ("POST", "/api/models/{name}/rows", api.rows),
    ("GET", "/", pages.home),
    ("GET", "/docs", pages.docs),
    ("GET", "/openapi.json", openapi.openapi),
    ("GET", "/metrics", metrics),
    ("GET", "/api/models", api.models),
    ("GET", "/api/models/{name}", api.model),
    ("GET", "/v2", oip.server),
    ("GET", "/v2/health/live", oip.live),
    ("GET", "/v2/health/ready", oip.ready),
    ("POST", "/v2/repository/index", oip.index),
    ("POST", "/v2/repository/models/{name}/load", oip.load),
    *((method, f"/v2/models/{{name}}{version}{path}", handler)
      for version in ("", "/versions/{version}")
      for method, path, handler in (("GET", "", oip.model), ("GET", "/ready", oip.model_ready),
                                    ("POST", "/infer", oip.infer))),
    ("GET", "/{file}", pages.asset),  # last
)  # fmt: skip


def make_app(house: House) -> Starlette:
    """The app of these models."""
    counted = Metrics()
    house.count(counted.batch, counted.length)
    house.changed = partial(counted.refresh, house)
    house.changed()

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        yield
        await house.close()

    routes = [Route(path, labelled(path, handler), methods=[method]) for method, path, handler in ROUTES]
    app = Starlette(
        routes=routes, lifespan=life, middleware=[
            Middleware(Measured, house=house, metrics=counted), Middleware(Limits, house=house)],
        exception_handlers={Refused: refused, HTTPException: refused, Gone: gone, ClientDisconnect: gone,
                            Exception: failed},
    )  # fmt: skip
    app.router.redirect_slashes = False
    app.state.house, app.state.metrics = house, counted
    app.state.openapi = openapi.document(ROUTES, token=house.settings.token is not None)
    return app


def labelled(path: str, handler: Handler) -> Handler:
    """The handler, which leaves its path as the route's name for the metrics."""

    async def handling(request: Request) -> Response:
        request.scope["reslab.route"] = path
        return await handler(request)

    return handling


async def refused(request: Request, error: Any) -> Response:
    if isinstance(error, Refused):
        return refuse(error)
    sentences = {404: f"there is nothing at {request.url.path[:200]}",
                 405: f"{request.method[:20]} is not allowed here"}  # fmt: skip
    made = refuse(Refused(error.status_code, sentences.get(error.status_code, str(error.detail))))
    for name, value in (error.headers or {}).items():
        made.headers[name] = value
    return made


async def gone(request: Request, error: Exception) -> Response:
    return refuse(Refused(499, "the client closed the connection"))  # which nobody reads


async def failed(request: Request, error: Exception) -> Response:
    return refuse(Refused(500, "the server failed to answer; its log says why"))
