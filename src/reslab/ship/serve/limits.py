"""What stands before every route: who may ask, how large a request may be, how long it may take to arrive."""

import asyncio
import hmac
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reslab.ship.serve.house import House
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.replies import refuse
from reslab.ship.serve.settings import LOOPBACK

OPEN = ("/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json")  # without a token
CLOSED = ("/v2", "/metrics")  # need it, as do all below /api/ and /v2/
HELD = 8  # requests of the largest size whose bodies may be held at the same time
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
                                 b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
)  # fmt: skip


class Limits:
    """An ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house, self.settings = app, house, house.settings
        self.held = 0  # bytes of bodies that are in memory
        self.expected = house.settings.token.encode() if house.settings.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return  # closed: there are none here
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def answering(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                names = {name for name, _ in message["headers"]}
                extra = [(name, value) for name, value in HEADERS if name not in names]
                if self.house.draining:
                    extra.append((b"connection", b"close"))
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        body = Body(self, receive)
        try:
            headers = dict(scope["headers"])
            self.check_framing(scope["headers"])
            if self.house.crowded() and scope["path"] != OPEN[0]:
                raise Refused(503, "the server is busy: it has too many connections; try again later", retry_after=1,
                              close=True)  # fmt: skip
            self.check_host(headers)
            self.check_origin(scope["method"], headers)
            self.check_token(scope["path"], headers)
            self.check_length(headers)
            await self.app(scope, body.receive, answering)
        except Refused as error:
            if begun:
                raise
            await refuse(error)(scope, receive, answering)  # the rest may still be on its way: see server.Patient
        finally:
            self.held -= body.size

    def check_framing(self, headers: list[tuple[bytes, bytes]]) -> None:
        """What two readers of one request could read in two ways is refused (RFC 9112, 6.3)."""
        names = [name for name, _ in headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            raise Refused(400, "a request has either Content-Length or Transfer-Encoding, not both", close=True)
        if names.count(b"authorization") > 1:
            raise Refused(400, "the header Authorization is given twice")

    def check_host(self, headers: dict[bytes, bytes]) -> None:
        """A server for this machine alone answers only to this machine's names: not to a stranger's name whose DNS
        entry was changed to 127.0.0.1 (DNS rebinding). A server for others does so if it was told its names."""
        if not self.settings.local and not self.settings.hosts:
            return
        name = host_of(headers.get(b"host", b"").decode("latin-1"))
        if name not in (*LOOPBACK, self.settings.host, *self.settings.hosts):
            raise Refused(403, "this server does not answer to that name, only to its own, such as 127.0.0.1")

    def check_origin(self, method: str, headers: dict[bytes, bytes]) -> None:
        """A page of another site must not post here in the name of its visitor."""
        if method in ("GET", "HEAD", "OPTIONS"):
            return
        origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
        try:
            place = urlsplit(origin).netloc.lower()
        except ValueError:  # such as http://[::1
            raise Refused(400, "the header Origin is no address") from None
        own = not origin or place == host.lower() or host_of(place) in self.settings.hosts
        if not own or headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            raise Refused(403, "pages of other sites may not use this server")

    def check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self.expected is None or path in OPEN or not (path.startswith(("/api/", "/v2/")) or path in CLOSED):
            return
        scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self.expected):
            raise Refused(401, "this server needs a token: send the header Authorization: Bearer TOKEN")

    def check_length(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refused(415, "compressed requests are not read: send the body as it is")
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > self.settings.max_bytes:
            raise self.too_large()

    def too_large(self) -> Refused:
        return Refused(413, f"a request may have at most {self.settings.max_bytes:,} bytes")


class Body:
    """The body of one request as it arrives: counted, whatever its length was declared to be, and timed."""

    def __init__(self, limits: Limits, receive: Receive) -> None:
        self.limits, self.given, self.size, self.whole = limits, receive, 0, False
        self.until = asyncio.get_running_loop().time() + limits.settings.timeout

    async def receive(self) -> Message:
        if self.whole:
            return await self.given()
        limit = self.limits.settings
        try:
            async with asyncio.timeout_at(self.until):
                message = await self.given()
        except TimeoutError:
            raise Refused(408, f"the request did not arrive within {limit.timeout:g} s") from None
        if message["type"] == "http.request":
            arrived = len(message.get("body", b""))
            self.size += arrived
            self.limits.held += arrived
            self.whole = not message.get("more_body", False)
            if self.size > limit.max_bytes:
                raise self.limits.too_large()
            if self.limits.held > HELD * limit.max_bytes:
                raise Refused(503, "the server is busy: it holds too many large requests", retry_after=1)
        return message


def host_of(host: str) -> str:
    """The name of a Host header, without its port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    return name.strip("[]").lower()
