"""The Open Inference Protocol, asked in this process with JSON and with the binary extension."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from asgi import Client, client

from reslab.ship.serve.app import ROUTES

INFER = "/v2/models/lengths/infer"


@pytest.fixture(scope="module")
def asked() -> Iterator[Client]:
    made = client()
    yield made
    made.close()


def images(shape: list[int], data: Any, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "images", "datatype": "UINT8", "shape": shape, "data": data}], **more}


def test_health_and_metadata(asked: Client) -> None:
    assert asked("GET", "/v2").json["name"] == "reslab"
    assert asked("GET", "/v2/health/live").status == asked("GET", "/v2/health/ready").status == 200
    assert asked("GET", "/v2/models/lengths/versions/v1/ready").json == {"name": "lengths", "ready": True}
    assert asked("GET", "/v2/models/lengths/versions/v2").status == 404
    found = asked("GET", "/v2/models/lengths").json
    assert found["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert found["outputs"][0] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}


def test_pixels_in_json(asked: Client) -> None:
    """Two images of 1 x 1 x 3: the model's class is the number of their values, 3."""
    found = asked.json(INFER, images([2, 1, 1, 3], [[[[1, 2, 3]]], [[[4, 5, 6]]]], id="a7"))
    assert found.status == 200
    assert (found.json["id"], found.json["model_name"], found.json["model_version"]) == ("a7", "lengths", "v1")
    probabilities, label = found.json["outputs"]
    assert (probabilities["shape"], probabilities["data"]) == ([2, 10], [0, 0, 0, 1, 0, 0, 0, 0, 0, 0] * 2)
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["c3", "c3"]}


def test_files_in_json_and_one_output(asked: Client) -> None:
    data = [base64.b64encode(b"12345").decode()]
    body = {"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": data}],
            "outputs": [{"name": "label"}]}  # fmt: skip
    assert [one["data"] for one in asked.json(INFER, body).json["outputs"]] == [["c5"]]


def test_the_binary_extension_both_ways(asked: Client) -> None:
    files = b"".join(struct.pack("<I", len(one)) + one for one in (b"12", b"1234567"))
    head = json.dumps({
        "inputs": [{"name": "images", "datatype": "BYTES", "shape": [2],
                    "parameters": {"binary_data_size": len(files)}}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}],
    }).encode()  # fmt: skip
    found = asked("POST", INFER, head + files, inference_header_content_length=str(len(head)))
    length = int(found.headers["inference-header-content-length"])
    probabilities, label = json.loads(found.body[:length])["outputs"]
    values = np.frombuffer(found.body[length:], "<f4").reshape(probabilities["shape"])
    assert probabilities["parameters"] == {"binary_data_size": 2 * 10 * 4}
    assert values.argmax(axis=1).tolist() == [2, 7]
    assert label["data"] == ["c2", "c7"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (images([1, 1, 1, 3], [1, 2]), "input 'images' of shape [1, 1, 1, 3] needs 3 elements, got 2"),
        (images([1, 1, 1, 3], [1, 2, 256]), "input 'images' must hold numbers of the datatype UINT8"),
        (images([1, 1, 1, 3], [1, 2, 2.5]), "input 'images' must hold numbers of the datatype UINT8"),
        (images([1, 1, 1, 3], [[1, 2], 3]), "input 'images' must hold numbers of the datatype UINT8"),
        (images([1, 1, 3], [1, 2, 3]),
         "images must be UINT8 of shape [N, H, W, 3], or BYTES: files; got UINT8 of shape [1, 1, 3]"),
        (images([-1], []), "input 'images' must have a shape: a list of 1 to 8 lengths"),
        (images([10**18, 1, 1, 3], [1]), "input 'images' has a length beyond 2,147,483,647 in its shape"),
        (images([0, 2**63 - 1, 1, 3], []), "input 'images' has a length beyond 2,147,483,647 in its shape"),
        (images([0, 10**30, 1, 3], []), "input 'images' has a length beyond 2,147,483,647 in its shape"),
        (images([0, 2**62, 2**62, 3], []), "input 'images' has a length beyond 2,147,483,647 in its shape"),
        (images([0, 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1], []), None),
        ({"inputs": [{"name": "x" * 10**5, "datatype": "UINT8", "shape": [1], "data": [1]}]},
         f"the model has no input '{'x' * 100}...'; it takes images"),
        (images([1, 1, 1, 3], [1, 2, 3], outputs=[{"name": "labels"}]),
         "the model has no output 'labels'; did you mean 'label'?; it gives probabilities, label"),
        ({"inputs": []}, None), ({"inputs": [1]}, None), ({}, None), ({"inputs": [{"name": "images"}]}, None),
        ({"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": ["*"]}]},
         "images of the datatype BYTES are files, in JSON as base64"),
    ],
)  # fmt: skip
def test_wrong_requests(asked: Client, body: dict[str, Any], sentence: str | None) -> None:
    found = asked.json(INFER, body)
    assert found.status == 400
    assert list(found.json) == ["error"]
    if sentence:
        assert found.json["error"] == sentence


@pytest.mark.parametrize("length", ["-1", "99999", "x", "2"])
def test_a_lying_header_of_the_binary_extension(asked: Client, length: str) -> None:
    assert asked("POST", INFER, b'{"inputs": []}', inference_header_content_length=length).status == 400


def test_metrics_and_docs_name_every_route(asked: Client) -> None:
    asked.json(INFER, images([1, 1, 1, 3], [1, 2, 3]))
    asked("GET", "/whatever/a/b")
    text = asked("GET", "/metrics").body.decode()
    assert 'reslab_requests_total{model="lengths",route="/v2/models/{name}/infer",status="200"}' in text
    assert 'route="other",status="404"' in text
    assert "whatever" not in text
    assert 'reslab_batch_size_count{model="lengths"}' in text
    assert 'reslab_model_info{engine="torch",kind="images",model="lengths",precision="fp32",version="v1"} 1.0' in text
    document = asked("GET", "/openapi.json").json
    assert document["openapi"] == "3.1.0"
    shown = [route for _, route, _ in ROUTES if route not in ("/", "/docs", "/{file}")]
    assert list(document["paths"]) == list(dict.fromkeys(shown))
    assert asked("GET", "/docs").headers["content-type"] == "text/html; charset=utf-8"


def test_every_reference_of_the_document_leads_somewhere(asked: Client) -> None:
    document = asked("GET", "/openapi.json").json
    names = {one.split('"')[0] for one in json.dumps(document).split("#/components/schemas/")[1:]}
    assert names == set(document["components"]["schemas"])
    operations = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(operations) == len(set(operations))
