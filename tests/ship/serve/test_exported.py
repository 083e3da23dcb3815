"""Exported folders that are served: without torch, with the answers of `reslab.predict`, replaced under load."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from asgi import Client
from exported import export_colors
from PIL import Image

import reslab
from reslab.ship.serve.reload import Reloader
from reslab.ship.serve.servable import places
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import build

pytest.importorskip("openvino")
IMAGES = "/api/models/colors/images"
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
from reslab.ship.serve.servable import places
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.workers import build
app, _ = build(places(sys.argv[1:]), Settings(threads=1))
print(app.state.house.models["colors"].current.about.engine)
"""


def colored(red: int, green: int, blue: int, size: tuple[int, int] = (8, 6)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_colors(tmp_path_factory.mktemp("colors") / "one", temperature=2.0)


@pytest.fixture
def asked(folder: Path) -> Iterator[Client]:
    app, _ = build(places([f"colors={folder}"]), Settings(threads=1))
    made = Client(app)
    yield made
    made.close()


def test_the_answers_are_those_of_predict(asked: Client, folder: Path) -> None:
    """Scores 10, 20 and 0 over the temperature 2: softmax of 5, 10 and 0. The second image is larger."""
    files = [("a.png", colored(100, 200, 0)), ("b.png", colored(0, 30, 90, (40, 33)))]
    found = asked.files(IMAGES, files, top="3").json
    e = np.exp([10.0, 5.0, 0.0])
    assert [one["probability"] for one in found["predictions"][0]["classes"]] == pytest.approx(e / e.sum(), rel=1e-5)
    model = reslab.predict(folder)
    for (_, data), one in zip(files, found["predictions"], strict=True):
        expected = dict(model(data).top(3))
        assert {each["name"]: each["probability"] for each in one["classes"]} == pytest.approx(expected, rel=1e-6)
    about = asked("GET", "/api/models/colors").json
    assert (about["engine"], about["precision"], about["blocks"]) == ("openvino", "fp32", [])
    assert about["version"] == model.version[:12]
    refused = asked.files(IMAGES, files, disable="layer1.0")
    assert refused.status == 422
    assert "no block of colors can be disabled" in refused.json["error"]


def test_pixels_by_the_open_inference_protocol(asked: Client) -> None:
    pixels = np.zeros((2, 6, 8, 3), np.uint8)
    pixels[0, ..., 2] = pixels[1, ..., 0] = 250
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(pixels.shape), "data": pixels.tolist()}
    found = asked.json("/v2/models/colors/infer", {"inputs": [tensor], "outputs": [{"name": "label"}]}).json
    assert found["outputs"][0]["data"] == ["blue", "red"]


def test_no_torch_is_needed(folder: Path) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    found = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, f"colors={folder}"], capture_output=True, text=True,
                           env={**os.environ, "PYTHONPATH": path}, timeout=120)  # fmt: skip
    assert (found.stdout, found.returncode) == ("openvino\n", 0), found.stderr


def expected(temperature: float) -> float:
    """The probability of the second of the scores 10, 20 and 0."""
    e = np.exp(np.array([10.0, 20.0, 0.0]) / temperature)
    return round(float(e[1] / e.sum()), 6)


def test_a_new_version_is_taken_under_load_without_a_gap(folder: Path, tmp_path: Path) -> None:
    """Four clients ask all the time while the folder is replaced: nothing fails, and each answer is one version's."""
    served = Path(shutil.copytree(folder, tmp_path / "served"))
    new = export_colors(tmp_path / "new", temperature=50.0)
    app, _ = build(places([f"colors={served}"]), Settings(threads=1))
    client, reloader = Client(app), Reloader(app.state.house, threads=1)
    data, seen = colored(100, 200, 0), list[tuple[str, float]]()

    async def load(done: asyncio.Event) -> None:
        while not done.is_set():
            found = await client.ask("POST", f"{IMAGES}?top=1", data, content_type="image/png")
            assert found.status == 200
            seen.append((found.json["version"], found.json["predictions"][0]["classes"][0]["probability"]))

    async def replaced() -> None:
        done = asyncio.Event()
        tasks = [asyncio.ensure_future(load(done)) for _ in range(4)]
        await asyncio.sleep(0.1)
        (served / "model.bin").write_bytes(b"damaged")
        assert "does not match its checksum" in await reloader.check("colors")
        shutil.copytree(new, served, dirs_exist_ok=True)
        assert await reloader.check("colors") == ""
        await asyncio.sleep(0.1)
        done.set()
        await asyncio.gather(*tasks)

    client.loop.run_until_complete(replaced())
    client.close()
    probabilities: dict[str, set[float]] = {}
    for version, probability in seen:
        probabilities.setdefault(version, set()).add(round(probability, 6))
    assert len(probabilities) == 2
    assert all(len(one) == 1 for one in probabilities.values()), probabilities
    assert sorted(min(one) for one in probabilities.values()) == [expected(50.0), expected(2.0)]


def test_scores_that_are_not_finite_are_refused_not_answered(folder: Path) -> None:
    """The first class would be the most probable: no order holds among numbers that are none. The neighbor is right."""
    app, _ = build(places([f"colors={folder}"]), Settings(threads=1))
    hosted = app.state.house.models["colors"].current
    intact = hosted.values
    hosted.values = lambda pixels: np.where(np.stack(pixels).max(axis=(1, 2, 3))[:, None] == 0, np.nan, intact(pixels))
    asked = Client(app)
    one = asked.files(IMAGES, [("black.png", colored(0, 0, 0))])
    assert one.status == 422
    assert "black.png: the net's scores for it are not finite numbers" in one.json["error"]
    two = asked.files(IMAGES, [("black.png", colored(0, 0, 0)), ("b.png", colored(0, 200, 0))])
    assert two.status == 200
    assert ([each["file"] for each in two.json["predictions"]], two.json["broken"][0]["file"]) == (
        ["b.png"],
        "black.png",
    )
    asked.close()
