"""A run as a model: any image is read as the run's images were, and gets the scores that evaluating gives it."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from quick import QUICK
from strangers import mine
from torch import nn

import reslab
from reslab import nets
from reslab.errors import BrokenImage, ReslabError, ReslabWarning, UsageError
from reslab.images.data import ImageData, load
from reslab.images.evaluate import view_scores
from reslab.images.model import predictor
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.nets.predictions import Prediction, Predictions
from reslab.run import Run
from reslab.train.recipe import change
from reslab.train.tune import Choice

__all__ = ["mine"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of RGB JPEGs of several sizes, among them gray, CMYK, 16-bit, turned and transparent images."""
    root, noise = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for k, name in enumerate(("ant", "bee")):
        (root / name).mkdir()
        for i in range(10):
            pixels = noise.integers(0, 128, (20 + i, 30 - i, 3), dtype=np.uint8) + np.uint8(100 * k)
            image = Image.fromarray(pixels)
            exif = Image.Exif()
            exif[0x0112] = 1 + i % 8
            mode = ("RGB", "RGB", "L", "CMYK")[i % 4]
            image.convert(mode).save(root / name / f"{i}.jpg", exif=exif)
        Image.fromarray(noise.integers(0, 4096, (25, 25), dtype=np.uint16)).save(root / name / "deep.png")
        Image.fromarray(noise.integers(0, 256, (25, 25, 4), dtype=np.uint8)).save(root / name / "clear.png")
    return root


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = load(str(photos), size=16)
    made = prepare(tmp_path_factory.mktemp("runs") / "run", net=spec("resnet8"), data=data, word=str(photos),
                   recipe=change(QUICK, iterations=4, batch=8, validation=6), options={"size": 16})  # fmt: skip
    train(made.folder, data=data, device="cpu")
    return made


@torch.no_grad()
def test_an_image_gets_bit_for_bit_the_scores_that_evaluating_gives(run: Run, photos: Path) -> None:
    """In the same batches, and whether the part is in memory or not; a batch of one rounds differently in PyTorch."""
    net = reslab.load(run.folder)
    encoded, memory = load(str(photos), size=16, memory=0).test, load(str(photos), size=16).test
    files = [photos / encoded.name(i) for i in range(len(encoded))]
    for part in (encoded, memory):
        scores = torch.cat(list(view_scores(net, part, normalize=net.preprocess.normalize, device=torch.device("cpu"),
                                            crops=1, scales=(), pad=4, choice=Choice(), workers=0)))  # fmt: skip
        net.predict.temperature = 1.0
        found = net.predict(files)
        assert np.array_equal(np.stack([one.values for one in found]), scores.double().softmax(1).numpy())
    x = torch.stack([net.preprocess(file) for file in files])
    assert torch.equal(x, net.preprocess.normalize(memory.pixels))
    assert [one.file for one in found] == [str(file) for file in files]
    one = net.predict(files[0])
    assert one.class_name == found[0].class_name
    assert one.values == pytest.approx(found[0].values, abs=1e-5)
    direct = net(x).softmax(1).double().numpy()
    assert np.stack([one.values for one in found]) == pytest.approx(direct, abs=1e-5)


def test_the_same_image_in_every_form(run: Run, photos: Path, tmp_path: Path) -> None:
    net = reslab.load(run.folder)
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), Image.fromarray(pixels),
             Image.open(tmp_path / "a.png"), pixels, pixels / 255, x, x / 255, (x / 255).half()]  # fmt: skip
    found = net.predict(forms)
    for one in found:
        assert np.array_equal(one.values, found[0].values)
    for batch in (np.stack([pixels] * 10), torch.stack([x] * 10)):
        assert np.array_equal(net.predict(batch)[0].values, found[0].values)
    alone = net.predict(x)
    assert isinstance(alone, Prediction)
    assert np.array_equal(alone.values, net.predict([pixels])[0].values)
    assert torch.equal(net.preprocess(pixels), net.preprocess.normalize(x[None])[0])
    gray = net.predict([pixels[:, :, 0], x[0], x[:1], pixels[:, :, :1]])
    assert gray.notes == ("4 gray images read as RGB",)
    assert net.predict([]) == []


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (3, "an image must be a path, .*, or a list of these; got int"),
        ({"a": 1}, "got dict"),
        (
            np.zeros((3, 8, 9), np.uint8),
            r"an array must be \(H, W, C\), got \(3, 8, 9\); transpose\(1, 2, 0\) turns it",
        ),
        (np.zeros((5, 8, 8), np.uint8), r"a batch of gray images is \(N, H, W, 1\)"),
        (torch.zeros(8, 9, 3), r"a tensor must be \(C, H, W\), got \(8, 9, 3\); permute\(2, 0, 1\) turns it"),
        (torch.zeros(5, 8, 8), r"a tensor must be \(C, H, W\) with 1, 3 or 4 channels"),
        (torch.zeros(3), r"a tensor must be \(C, H, W\) or \(H, W\), got \(3,\)"),
        (
            torch.full((3, 8, 8), -2.0),
            r"floats must be from 0 to 1, got -2 to -2 \(already normalized\? call the model",
        ),
        (np.full((8, 8), 200.0), r"got 200 to 200; pixels from 0 to 255 must be uint8"),
        (np.full((8, 8), np.nan), "floats must be from 0 to 1, got nan"),
        (np.zeros((8, 8), np.int64), "pixels must be uint8, or floats from 0 to 1, got int64; convert the array first"),
        (np.zeros((0, 8), np.uint8), r"the array is empty: \(0, 8\)"),
        ("nope.jpg", "nope.jpg: no such file"),
        ("a\0b", "no such file"),
        (".", r"\. is a folder: give the list of its images"),
        ([["a.jpg"]], "got list"),
    ],
)
def test_what_is_no_image_is_refused(run: Run, image: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        reslab.load(run.folder).predict(image)


def test_a_broken_file_is_named(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes((photos / "ant" / "0.jpg").read_bytes()[:200])
    with pytest.raises(BrokenImage, match=r"broken image .*bad\.jpg: Truncated File Read; replace"):
        reslab.load(run.folder).predict([photos / "ant" / "0.jpg", tmp_path / "bad.jpg"])
    with pytest.raises(BrokenImage, match="broken image number 0: it is empty"):
        reslab.load(run.folder).predict(b"")


def test_a_prediction_names_its_classes(run: Run, photos: Path) -> None:
    net = reslab.load(run.folder)
    found = net.predict([photos / "ant" / "2.jpg", photos / "bee" / "deep.png"])
    assert net.classes == ("ant", "bee")
    assert isinstance(found, Predictions)
    first = found[0]
    assert sum(first.probabilities.values()) == pytest.approx(1)
    assert first.top(1) == [(first.class_name, first.probability)]
    assert [name for name, _ in first.top(5)] == sorted(net.classes, key=lambda name: -first.probabilities[name])
    assert first.labels == (first.class_name,)
    assert repr(first).startswith(f"<{photos}/ant/2.jpg: {first.class_name} {100 * first.probability:.1f} %, ")
    assert repr(found).startswith("2 predictions; calibrated: temperature ")
    assert "2 gray images read as RGB\n" in repr(found)
    assert list(found.rows()[0]) == ["file", "class", "probability", "p(ant)", "p(bee)"]
    assert list(found.frame()["class"]) == [one.class_name for one in found]
    with pytest.raises(UsageError, match="top must be at least 1, got 0"):
        first.top(0)


def test_of_several_labels_each_has_its_own_probability() -> None:
    one = Prediction(classes=("a", "b", "c"), values=np.array([0.6, 0.2, 0.9]), several=True)
    assert one.labels == ("c", "a")
    assert Predictions([one]).rows()[0]["class"] == "c|a"


def test_the_mirror_image_is_averaged(run: Run, photos: Path) -> None:
    net, file = reslab.load(run.folder), photos / "bee" / "1.jpg"
    x = net.preprocess(file)
    with torch.no_grad():
        p = (net(torch.stack([x, x.flip(2)])) / net.predict.temperature).softmax(1).mean(0)
    assert net.predict(file, tta="flip").values == pytest.approx(p.numpy(), abs=1e-5)
    for wrong in ({"tta": "rotate"}, {"batch": 0}, {"workers": -1}, {"precision": "fp16"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            net.predict(file, **wrong)


def test_workers_and_batches_change_nothing(run: Run, photos: Path) -> None:
    net = reslab.load(run.folder)
    files = sorted(photos.glob("*/*"))
    found = [net.predict(files, **how) for how in ({}, {"workers": 2, "batch": 5}, {"batch": 64, "workers": 0})]
    assert np.array_equal(found[0].frame().to_numpy()[:, 3:], found[2].frame().to_numpy()[:, 3:])
    for one, other in zip(found[0], found[1], strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-5)
    assert found[0].notes == found[1].notes
    for one, other in zip(found[0], net.predict(files, precision="bf16"), strict=True):
        assert one.values == pytest.approx(other.values, abs=0.05)  # of numbers with 8 bits


def test_a_gray_net_and_deep_gray(tmp_path: Path, photos: Path) -> None:
    """A kind of gray that training had keeps its white; another is scaled by each image, with a note."""
    for k, name in enumerate(("a/x", "a/y")):
        (tmp_path / name).mkdir(parents=True)
        for i in range(5):
            values = np.full((8, 8), 800 * k + 100 * i, np.uint16)
            values[0, 0] = 4095
            Image.fromarray(values).save(tmp_path / name / f"{i}.png")
    data = load(str(tmp_path / "a"))
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=data, word=str(tmp_path / "a"),
                  recipe=change(QUICK, iterations=1, batch=4))  # fmt: skip
    train(run.folder, data=data, device="cpu")
    net = reslab.load(run.folder)
    pixels, said = net.preprocess.pixels(tmp_path / "a" / "y" / "0.png")
    assert pixels[0, 1, 1] == round(800 * 255 / 4095)
    assert said == []
    Image.fromarray(np.full((8, 8), 100.0, np.float32)).save(tmp_path / "float.tiff")
    assert net.preprocess.pixels(tmp_path / "float.tiff")[1] == ["scale"]
    found = net.predict([tmp_path / "float.tiff", photos / "ant" / "0.jpg"])
    assert found.notes == (
        "1 color image converted to gray",
        "1 gray image of more than 8 bits scaled by its own values (there was none in training)",
    )


def test_of_an_animated_image_the_first_frame(run: Run, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = reslab.load(run.folder).predict([tmp_path / "a.gif", frames[0]])
    assert found.notes == ("1 animated image: only its first frame was read",)
    assert found[0].values == pytest.approx(found[1].values, abs=1e-6)


def test_the_model_stays_a_module(run: Run, photos: Path) -> None:
    net = reslab.load(run.folder)
    assert isinstance(net, nn.Module)
    assert net.match.how == "by name"
    assert "predict" not in net.state_dict()
    twin = copy.deepcopy(net)
    assert twin.predict.net is twin
    kept = pickle.loads(pickle.dumps(net))
    file = photos / "ant" / "1.jpg"
    with torch.no_grad():
        twin.head.bias += torch.tensor([0.0, 50.0])
    assert twin.predict(file).class_name == "bee"
    assert net.predict(file).probability == kept.predict(file).probability
    net.train()
    net.predict(file)
    assert all(module.training for module in net.modules())


def test_the_transform_of_a_data_set(run: Run, photos: Path) -> None:
    preprocess = pickle.loads(pickle.dumps(reslab.load(run.folder).preprocess))
    with Image.open(photos / "ant" / "3.jpg") as image:
        assert torch.equal(preprocess(image), preprocess(photos / "ant" / "3.jpg"))


def test_weights_beside_their_run_predict_and_a_checkpoint_alone_does_not(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    file, weights = photos / "ant" / "1.jpg", run.path("weights.safetensors")
    assert reslab.load(weights).predict(file).values.tolist() == reslab.load(run.folder).predict(file).values.tolist()
    (tmp_path / "mine.safetensors").write_bytes(weights.read_bytes())
    alone = reslab.load(tmp_path / "mine.safetensors")
    with pytest.raises(UsageError, match=r"mine\.safetensors is a checkpoint file, which does not say how its images"):
        alone.predict(file)


def test_a_run_that_lacks_a_file_is_loaded_and_says_why_it_cannot_predict(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    for name in ("spec.json", "data.json", "weights.safetensors"):
        (tmp_path / name).write_bytes(run.path(name).read_bytes())
    with pytest.raises(ReslabError, match=r"normalize\.json is missing"):
        reslab.load(tmp_path).predict(photos / "ant" / "1.jpg")


@pytest.mark.parametrize(
    ("change_to", "said"),
    [
        (
            {"shape": [3, 16]},
            r"data\.json or normalize\.json is damaged: images of shape \[3, 16\], means for 3 channels",
        ),
        ({"shape": [1, 16, 16]}, r"images of shape \[1, 16, 16\], means for 3 channels; restore"),
        ({"classes": ["ant"]}, r"data\.json is damaged: it names 1 classes, and the net has 2; restore a copy of it"),
        ({"gray": {"16-bit": [5, 5]}}, "black and white of gray images must be two numbers, the smaller first"),
    ],
)
def test_a_damaged_run_is_loaded_and_says_so(run: Run, tmp_path: Path, change_to: Any, said: str) -> None:
    for name in ("spec.json", "weights.safetensors", "normalize.json"):
        (tmp_path / name).write_bytes(run.path(name).read_bytes())
    Run(tmp_path).write_json("data.json", {**run.read_json("data.json"), **change_to})
    with pytest.raises(ReslabError, match=said) as caught:
        reslab.load(tmp_path).predict(np.zeros((8, 8), np.uint8))
    assert caught.value.exit_code == 1


def test_the_net_of_another_library_predicts(mine: Path, few: ImageData, tmp_path: Path) -> None:
    """Its scores in an object, as transformers gives them; what it calls predict itself stays."""
    own = "def clash(classes):\n    net = Pair(classes)\n    net.predict = 7\n    return net\n"
    mine.write_text(mine.read_text() + own)
    for function in ("pair", "clash"):
        run = prepare(tmp_path / function, net=nets.spec(f"{mine}:{function}"), data=few, word="digits",
                      recipe=change(QUICK, iterations=2))  # fmt: skip
        train(run.folder, data=few, device="cpu")
    net = reslab.load(tmp_path / "pair")
    pixels = few.test.pixels[:3]
    with torch.no_grad():
        direct = net(net.preprocess.normalize(pixels)).softmax(1).numpy()
    assert np.stack([one.values for one in net.predict(pixels)]) == pytest.approx(direct, abs=1e-6)
    with pytest.warns(ReslabWarning, match=r"the model's own predict stays; reslab\.images\.model\.predictor\(model, "):
        net = reslab.load(run.folder)
    assert net.predict == 7
    assert net.classes == few.classes
    assert predictor(net, run)(pixels)[0].classes == few.classes


def test_runs_of_questions_are_opened_by_their_own_load(colors: Path) -> None:
    assert isinstance(reslab.load(colors), reslab.qa.Reader)


def test_runs_of_tables_are_opened_by_their_own_load(tmp_path: Path) -> None:
    table = {"a": list(range(20)), "y": ["no", "yes"] * 10}
    model = reslab.tables.ResidualClassifier(recipe={"epochs": 1}).fit({"a": table["a"]}, table["y"])
    model.save(tmp_path / "t")
    assert isinstance(reslab.load(tmp_path / "t"), reslab.tables.TableModel)
