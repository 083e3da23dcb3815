"""The OpenAPI 3.1 document of the routes; web/docs.html shows it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from reslab.ship.serve.replies import reply
from reslab.ship.serve.schemas import BODIES, RESULTS, SCHEMAS
from reslab.version import __version__

PARTS = {"name": "Name of a model: see /api/models.", "version": "Version of the model.", "file": "File of the page."}
TAGS = {"/api": "JSON API", "/v2": "Open Inference Protocol", "/": "Server"}
ERRORS = {
    "400": "The request is malformed.", "401": "The token is missing or wrong.", "404": "There is no such model.",
    "408": "The request did not arrive in time.", "413": "The request is too large.",
    "415": "The body is of a kind that is not read.", "422": "The input cannot be used: a broken image, an unknown "
    "column.", "503": "The server is busy (see Retry-After) or stops.", "504": "The model did not answer in time.",
}  # fmt: skip
NOT_SHOWN = ("/{file}", "/", "/docs")


def document(routes: Any, *, token: bool) -> dict[str, Any]:
    """The document of (method, path, handler) triples; `token`: whether the server wants one."""
    paths: dict[str, Any] = {}
    for method, path, handler in routes:
        if path not in NOT_SHOWN:
            paths.setdefault(path, {})[method.lower()] = operation(method, path, handler)
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "reslab serve", "version": __version__, "description": "Models of images, questions and "
                 "tables. Errors are {\"error\": one sentence}."},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }  # fmt: skip
    if token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def operation(method: str, path: str, handler: Any) -> dict[str, Any]:
    """One operation, described by its handler's docstring."""
    text = " ".join((handler.__doc__ or "").split())
    first, _, rest = text.partition(".")
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    tag = next(tag for start, tag in TAGS.items() if path.startswith(start))
    version = "_version" if "version" in names else ""
    made: dict[str, Any] = {
        "operationId": f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}{version}",
        "summary": first, "description": rest.strip(), "tags": [tag],
        "responses": {"200": {"description": "The answer.", **content(RESULTS.get(key(path, method)))}},
    }  # fmt: skip
    if names:
        made["parameters"] = [{"name": name, "in": "path", "required": True, "description": PARTS[name],
                               "schema": {"type": "string"}} for name in names]  # fmt: skip
    if body := BODIES.get(key(path, method)):
        made["requestBody"] = {"required": True, "content": body}
    if method == "POST" or names:
        for status, sentence in ERRORS.items():
            made["responses"][status] = {"description": sentence, **content({"$ref": "#/components/schemas/Error"})}
    return made


def key(path: str, method: str) -> str:
    return f"{method} {path.replace('/versions/{version}', '')}"


def content(schema: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}} if schema else {}


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return reply(request.app.state.openapi)
