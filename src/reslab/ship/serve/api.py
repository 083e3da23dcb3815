"""The JSON API: models, images, questions, rows."""

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from reslab.ship.serve.forms import read_form
from reslab.ship.serve.house import Hosted
from reslab.ship.serve.images import labels, remarked, top
from reslab.ship.serve.refused import Refused, no_such, shown
from reslab.ship.serve.replies import house_of, read_json, reply, while_connected, whole
from reslab.ship.serve.servable import About, Servable
from reslab.ship.serve.tables import by_row

FIELDS = ("top", "disable")  # of a form of images, beside its files
HEAVY = ("classes", "fields", "settings", "blocks")  # details of one model, not in the list of all
NAMES = {"images": "images", "questions": "ask", "tables": "rows"}  # kind: the path that predicts


def about(hosted: Hosted, ready: bool, *, whole: bool = False) -> dict[str, Any]:
    """What clients are told of a model."""
    one: About = hosted.current.about
    found = {"name": one.name, "kind": one.kind, "version": one.version, "engine": one.engine,
             "precision": one.precision, "ready": ready, "predict": NAMES[one.kind]}  # fmt: skip
    return found | {key: value for key, value in one.details.items() if whole or key not in HEAVY}


async def models(request: Request) -> Response:
    """All models."""
    house = house_of(request)
    return reply([about(hosted, house.ready) for hosted in house.models.values()])


async def model(request: Request) -> Response:
    """One model, with its classes, fields or settings, and the blocks that can be disabled."""
    house = house_of(request)
    return reply(about(house.find(request.path_params["name"]), house.ready, whole=True))


def wanted(request: Request, kind: str) -> Hosted:
    """The model of the path. Raises Refused if there is none, or it predicts something else."""
    hosted = house_of(request).find(request.path_params["name"])
    own = hosted.current.about.kind
    if own != kind:
        raise Refused(404, f"{hosted.name} is a model of {own}: post to /api/models/{hosted.name}/{NAMES[own]}")
    return hosted


def answer(one: Servable, start: float, **found: Any) -> Response:
    milliseconds = round(1000 * (time.perf_counter() - start), 2)
    return reply({"model": one.about.name, "version": one.about.version, **found, "ms": milliseconds})


async def images(request: Request) -> Response:
    """Classes of images: multipart with `files`, or one image as the body."""
    hosted, house = wanted(request, "images"), house_of(request)
    files, fields = await uploaded(request, house.settings.max_files)
    for name, values in fields.items():
        if name not in FIELDS:
            raise Refused(422, f"unknown field {no_such(name, FIELDS)}; this takes files, {', '.join(FIELDS)}")
        if name == "top" and len(values) > 1:
            raise Refused(422, f"top is given {len(values)} times; give it once")
    start = time.perf_counter()
    with hosted.using() as one:
        details = one.about.details
        count = whole(fields.get("top", ["5"])[-1], "top", low=1, high=10**6)
        options = {"disable": fields.get("disable", [])}
        found = await while_connected(request, house.ask(hosted, one, [data for _, data in files], options))
        pairs = list(zip([name for name, _ in files], found, strict=True))
        for _, each in pairs:
            if isinstance(each, Refused) and each.status >= 500:
                raise each
        broken = [{"file": name, "reason": each.sentence} for name, each in pairs if isinstance(each, Refused)]
        if len(broken) == len(pairs):
            more = f" ({len(broken)} files, all refused)" if broken[1:] else ""
            return reply({"error": f"{broken[0]['file']}: {broken[0]['reason']}{more}", "broken": broken}, 422)
        good = [(name, each) for name, each in pairs if not isinstance(each, Refused)]
        predictions = [{"file": name, "labels": labels(each.values, details["classes"], details["several"]),
                        "classes": top(each.values, details["classes"], count)} for name, each in good]  # fmt: skip
        notes = remarked([key for _, each in good for key in each.remarks])
        return answer(one, start, predictions=predictions, notes=notes, broken=broken, disabled=options["disable"])


async def uploaded(request: Request, most: int) -> tuple[list[tuple[str, bytes]], dict[str, list[str]]]:
    """(name, bytes) of the files of a request, and its other fields. Raises Refused."""
    fields: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        fields.setdefault(key, []).append(value)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    files: list[tuple[str, bytes]] = []
    if kind == "multipart/form-data":
        form = await read_form(request, most)
        files = form.files
        for key, texts in form.fields.items():
            fields.setdefault(key, []).extend(texts)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        files.append(("image", await request.body()))
    else:
        raise Refused(415, "send images as multipart/form-data with parts named files, or one image as the body with "
                           "its own Content-Type, such as image/jpeg")  # fmt: skip
    if not files:
        raise Refused(400, "the request holds no files: send each image as a part named files")
    return files, fields


async def ask(request: Request) -> Response:
    """Answers to one question in texts."""
    hosted, house = wanted(request, "questions"), house_of(request)
    body = await read_json(request)
    only(body, "question", "contexts", "top")
    contexts = body.get("contexts")
    payload = (body.get("question"), [contexts] if isinstance(contexts, str) else contexts)
    options = {"top": whole(body.get("top", 3), "top", low=1, high=20)}
    start = time.perf_counter()
    with hosted.using() as one:
        [found] = await while_connected(request, house.ask(hosted, one, [payload], options))
        if isinstance(found, Refused):
            raise found
        answers = [{"text": each.text, "score": each.score, "probability": each.probability,
                    "document": each.document, "start": each.start, "end": each.end}
                   for each in found.answers]  # fmt: skip
        return answer(one, start, answers=answers, notes=list(found.notes))


async def rows(request: Request) -> Response:
    """What is predicted for rows of a table."""
    hosted, house = wanted(request, "tables"), house_of(request)
    body = await read_json(request)
    only(body, "rows")
    start = time.perf_counter()
    with hosted.using() as one:
        [found] = await while_connected(request, house.ask(hosted, one, [body.get("rows")], {}))
        if isinstance(found, Refused):
            raise found
        details = one.about.details
        predictions = await asyncio.to_thread(by_row, found, details["target"], details["classes"])
        return answer(one, start, predictions=predictions, notes=list(found.notes))


def only(body: dict[str, Any], *known: str) -> None:
    """Raise Refused for a key that nothing reads: a misspelled one would be ignored."""
    if unknown := [key for key in body if key not in known]:
        raise Refused(400, f"unknown key {shown(unknown[0])}; this takes {', '.join(known)}")
