"""JSON in and out: bodies that are read with care, answers, and errors of one sentence."""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from reslab.ship.serve.house import House
from reslab.ship.serve.refused import Refused

HALF = re.compile(rb"\\u[dD][89a-fA-F]")
LARGE = 2**18  # bytes of JSON from which it is parsed in a thread
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def house_of(request: Request) -> House:
    house: House = request.app.state.house
    return house


def reply(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON. Half characters of strangers' names become question marks; numbers that JSON lacks become null."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(finite(data), ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), status, headers, "application/json")


def finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: finite(one) for key, one in data.items()}
    if isinstance(data, list | tuple):
        return [finite(one) for one in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def refuse(error: Refused) -> Response:
    return reply({"error": error.sentence}, error.status, error.headers)


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises Refused."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"the body must be JSON (Content-Type: application/json), got {kind or 'nothing'}")
    return await parsed(await request.body())


async def parsed(body: bytes) -> dict[str, Any]:
    """JSON bytes as an object. Raises Refused."""
    data = await asyncio.to_thread(decoded, body) if len(body) > LARGE else decoded(body)
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    return data


def decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        if HALF.search(body) and loads(body):
            raise Refused(
                400, "the body's JSON holds half a character (\\ud800 to \\udfff without its other half)"
            ) from None
        raise Refused(400, f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise Refused(400, "the body's JSON is nested too deeply") from None
    except ValueError as error:  # a number of too many digits
        raise Refused(400, f"the body is not valid JSON: {error}") from None


def loads(body: bytes) -> bool:
    """Whether Python reads the JSON, which lets half characters pass."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def whole(value: Any, name: str, *, low: int, high: int) -> int:
    """A whole number of a request, given as a number or as text. Raises Refused."""
    try:
        number = int(value) if isinstance(value, str) and len(value) < 20 else value
    except ValueError:
        number = None
    if type(number) is not int or not low <= number <= high:
        raise Refused(400, f"{name} must be a whole number from {low} to {high:,}")
    return number


class Gone(Exception):  # noqa: N818 - what it says
    """The client closed the connection before it was answered."""


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the client leaves: then raises Gone. The body must have been read."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Gone
    finally:
        for task in (doing, leaving):
            task.cancel()


async def left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
