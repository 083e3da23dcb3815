"""An exported net for images predicts as its run does, without torch; what is damaged or wrong is one sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exported import export_colors, export_net
from PIL import Image
from quick import QUICK

import reslab
from reslab.cli import say
from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.calibrate import described
from reslab.images.data import load
from reslab.images.model import Predictor
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.ship.export.job import export
from reslab.ship.export.subjects import subject
from reslab.ship.folder import seal
from reslab.ship.predict.images import MOST_THREADS, SMALL, threads_for
from reslab.train.cores import usable_cores
from reslab.train.recipe import change

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")
ENGINES = ("openvino", "onnx")


@pytest.fixture(scope="module", params=ENGINES)
def colors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_colors(tmp_path_factory.mktemp("colors") / request.param, engine=request.param, temperature=2.0)


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, (red, green, blue))


def test_the_probabilities_are_those_of_the_scores_over_the_temperature(colors: Path) -> None:
    """Scores 10, 20 and 0 of the channels 100, 200 and 0, over the temperature 2: softmax of 5, 10, 0."""
    model = reslab.predict(colors)
    found = model(plain(100, 200, 0))
    e = np.exp([5.0, 10.0, 0.0])
    assert np.allclose(found.values, e / e.sum(), rtol=1e-5, atol=0)
    assert found.values.dtype == np.float64
    assert (found.class_name, found.calibration) == ("green", "calibrated by hand")
    assert repr(model) == "<predicts 3 classes of RGB 6x8; calibrated by hand>"


def test_all_that_a_run_takes_for_an_image_is_taken(colors: Path, tmp_path: Path) -> None:
    """One color at any size, as a file, bytes, a picture, arrays and tensors: the same answer."""
    model = reslab.predict(colors, threads=1)
    image = plain(50, 0, 90, size=(40, 30))
    image.save(tmp_path / "a.png")
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    given: list[Any] = [tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), image, array, tensor, tensor / 255]
    found = model(given, batch=4)
    assert [one.class_name for one in found] == ["blue"] * 6
    assert all(np.array_equal(one.values, found[0].values) for one in found)
    assert found[0].file == str(tmp_path / "a.png")
    assert len(model(torch.stack([tensor] * 3))) == 3


def test_several_labels_have_a_probability_each(tmp_path: Path) -> None:
    """sigmoid(0) is a half, sigmoid(20) nearly 1."""
    model = reslab.predict(export_colors(tmp_path / "several", several=True))
    found = model(plain(0, 200, 0))
    assert found.values[0] == found.values[2] == 0.5
    assert 1 - found.values[1] == pytest.approx(np.exp(-20.0), rel=1e-3)
    assert found.labels == ("green", "red", "blue")


def test_a_mirror_image_has_half_a_say(colors: Path) -> None:
    """These scores do not depend on where a color is, so the mean of both is the same."""
    model = reslab.predict(colors)
    x = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    for one, flipped in zip(model(x), model(x, tta="flip"), strict=True):
        assert np.allclose(one.values, flipped.values, rtol=1e-4)


def test_mirror_images_are_refused_where_the_mean_has_sides(tmp_path: Path) -> None:
    model = reslab.predict(export_colors(tmp_path / "colors", flip=False))
    with pytest.raises(UsageError, match=r'mean of each pixel, .* set tta="none" or predict with the run'):
        model(plain(1, 2, 3), tta="flip")


def test_broken_images_are_named(colors: Path, tmp_path: Path) -> None:
    model = reslab.predict(colors)
    (tmp_path / "b.png").write_bytes(b"nothing")
    plain(9, 9, 9).save(tmp_path / "a.png")
    with pytest.raises(BrokenImage, match=r"b\.png"):
        model([tmp_path / "a.png", tmp_path / "b.png"])
    parts = list(model.stream([tmp_path / "b.png", tmp_path / "a.png"], batch=1))
    assert [(part.index, len(part.broken), part.done) for part in parts] == [([], 1, 1), ([1], 0, 2)]
    assert model([]) == []


@pytest.mark.parametrize(("options", "sentence"), [
    ({"precision": "bf16"}, "precision must be auto or fp32, in which the model was exported, got 'bf16'; export it "
                            "again for another"),
    ({"tta": "twice"}, "tta must be none or flip, got 'twice'"),
    ({"batch": 0}, "batch must be positive, got 0"),
    ({"workers": -1}, "workers must be zero or more, got -1"),
])  # fmt: skip
def test_wrong_options_are_refused(colors: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        reslab.predict(colors)(plain(1, 2, 3), **options)
    assert str(error.value) == sentence


def test_the_device_is_the_processor(colors: Path) -> None:
    assert reslab.predict(colors, device="cpu")(plain(255, 0, 0)).class_name == "red"
    with pytest.raises(UsageError, match='which runs on the CPU: leave out device="cuda"'):
        reslab.predict(colors, device="cuda")
    with pytest.raises(UsageError, match="threads must be zero or more, got -1"):
        reslab.predict(colors, threads=-1)
    with pytest.raises(UsageError, match="/gone: no such folder"):
        reslab.predict(colors / "gone")


@pytest.mark.parametrize(("key", "value", "sentence"), [
    ("classes", ["red"], "it names 1 classes, and the graph gives scores of the shape (None, 3)"),
    ("classes", [], "classes must be a list, got an empty list"),
    ("shape", [2, 6, 8], ".shape"),
    ("shape", [3, 0, 8], "a whole number of at least 1"),
    ("temperature", 0, "temperature must be a number of above 0"),
    ("reading", {}, "reading lacks options"),
    ("reading", {"options": {"interpolation": "cubic"}}, "interpolation in data.json must be bilinear or bicubic"),
    ("calibration", None, "calibration must be a text, got null"),
])  # fmt: skip
def test_a_config_that_cannot_be_is_one_sentence(tmp_path: Path, key: str, value: Any, sentence: str) -> None:
    folder = export_colors(tmp_path / "colors")
    config = json.loads((folder / "config.json").read_text())
    config["about"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    seal(folder)
    with pytest.raises(ReslabError) as error:
        reslab.predict(folder)
    assert sentence in str(error.value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two classes of noise of several sizes, among them gray and 16-bit images, and a net of 4 updates."""
    root, noise = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for k, name in enumerate(("ant", "bee")):
        (root / name).mkdir()
        for i in range(8):
            pixels = noise.integers(0, 128, (20 + i, 30 - i, 3), dtype=np.uint8) + np.uint8(100 * k)
            Image.fromarray(pixels).convert(("RGB", "RGB", "L", "CMYK")[i % 4]).save(root / name / f"{i}.jpg")
        Image.fromarray(noise.integers(0, 4096, (25, 25), dtype=np.uint16)).save(root / name / "deep.png")
    data = load(str(root), size=16)
    recipe = change(QUICK, iterations=4, batch=8, validation=6, mean="channel")
    made = prepare(tmp_path_factory.mktemp("runs") / "run", net=spec("resnet8"), data=data, word=str(root),
                   recipe=recipe, options={"size": 16})  # fmt: skip
    train(made.folder, data=data, device="cpu")
    return made


@pytest.mark.parametrize("engine", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def test_an_exported_net_predicts_as_its_run(run: Run, engine: Any, tmp_path: Path) -> None:
    net = reslab.load(run.folder)
    about = run.read_json("data.json")
    export_net({engine: tmp_path / "out"}, net, net.preprocess, classes=about["classes"],
               temperature=net.predict.temperature, calibration=str(net.predict.calibration),
               reading={key: about[key] for key in ("options", "gray") if key in about})  # fmt: skip
    files = sorted(Path(about["word"]).rglob("*.*"))
    wanted = net.predict(files, tta="flip")
    found = reslab.predict(tmp_path / "out")(files, tta="flip", batch=7)
    assert [one.file for one in found] == [one.file for one in wanted]
    assert found.notes == wanted.notes
    assert found.calibration == wanted.calibration
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one.values - other.values).max() < 1e-4


def test_a_run_folder_gives_the_runs_own_predictor(run: Run) -> None:
    model, x = reslab.predict(run.folder), np.full((20, 20, 3), 77, np.uint8)
    assert isinstance(model, Predictor)
    assert np.array_equal(model(x).values, reslab.load(run.folder).predict(x).values)
    assert model.chosen("fp32") == "fp32"


@pytest.mark.parametrize("engine", ENGINES)
def test_torch_is_not_imported(engine: Any, tmp_path: Path) -> None:
    """Nor is any other package that takes long; in Python and on the command line."""
    folder = export_colors(tmp_path / "model", engine=engine)
    for i in range(3):
        plain(i, 9, 9).save(tmp_path / f"{i}.png")
    code = f"""
import sys, reslab
from reslab.cli import main
found = reslab.predict({str(folder)!r})([{str(tmp_path / "0.png")!r}] * 3, tta="flip")
assert main(["predict", {str(folder)!r}, {str(tmp_path)!r}, "--out", {str(tmp_path / "p.csv")!r}]) == 0
slow = ("torch", "sklearn", "scipy", "pandas", "plotly", "pyarrow", "transformers", "tokenizers", "nncf", "onnx")
print([name for name in slow if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "p.csv").read_text().count("\n") == 4


def test_the_command_line_words_how_to_calibrate_as_for_a_run(tmp_path: Path) -> None:
    """The folder stores the sentence as Python words it."""
    stored = "not calibrated: no validation part (set validation=0.1)"
    assert described({}) == stored
    folder = export_colors(tmp_path / "out", calibration=stored)
    found = reslab.predict(folder).calibration
    assert found == stored
    assert say.words(found) == "not calibrated: no validation part (set --validation 0.1)"


def test_small_images_are_decoded_without_threads(tmp_path: Path) -> None:
    """Handing a small image to a thread takes longer than decoding it; several large ones are decoded side by side."""
    (tmp_path / "large.jpg").write_bytes(bytes(SMALL))
    large, small = tmp_path / "large.jpg", bytes(SMALL - 1)
    assert threads_for([large, large]) == min(usable_cores(), MOST_THREADS)
    assert threads_for([large]) == threads_for([small] * 100) == 0


def test_a_net_that_is_no_run_is_exported_with_data_and_predicts(tmp_path: Path) -> None:
    """Its data have no limit of pixels of their own."""
    made = subject("net:resnet8", data="digits")
    export(made, out=tmp_path / "out", to="onnx", precision="fp32", samples=20)
    image = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)
    scores = made.reference(0, {"images": image[None, ..., None]})["scores"][0]
    found = reslab.predict(tmp_path / "out")(Image.fromarray(image))
    assert found.class_name == str(scores.argmax())
