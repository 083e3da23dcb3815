"""The page and its parts: the files of web/, read once."""

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from reslab.ship.serve.refused import Refused

WEB = Path(__file__).parent / "web"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
         ".js": "text/javascript; charset=utf-8"}  # fmt: skip


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """(bytes, media type) of each file by name. No path of a request ever reaches the disk."""
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in sorted(WEB.glob("*"))
            if path.suffix in TYPES}  # fmt: skip


async def home(request: Request) -> Response:
    """The page."""
    return page("index.html")


async def docs(request: Request) -> Response:
    """The OpenAPI document as a page."""
    return page("docs.html")


async def asset(request: Request) -> Response:
    """A file of the page."""
    return page(request.path_params["file"])


def page(name: str) -> Response:
    if name not in files():
        raise Refused(404, f"there is nothing at /{name[:200]}")
    data, kind = files()[name]
    return Response(data, media_type=kind, headers={"cache-control": "no-cache"})
