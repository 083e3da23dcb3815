"""Runs in torch that are served: their answers are those of `predict`; new versions are taken, damaged ones refused."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asgi import Client
from PIL import Image
from safetensors.torch import load_file, save_file

import reslab
from reslab import look
from reslab.errors import UsageError
from reslab.ship.serve.reload import Reloader
from reslab.ship.serve.servable import place, places
from reslab.ship.serve.settings import Settings
from reslab.ship.serve.versions import version
from reslab.ship.serve.workers import build

FOLDERS = Path(__file__).parents[2] / "golden" / "folders"


@contextlib.contextmanager
def served(*folders: Path | str, **settings: Any) -> Iterator[tuple[Client, Any]]:
    app, _ = build(places(list(map(str, folders))), Settings(threads=1, **settings))
    made = Client(app)
    app.state.reloader = Reloader(app.state.house, threads=1)
    yield made, app.state.reloader
    made.close()


def png(seed: int = 0, size: tuple[int, int] = (8, 8)) -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def images() -> Iterator[Client]:
    with served(f"digits={FOLDERS / 'images-finished'}") as (client, _):
        yield client


def test_images_are_predicted_as_in_python(images: Client) -> None:
    files = [(f"{k}.png", png(k)) for k in range(5)] + [("wide.png", png(9, (20, 40)))]
    found = images.files("/api/models/digits/images", files, top="10").json["predictions"]
    net = reslab.load(FOLDERS / "images-finished")
    for (name, data), one in zip(files, found, strict=True):
        expected = net.predict(data)
        assert (one["file"], one["labels"]) == (name, [expected.class_name])
        for each in one["classes"]:
            assert each["probability"] == pytest.approx(expected.probabilities[each["name"]], abs=1e-6)


def test_a_disabled_block_gives_what_an_intervention_gives(images: Client) -> None:
    about = images("GET", "/api/models/digits").json
    assert [one["name"] for one in about["blocks"]][:2] == ["stages.0.0", "stages.1.0"]
    data, name = png(3), "stages.0.0"
    [one] = images.files("/api/models/digits/images", [("a", data)], top="10", disable=name).json["predictions"]
    net = reslab.load(FOLDERS / "images-finished")
    merges = look.find(net, torch.zeros(2, *net.predict.preprocess.shape))
    with look.intervene(net, merges, {name: look.silence()}):
        expected = net.predict(data).probabilities
    assert {each["name"]: each["probability"] for each in one["classes"]} == pytest.approx(expected, abs=1e-6)
    [intact] = images.files("/api/models/digits/images", [("a", data)], top="10").json["predictions"]
    assert intact != one
    wrong = images.files("/api/models/digits/images", [("a", data)], disable="stages.0.9")
    assert (wrong.status, "no block 'stages.0.9'" in wrong.json["error"]) == (422, True)


def test_clients_are_not_told_of_options_that_they_cannot_set(images: Client) -> None:
    """`reslab predict` says of this run: not calibrated: no validation part (set --validation 0.1)."""
    assert str(reslab.load(FOLDERS / "images-finished").predict.calibration).endswith("(set validation=0.1)")
    found = images("GET", "/api/models/digits").json["calibration"]
    assert found == "not calibrated: the model was trained without a validation part"


def test_an_image_of_too_many_pixels_is_refused_by_its_header() -> None:
    with served(f"digits={FOLDERS / 'images-finished'}", max_pixels=100) as (client, _):
        found = client.files("/api/models/digits/images", [("big.png", png(0, (20, 20)))])
        assert found.status == 422
        assert found.json["error"].startswith("big.png: it has more than 100 pixels")


def test_no_image_is_a_sentence(images: Client) -> None:
    found = images.files("/api/models/digits/images", [("a.jpg", b"\xff\xd8\xff\xe0"), ("b", b""), ("c", b"text")])
    assert found.status == 422
    reasons = {one["file"]: one["reason"] for one in found.json["broken"]}
    assert (list(reasons), reasons["b"]) == (["a.jpg", "b", "c"], "it is empty")
    assert found.json["error"] == f"a.jpg: {reasons['a.jpg']} (3 files, all refused)"


def test_rows_are_predicted_as_in_python_whatever_others_ask() -> None:
    with served(f"rooms={FOLDERS / 'tables-finished'}") as (client, _):
        about = client("GET", "/api/models/rooms").json
        fields = [field["name"] for field in about["fields"]]
        rows = [{"town": "Tarn", "area": 50, "floor": 1, "rent": 400.5, "features": ["lift"], "listed": "2024-05-01"},
                {"town": "unheard of", "area": None}]  # fmt: skip
        found = client.json("/api/models/rooms/rows", {"rows": rows})
        assert found.status == 200, found.json
        model = reslab.tables.load(FOLDERS / "tables-finished")
        whole = [{name: row.get(name) for name in fields} for row in rows]
        with pytest.warns(UserWarning, match="town"):
            expected = model.predict_proba(whole)
        for one, each in zip(found.json["predictions"], expected, strict=True):
            assert list(one["probabilities"].values()) == pytest.approx(each.tolist())
            assert one["predicted"] == about["classes"][int(each.argmax())]
        assert any("town" in note for note in found.json["notes"])
        for wrong in ([{"tow": 1}], [], [1], [{}], "x", [{"town": {"a": 1}}], [{"area": 10**400}]):
            assert client.json("/api/models/rooms/rows", {"rows": wrong}).status in (400, 422)
        inputs = [{"name": "town", "datatype": "BYTES", "shape": [2], "data": ["Tarn", "Holm"]},
                  {"name": "area", "datatype": "FP64", "shape": [2, 1], "data": [50, None]}]  # fmt: skip
        outputs = client.json("/v2/models/rooms/infer", {"inputs": inputs}).json["outputs"]
        assert [(one["name"], one["shape"]) for one in outputs] == [("probabilities", [2, 2]), ("predicted", [2])]


def test_questions(colors: Path) -> None:
    """The net of colors: crimson before green before blue, whatever is asked."""
    with served(f"colors={colors}") as (client, _):
        contexts = ["the color is green", "is the color crimson"]
        found = client.json("/api/models/colors/ask", {"question": "What color?", "contexts": contexts, "top": 2})
        assert [one["text"] for one in found.json["answers"]] == ["crimson", "green"]
        first = found.json["answers"][0]
        assert contexts[first["document"]][first["start"] : first["end"]] == "crimson"
        inputs = [{"name": "question", "datatype": "BYTES", "shape": [2], "data": ["what?", "what?"]},
                  {"name": "context", "datatype": "BYTES", "shape": [2], "data": contexts}]  # fmt: skip
        outputs = client.json("/v2/models/colors/infer", {"inputs": inputs}).json["outputs"]
        assert outputs[0]["data"] == ["green", "crimson"]
        for wrong in ({}, {"question": "", "contexts": ["a"]}, {"question": "a", "contexts": []},
                      {"question": "a", "contexts": [1]}, {"question": "a", "contexts": [" "]}):  # fmt: skip
            assert client.json("/api/models/colors/ask", wrong).status == 422


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS / "images-finished", tmp_path / "run"))


def test_a_new_version_is_taken_and_a_damaged_one_refused(copied: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "reslab.serve")
    with served(f"m={copied}") as (client, reloader):
        load, data = "/v2/repository/models/m/load", png(1)
        first = client.files("/api/models/m/images", [("a", data)]).json
        assert client("POST", load).status == 200  # nothing is new
        weights = load_file(copied / "weights.safetensors")
        save_file({name: tensor * 0.9 for name, tensor in weights.items()}, copied / "weights.safetensors",
                  metadata=metadata(FOLDERS / "images-finished" / "weights.safetensors"))  # fmt: skip
        assert client("POST", load).status == 200
        second = client.files("/api/models/m/images", [("a", data)]).json
        assert first["version"] != second["version"] == version(copied)
        assert first["predictions"] != second["predictions"]
        (copied / "weights.safetensors").write_bytes(b"damaged")
        refused = client("POST", load)
        assert refused.status == 409
        assert str(copied) not in refused.json["error"]
        assert "stays" in caplog.text
        assert client.files("/api/models/m/images", [("a", data)]).json["version"] == second["version"]
        shutil.copy(FOLDERS / "images-finished" / "weights.safetensors", copied)
        client.loop.run_until_complete(reloader.check("m"))
        assert client.files("/api/models/m/images", [("a", data)]).json["predictions"] == first["predictions"]


def metadata(path: Path) -> dict[str, str] | None:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        found: dict[str, str] | None = file.metadata()
        return found


def test_a_moved_symlink_is_a_new_version_and_is_found_by_looking(copied: Path, tmp_path: Path) -> None:
    import asyncio

    other = Path(shutil.copytree(copied, tmp_path / "other"))
    (other / "data.json").write_text((other / "data.json").read_text() + "\n")
    link = tmp_path / "current"
    link.symlink_to(copied)
    with served(f"m={link}") as (client, reloader):

        async def watched() -> None:
            task = asyncio.ensure_future(reloader.watch(0.02))
            await asyncio.sleep(0.1)
            link.unlink()
            link.symlink_to(other)
            for _ in range(200):
                if client.app.state.house.models["m"].current.about.version == version(other):
                    break
                await asyncio.sleep(0.05)
            task.cancel()

        client.loop.run_until_complete(watched())
        assert client("GET", "/api/models/m").json["version"] == version(other)


def test_a_folder_that_changed_while_the_server_started_is_found_by_looking(copied: Path) -> None:
    import asyncio

    with served(f"m={copied}") as (client, _):
        (copied / "data.json").write_text((copied / "data.json").read_text() + "\n")
        reloader = Reloader(client.app.state.house, threads=1)

        async def watched() -> None:
            task = asyncio.ensure_future(reloader.watch(0.02))
            for _ in range(200):
                if client.app.state.house.models["m"].current.about.version == version(copied):
                    break
                await asyncio.sleep(0.05)
            task.cancel()

        client.loop.run_until_complete(watched())
        assert client("GET", "/api/models/m").json["version"] == version(copied)


def test_names(tmp_path: Path) -> None:
    run = FOLDERS / "images-finished"
    assert place(f"cats={run}").name == "cats"
    assert place(str(run)).name == "images-finished"
    odd = tmp_path / "a b=c"
    odd.mkdir()
    assert place(str(odd)).name == "a-b-c"
    for word, sentence in ((f"{tmp_path}/none", "no such folder"), (f"a/b={run}", "may have letters")):
        with pytest.raises(UsageError, match=sentence):
            place(word)
    with pytest.raises(UsageError, match="two folders would be served as 'a'"):
        places([f"a={run}", f"a={run}"])
