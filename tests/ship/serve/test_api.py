"""The JSON API, asked in this process."""

import asyncio
from collections.abc import Iterator

import pytest
from asgi import BOUNDARY, Client, Lengths, client, multipart

pytest.importorskip("starlette")


@pytest.fixture
def asked() -> Iterator[Client]:
    made = client(max_bytes=4096)
    yield made
    made.close()


def test_models_are_listed_and_described(asked: Client) -> None:
    [one] = asked("GET", "/api/models").json
    assert (one["name"], one["kind"], one["version"], one["ready"]) == ("lengths", "images", "v1", True)
    assert "classes" not in one
    assert asked("GET", "/api/models/lengths").json["classes"] == [f"c{k}" for k in range(10)]


def test_several_images_and_a_broken_one(asked: Client) -> None:
    found = asked.files("/api/models/lengths/images", [("a", b"123"), ("b", b"x" * 20), ("c", b"12345")], top="2")
    assert found.status == 200
    assert [(one["file"], one["labels"]) for one in found.json["predictions"]] == [("a", ["c3"]), ("c", ["c5"])]
    assert found.json["predictions"][0]["classes"][0] == {"name": "c3", "probability": 1.0}
    assert len(found.json["predictions"][0]["classes"]) == 2
    assert found.json["broken"] == [{"file": "b", "reason": "it is too long"}]


def test_too_many_files_and_a_form_that_is_cut_off() -> None:
    asked = client(max_files=2)
    three = asked.files("/api/models/lengths/images", [("a", b"1")] * 3)
    assert (three.status, three.json["error"]) == (413, "a request may hold at most 2 files")
    cut = asked("POST", "/api/models/lengths/images", multipart([("a", b"123")])[:-8],
                content_type=f"multipart/form-data; boundary={BOUNDARY}")  # fmt: skip
    assert (cut.status, cut.json["error"]) == (400, "the form ends before its last boundary")
    asked.close()


def test_an_image_as_the_body(asked: Client) -> None:
    found = asked("POST", "/api/models/lengths/images?top=1", b"1234", content_type="image/png")
    assert found.json["predictions"][0]["labels"] == ["c4"]


def test_blocks_are_disabled_by_name_and_never_share_a_batch() -> None:
    model = Lengths()
    asked = client(model, max_delay_ms=200)

    async def both() -> None:
        model.gate.clear()
        path = "/api/models/lengths/images"
        tasks = [asyncio.ensure_future(asked.ask("POST", f"{path}{query}", b"123", content_type="image/png"))
                 for query in ("", "?disable=b0", "", "?disable=b0")]  # fmt: skip
        await asyncio.sleep(0.05)
        model.gate.set()
        found = [one.json["predictions"][0]["labels"] for one in await asyncio.gather(*tasks)]
        assert found == [["c3"], ["c0"], ["c3"], ["c0"]]

    asked.loop.run_until_complete(both())
    assert sorted(map(len, model.batches)) in ([2, 2], [1, 1, 2])  # the first may have begun alone
    asked.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "sentence"),
    [
        ("GET", "/api/models/length", b"", {}, 404, "there is no model 'length' here; did you mean 'lengths'?"),
        ("GET", "/nothing", b"", {}, 404, "there is nothing at /nothing"),
        ("PUT", "/api/models", b"", {}, 405, "PUT is not allowed here"),
        ("POST", "/api/models/lengths/ask", b"{}", {}, 404,
         "lengths is a model of images: post to /api/models/lengths/images"),
        ("POST", "/api/models/lengths/images", b"{}", {"content_type": "application/json"}, 415, None),
        ("POST", "/api/models/lengths/images", b"1", {"content_type": "multipart/form-data"}, 400, None),
        ("POST", "/api/models/lengths/images?top=0", b"1", {"content_type": "image/png"}, 400,
         "top must be a whole number from 1 to 1,000,000"),
        ("POST", "/api/models/lengths/images", b"1" * 5000, {"content_type": "image/png"}, 413,
         "a request may have at most 4,096 bytes"),
        ("POST", "/api/models/lengths/images", b"1", {"content_type": "image/png", "content_length": "9" * 30}, 413,
         "a request may have at most 4,096 bytes"),
        ("POST", "/api/models/lengths/images", b"123456789", {"content_type": "image/png"}, 500,
         "the server failed to answer; its log says why"),
        ("POST", "/api/models/lengths/images", b"1", {"content_type": "image/png", "origin": "http://evil.example"},
         403, "pages of other sites may not use this server"),
        ("GET", "/api/models", b"", {"host": "evil.example"}, 403,
         "this server does not answer to that name, only to its own, such as 127.0.0.1"),
    ],
)  # fmt: skip
def test_what_is_wrong_gets_one_sentence(
    asked: Client, method: str, path: str, body: bytes, headers: dict[str, str], status: int, sentence: str | None
) -> None:
    found = asked(method, path, body, **headers)
    assert found.status == status
    assert list(found.json) == ["error"]
    if sentence:
        assert found.json["error"] == sentence
    assert "secret" not in found.body.decode()


def test_the_token_is_needed_but_for_health() -> None:
    asked = client(token="open-sesame")
    assert asked("GET", "/api/models").status == 401
    assert asked("GET", "/api/models", authorization="Bearer open-sesamE").status == 401
    assert asked("GET", "/api/models", authorization="Bearer open-sesame").status == 200
    asked.close()


def test_the_names_of_a_server_for_other_machines() -> None:
    """Any, until it is told some; and pages of those may post."""
    asked = client(host="0.0.0.0")
    assert asked("GET", "/api/models", host="models.example").status == 200
    asked.close()
    asked = client(host="0.0.0.0", hosts=("models.example",))
    assert asked("GET", "/api/models", host="models.example:80").status == 200
    assert asked("GET", "/api/models", host="[::1]:8080").status == 200
    assert asked("GET", "/api/models", host="evil.example").status == 403
    posted = asked("POST", "/api/models/lengths/images", b"12", host="127.0.0.1:8080", content_type="image/png",
                   origin="https://models.example")  # fmt: skip
    assert posted.status == 200
    asked.close()


def test_every_answer_carries_the_security_headers(asked: Client) -> None:
    for path in ("/api/models", "/nothing"):
        found = asked("GET", path).headers
        assert found["x-content-type-options"] == "nosniff"
        assert "script-src" not in found["content-security-policy"]  # nothing but default-src 'self'
        assert "default-src 'self'" in found["content-security-policy"]
