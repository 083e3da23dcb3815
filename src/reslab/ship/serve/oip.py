"""The Open Inference Protocol, version 2, over HTTP (KServe, Triton): health, metadata, inference; model control."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from reslab.ship.serve import ports
from reslab.ship.serve.house import Hosted
from reslab.ship.serve.refused import Refused, no_such, shown
from reslab.ship.serve.replies import LARGE, house_of, parsed, reply, while_connected
from reslab.ship.serve.servable import About
from reslab.ship.serve.tensors import Room, Tensor, read, written
from reslab.version import __version__

HEADER = "inference-header-content-length"  # of the binary extension: the length of the JSON before the tensors
MOST_PORTS = 10_000


async def server(request: Request) -> Response:
    """Server metadata."""
    return reply({"name": "reslab", "version": __version__, "extensions": ["binary_tensor_data", "model_repository"]})


async def live(request: Request) -> Response:
    """Whether the process runs."""
    return reply({"live": True})


async def ready(request: Request) -> Response:
    """Whether requests are answered: not any more when the server stops."""
    return ready_or_not(house_of(request).ready)


def ready_or_not(yes: bool, **more: Any) -> Response:
    return reply({**more, "ready": yes}, 200 if yes else 503)


def named(request: Request) -> tuple[Hosted, About]:
    """The model of the path, in the version of the path. Raises Refused (404)."""
    hosted = house_of(request).find(request.path_params["name"])
    about = hosted.current.about
    if (asked := request.path_params.get("version", about.version)) != about.version:
        raise Refused(404, f"{about.name} has no version {shown(asked)}: it is served in version {about.version}")
    return hosted, about


async def model(request: Request) -> Response:
    """Model metadata."""
    _, about = named(request)
    return reply({"name": about.name, "versions": [about.version], "platform": f"reslab_{about.engine}",
                  "inputs": ports.inputs(about), "outputs": ports.outputs(about)})  # fmt: skip


async def model_ready(request: Request) -> Response:
    """Whether a model answers requests."""
    _, about = named(request)
    return ready_or_not(house_of(request).ready, name=about.name)


async def infer(request: Request) -> Response:
    """Inference."""
    hosted, _ = named(request)
    house = house_of(request)
    with hosted.using() as one:
        about = one.about
        asked, payloads = await inputs_of(request, about, ports.room(about, house.settings.queue))
        wanted, binary = chosen(asked, [port["name"] for port in ports.outputs(about)])
        found = await while_connected(request, house.ask(hosted, one, payloads, {"top": 1}))
        for each in found:
            if isinstance(each, Refused):
                raise each
        made = await asyncio.to_thread(ports.results, about, found)
        said = ports.notes(about, found)
        return packed({"model_name": about.name, "model_version": about.version,
                       **({"id": asked["id"]} if "id" in asked else {}),
                       **({"parameters": {"notes": "; ".join(said)}} if said else {})},
                      [(made[name], binary[name]) for name in wanted])  # fmt: skip


async def inputs_of(request: Request, about: About, room: Room) -> tuple[dict[str, Any], list[Any]]:
    """The JSON of an inference request, and what the model is asked. Raises Refused."""
    body = await request.body()
    length = request.headers.get(HEADER)
    if length is not None and not (length.isascii() and length.isdigit() and int(length[:20]) <= len(body)):
        raise Refused(400, f"the header Inference-Header-Content-Length must be at most the {len(body)} bytes of the "
                           "body")  # fmt: skip
    split = len(body) if length is None else int(length)
    asked, tail = await parsed(body[:split]), memoryview(body)[split:]
    if not isinstance(asked.get("id", ""), str):
        raise Refused(400, "id must be a text")
    entries = asked.get("inputs")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_PORTS:
        raise Refused(400, 'the request has no inputs: send {"inputs": [{"name", "datatype", "shape", "data"}]}')
    if len(body) > LARGE:
        return asked, await asyncio.to_thread(payloads_of, entries, tail, about, room)
    return asked, payloads_of(entries, tail, about, room)


def payloads_of(entries: list[Any], tail: memoryview, about: About, room: Room) -> list[Any]:
    """The inputs of a request as what the model is asked. Raises Refused."""
    given: dict[str, Tensor] = {}
    for entry in entries:
        tensor, tail = read(entry, tail, room)
        if tensor.name in given:
            raise Refused(400, f"two inputs are named {shown(tensor.name)}")
        given[tensor.name] = tensor
    if len(tail):
        raise Refused(400, f"{len(tail)} bytes after the JSON belong to no input")
    return ports.payloads(about, given)


def chosen(asked: dict[str, Any], known: list[str]) -> tuple[list[str], dict[str, bool]]:
    """The outputs that the request wants, and whether each is sent as bytes. Raises Refused."""
    common = truth(asked, "binary_data_output", False)
    entries = asked.get("outputs") or [{"name": name} for name in known]
    if not isinstance(entries, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str)
                                                for one in entries):  # fmt: skip
        raise Refused(400, 'outputs must be a list such as [{"name": "probabilities"}]')
    names = [one["name"] for one in entries]
    for name in names:
        if name not in known:
            raise Refused(400, f"the model has no output {no_such(name, known)}; it gives "
                               f"{', '.join(known)}")  # fmt: skip
    return list(dict.fromkeys(names)), {one["name"]: truth(one, "binary_data", common) for one in entries}


def truth(entry: dict[str, Any], name: str, default: bool) -> bool:
    """A truth value among the parameters of a request or an output. Raises Refused."""
    extra = entry.get("parameters") or {}
    value = extra.get(name, default) if isinstance(extra, dict) else None
    if not isinstance(value, bool):
        raise Refused(400, f"parameters must be an object, and {name} in it true or false")
    return value


def packed(head: dict[str, Any], outputs: list[tuple[Tensor, bool]]) -> Response:
    """The response: JSON, followed by the bytes of outputs that are sent as bytes."""
    parts = [written(tensor, binary=binary) for tensor, binary in outputs]
    answer = reply({**head, "outputs": [entry for entry, _ in parts]})
    if not any(binary for _, binary in outputs):
        return answer
    text, tail = bytes(answer.body), b"".join(data for _, data in parts)
    return Response(text + tail, media_type="application/octet-stream", headers={HEADER: str(len(text))})


async def index(request: Request) -> Response:
    """The models of the repository."""
    house = house_of(request)
    state = "READY" if house.ready else "UNAVAILABLE"
    return reply([{"name": name, "version": hosted.current.about.version, "state": state, "reason": ""}
                  for name, hosted in house.models.items()])  # fmt: skip


async def load(request: Request) -> Response:
    """Serve the newest version of a model's folder, if it is sound. Answers when all workers serve it."""
    hosted, _ = named(request)
    await request.body()
    reloader = getattr(request.app.state, "reloader", None)
    if reloader is None:
        raise Refused(409, "this server does not load new versions")
    if await reloader.check(hosted.name):
        raise Refused(409, f"the new version of {hosted.name} is refused, {hosted.current.about.version} stays; the "
                           "server's log says why")  # fmt: skip
    late = await reloader.agreed(hosted.name, house_of(request).settings.timeout)
    if late:
        raise Refused(503, f"{late} of the other workers do not serve version {hosted.current.about.version} of "
                           f"{hosted.name} yet; the server's log says why", retry_after=5)  # fmt: skip
    return reply({})
