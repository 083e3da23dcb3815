"""What requests may not be: one sentence for each, before anything large is made of them."""

import asyncio
import io
import json
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asgi import BOUNDARY, Client, Lengths, client
from PIL import Image

from reslab.ship.serve.decoding import Budget, size_of
from reslab.ship.serve.house import House
from reslab.ship.serve.images import Images
from reslab.ship.serve.refused import Refused
from reslab.ship.serve.servable import About, Place, places
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import build

FOLDERS = Path(__file__).parents[2] / "golden" / "folders"
IMAGES, ROWS, INFER = "/api/models/lengths/images", "/api/models/rooms/rows", "/v2/models/rooms/infer"


@pytest.fixture(scope="module")
def asked() -> Iterator[Client]:
    app, _ = build(places([f"rooms={FOLDERS / 'tables-finished'}"]), Settings(threads=1))
    made = client(Lengths(), app.state.house.models["rooms"].current)
    yield made
    made.close()


def test_a_row_is_answered_alike_whatever_is_sent_with_it(asked: Client) -> None:
    row = {"listed": "25/05/2024", "rent": 400}
    [alone] = asked.json(ROWS, {"rows": [row]}).json["predictions"]
    for others in ([{"listed": "05/26/2024"}] * 3, [{"rent": "1.000,5"}], [{"town": 3, "area": "50"}]):
        found = asked.json(ROWS, {"rows": [*others, row]})
        assert found.json["predictions"][-1]["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-12)
    refused = asked.json(ROWS, {"rows": [row] * 9 + [{"listed": "03/05/2024"}]})
    assert (refused.status, "row 9 is '03/05/2024'" in refused.json["error"]) == (422, True)


def test_what_is_odd_about_rows_is_noted(asked: Client) -> None:
    notes = asked.json(ROWS, {"rows": [{"rent": True}, {"rent": 1e300, "town": None}]}).json["notes"]
    assert "2 of 2 rows have no 'listed', 'area', 'floor', 'features': read as missing" in notes
    assert "1 of 2 rows has no 'town': read as missing" in notes
    assert "column 'rent': 1 of 2 values is true or false; read as 1 or 0" in notes
    assert "column 'rent': 2 of 2 values are outside of training's 116 to 1,291" in notes
    inputs = [{"name": "rent", "datatype": "FP64", "shape": [1], "data": [-5]}]
    said = asked.json(INFER, {"inputs": inputs}).json["parameters"]["notes"]
    assert "outside of training's 116 to 1,291" in said


@pytest.mark.parametrize(("datatype", "bytes_each"), [("UINT8", 1), ("BYTES", 4), ("FP64", 8)])
def test_rows_are_counted_by_their_shape(asked: Client, datatype: str, bytes_each: int) -> None:
    """Millions of rows are refused without a thing made of them."""
    data = bytes(3_000_000 * bytes_each)
    head = json.dumps({"inputs": [{"name": "rent", "datatype": datatype, "shape": [3_000_000],
                                   "parameters": {"binary_data_size": len(data)}}]}).encode()  # fmt: skip
    start = time.monotonic()
    found = asked("POST", INFER, head + data, inference_header_content_length=str(len(head)))
    assert time.monotonic() - start < 1
    assert (found.status, found.json["error"]) == (413, "a request may hold at most 10,000 rows, got 3,000,000")


def test_elements_are_counted_before_they_are_read(asked: Client) -> None:
    for size, sent in ((2, struct.pack("<I", 0) * 9), (3, b"1234")):
        head = json.dumps({"inputs": [{"name": "town", "datatype": "BYTES", "shape": [size],
                                       "parameters": {"binary_data_size": len(sent)}}]}).encode()  # fmt: skip
        found = asked("POST", INFER, head + sent, inference_header_content_length=str(len(head)))
        assert found.json["error"] == f"input 'town' must hold {size} elements, each after its length in 4 bytes"
    found = asked.json(INFER, {"inputs": [{"name": "rent", "datatype": "FP64", "shape": [2], "data": [1] * 9}]})
    assert found.json["error"] == "input 'rent' of shape [2] needs 2 elements, got 9"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"disabled": "b0"}, "unknown field 'disabled'; did you mean 'disable'?; this takes files, top, disable"),
        ({"top": ["1", "2"]}, "top is given 2 times; give it once"),
    ],
)
def test_fields_of_a_form_that_nothing_reads_are_refused(asked: Client, fields: dict[str, Any], sentence: str) -> None:
    found = asked.files(IMAGES, [("a", b"123")], **fields)
    assert (found.status, found.json["error"]) == (422, sentence)


def test_files_are_in_parts_named_files(asked: Client) -> None:
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n1\r\n--{BOUNDARY}--\r\n'
    found = asked("POST", IMAGES, body.encode(), content_type=f"multipart/form-data; boundary={BOUNDARY}")
    assert (found.status, found.json["error"]) == (
        422, "a file is named 'image': send each file as a part named files")  # fmt: skip
    bare = body.replace('name="image"; filename="a"', 'name="files"')
    found = asked("POST", IMAGES, bare.encode(), content_type=f"multipart/form-data; boundary={BOUNDARY}")
    assert found.json["error"] == "a part named files has no filename: send it as a file"
    assert asked("POST", f"{IMAGES}?tpo=1", b"1", content_type="image/png").status == 422


def test_strangers_words_are_cut(asked: Client) -> None:
    long = "x" * 200_000
    for found in (asked.json(ROWS, {"rows": [{long: 1}]}), asked.json(ROWS, {long: 1}),
                  asked("GET", f"/api/models/{long}"), asked(long, "/api/models")):  # fmt: skip
        assert 400 <= found.status < 500
        assert len(found.body) < 400


def test_headers_that_can_be_read_in_two_ways_are_refused(asked: Client) -> None:
    assert asked.json(ROWS, {"rows": [{"rent": 1}]}, origin="http://[::1").status == 400
    both = asked.json(ROWS, {"rows": [{"rent": 1}]}, content_length="5", transfer_encoding="chunked")
    assert (both.status, both.headers["connection"]) == (400, "close")


def test_the_token_s_scheme_may_be_written_in_any_case_and_pages_need_none() -> None:
    made = client(token="open-sesame")
    for scheme, status in (("bearer", 200), ("BEARER ", 200), ("Basic", 401), ("", 401)):
        assert made("GET", "/api/models", authorization=f"{scheme} open-sesame").status == status
    assert made("GET", "/v2").status == made("GET", "/metrics").status == made("GET", "/v2/models/x").status == 401
    assert made("GET", "/apidocs.js").status == made("GET", "/v2.html").status == 404
    made.close()


def test_half_a_character_is_named(asked: Client) -> None:
    found = asked("POST", ROWS, b'{"rows": [{"town": "\\ud800"}]}', content_type="application/json")
    assert (found.status, "half a character" in found.json["error"]) == (400, True)
    whole = asked("POST", ROWS, b'{"rows": [{"town": "\\ud83d\\ude00"}]}', content_type="application/json")
    assert whole.status == 200


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_an_image_s_sides_are_limited_before_it_is_decoded() -> None:
    about = About(name="a", kind="images", version="1", engine="torch", precision="fp32", details={"blocks": []})
    read: list[int] = []

    def reading(payload: bytes) -> tuple[np.ndarray, list[str]]:
        read.append(len(payload))
        return np.zeros((1, 1, 1), np.uint8), []

    one = Images(about, read=reading, values=None, max_pixels=2**26, blank=np.zeros((1, 1, 1)), net=None)
    tall = picture(1, 65_536)
    assert size_of(tall, 2**26) == (1, 65_536)
    with pytest.raises(Refused, match="at most 65,535 pixels on a side, got 1 x 65,536"):
        one.prepare(tall, {})
    assert not read
    one.prepare(picture(1, 65_535), {"pixels": Budget(10)})
    assert len(read) == 1


def test_pixels_in_work_are_limited_over_all_threads() -> None:
    """Of a budget of 10, images of 6 and 6 pixels take turns, one of 4 fits beside; one of 99 waits for all."""
    budget, now, most = Budget(10), [0], [0]
    lock = threading.Lock()

    def work(pixels: int) -> None:
        with budget.taking(pixels):
            with lock:
                now[0] += min(pixels, 10)
                most[0] = max(most[0], now[0])
            time.sleep(0.005)
            with lock:
                now[0] -= min(pixels, 10)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (6, 6, 4, 99, 4, 6) * 4]
    for one in threads:
        one.start()
    for one in threads:
        one.join(10)
    assert most[0] == 10
    assert budget.free == 10


def test_when_the_time_for_stopping_is_over_what_waits_is_answered_503() -> None:
    async def whole() -> None:
        model = Lengths()
        model.gate.clear()
        house = House(Settings(), {"m": (Place(name="m", folder=Path("none")), model)})
        work = asyncio.ensure_future(house.ask(house.models["m"], model, [b"1"], {}))
        await asyncio.sleep(0.05)
        house.give_up()
        with pytest.raises(Refused, match="the server stops") as refused:
            await work
        assert refused.value.status == 503
        model.gate.set()
        await house.close()

    from asgi import finished

    finished(whole())
