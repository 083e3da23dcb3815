"""Whatever is sent, the server answers: with 4xx and one sentence if it is wrong, never with 500 or a traceback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgi import Answer, Client, client, multipart
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reslab.ship.serve.servable import places
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import build

FOLDERS = Path(__file__).parents[2] / "golden" / "folders"
PATHS = ("/api/models/lengths/images", "/v2/models/lengths/infer", "/api/models/rooms/rows", "/v2/models/rooms/infer")
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(max_size=20)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | TEXT


def nested(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(part, max_size=4) | st.dictionaries(TEXT, part, max_size=4)


DATA = st.recursive(PLAIN, nested, max_leaves=12)
KEYS = st.sampled_from("inputs outputs id parameters name datatype shape data rows question contexts top".split())
TENSOR = st.fixed_dictionaries({
    "name": st.sampled_from(["images", "town", "area", "x"]),
    "datatype": st.sampled_from(["UINT8", "BYTES", "FP64", "INT64", "BOOL", "FP16", "FP9"]),
    "shape": st.lists(st.integers(-1, 4), max_size=5), "data": DATA | st.lists(st.integers(0, 255), max_size=30),
}, optional={"parameters": st.dictionaries(st.sampled_from(["binary_data_size", "binary_data"]), DATA)})  # fmt: skip
ROW = st.dictionaries(st.sampled_from("town area floor rent features listed toun".split()), DATA, max_size=6)
BODY = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(KEYS | TEXT, DATA, max_size=5).map(lambda one: json.dumps(one).encode()),
    st.fixed_dictionaries({"inputs": st.lists(TENSOR, max_size=3)}, optional={"outputs": DATA, "parameters": DATA})
    .map(lambda one: json.dumps(one).encode()),
    st.lists(ROW, max_size=3).map(lambda rows: json.dumps({"rows": rows}).encode()),
)  # fmt: skip


@pytest.fixture(scope="module")
def asked() -> Iterator[Client]:
    from asgi import Lengths

    app, _ = build(places([f"rooms={FOLDERS / 'tables-finished'}"]), Settings(threads=1))
    rooms = app.state.house.models["rooms"].current
    made = client(Lengths(), rooms, max_bytes=100_000)
    yield made
    made.close()


def sound(answer: Answer) -> None:
    assert answer.status == 200 or (400 <= answer.status < 500 and next(iter(answer.json)) == "error"), answer
    sentence = answer.json["error"] if answer.status != 200 else ""
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert str(FOLDERS) not in answer.body.decode()


def bodies(asked: Client, path: str, body: bytes, kind: str, length: Any) -> None:
    if len(body) == 9:  # of which the made-up model fails
        return
    headers = {"content_type": kind} | ({} if length is None else {"inference_header_content_length": length})
    sound(asked("POST", path, body, **headers))


KIND = st.sampled_from(["application/json", "text/plain", "image/png", ""])
LENGTH = st.none() | st.sampled_from(["0", "5", "-1", "x", "9" * 25])
ANY = given(path=st.sampled_from(PATHS), body=BODY, kind=KIND, length=LENGTH)


@QUICK
@ANY
def test_any_body(asked: Client, path: str, body: bytes, kind: str, length: str | None) -> None:
    bodies(asked, path, body, kind, length)


@pytest.mark.slow
@LONG
@ANY
def test_any_body_for_long(asked: Client, path: str, body: bytes, kind: str, length: str | None) -> None:
    bodies(asked, path, body, kind, length)


def forms(asked: Client, files: list[tuple[str, bytes]], fields: dict[str, str], cut: int, kind: str) -> None:
    body = multipart(files, fields)
    sound(asked("POST", PATHS[0], body[: len(body) - cut], content_type=kind))


NAME = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n'), max_size=12)
FORM = given(
    files=st.lists(st.tuples(NAME, st.binary(max_size=12).filter(lambda one: len(one) != 9)), max_size=4),
    fields=st.dictionaries(st.sampled_from(["top", "disable", "other"]), st.sampled_from(["1", "0", "b0", "x", ""])),
    cut=st.sampled_from([0, 0, 0, 1, 7, 40]),
    kind=st.sampled_from(["multipart/form-data; boundary=reslab-test"] * 4 + [
        "multipart/form-data", "multipart/form-data; boundary=other", 'multipart/form-data; boundary="']),
)  # fmt: skip


@QUICK
@FORM
def test_any_form(asked: Client, files: list[tuple[str, bytes]], fields: dict[str, str], cut: int, kind: str) -> None:
    forms(asked, files, fields, cut, kind)


@pytest.mark.slow
@LONG
@FORM
def test_any_form_for_long(
    asked: Client, files: list[tuple[str, bytes]], fields: dict[str, str], cut: int, kind: str
) -> None:
    forms(asked, files, fields, cut, kind)


@QUICK
@given(path=st.text(st.characters(codec="utf-8"), max_size=30).map(lambda one: f"/{one.replace('?', '')}"),
       method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]))  # fmt: skip
def test_any_path(asked: Client, path: str, method: str) -> None:
    answer = asked(method, path)
    assert answer.status in (200, 404, 405)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 20_000, b'{"rows":' + b"[" * 5_000 + b"]" * 5_000 + b"}"],
                         ids=["lists", "objects", "closed lists"])  # fmt: skip
def test_deep_json(asked: Client, body: bytes) -> None:
    for path in PATHS[1:]:
        answer = asked("POST", path, body[:100_000], content_type="application/json")
        assert 400 <= answer.status < 500
        sound(answer)
