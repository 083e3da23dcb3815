"""What a net for images brings to an export: the original's outputs, unseen images, classes, a license."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quick import QUICK
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.images.data import ImageData, Normalize, load
from reslab.images.data.images import Pixels
from reslab.images.model import load as load_run
from reslab.images.pixels import fitted
from reslab.images.task import training_parts
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.ship.engines import engine
from reslab.ship.export.convert import convert
from reslab.ship.export.images import ImagesExport
from reslab.ship.export.subjects import subject
from reslab.ship.record import Config
from reslab.train.folder import read_recipe
from reslab.train.recipe import change


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """resnet8 on gray digits, with a mean for each pixel, a validation part and a temperature."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    recipe = change(QUICK, mean="pixel", validation=0.1, iterations=30)
    prepare(folder, net=spec("resnet8"), data=load("digits"), word="digits", recipe=recipe)
    train(folder, device="cpu")
    return Run(folder)


@pytest.fixture(scope="module")
def made(run: Run) -> ImagesExport:
    found = subject(str(run.folder))
    assert isinstance(found, ImagesExport)
    return found


def test_images_of_another_size_are_resized_as_in_training(made: ImagesExport) -> None:
    """Given in Python they come in the size that they have."""
    data = load("digits")
    assert isinstance(data.train, Pixels)
    pixels = data.train.pixels[:20].repeat_interleave(3, 2).repeat_interleave(3, 3)
    large = replace(data, train=replace(data.train, pixels=pixels, labels=data.train.labels[:20]))
    found = {}
    for how in ("bilinear", "bicubic"):
        given = replace(made, data=large, source=None, reading={"options": {"interpolation": how}, "gray": {}})
        part = given.parts.proof  # type: ignore[union-attr]
        (proof,), (other,) = given.proof(20), given.calibration(20)
        whole = part.pixels.permute(0, 2, 3, 1).numpy()  # type: ignore[union-attr]
        assert np.array_equal(proof.inputs["images"], fitted(whole, made.shape[1:], how))  # type: ignore[arg-type]
        found[how] = np.concatenate([proof.inputs["images"], other.inputs["images"]])
    assert not np.array_equal(found["bilinear"], found["bicubic"])


def test_it_is_proved_on_the_images_that_were_set_aside(run: Run, made: ImagesExport) -> None:
    trained, held = training_parts(load("digits"), read_recipe(run))
    assert held is not None
    (proof,), (some,) = made.proof(10_000), made.calibration(50)
    assert isinstance(held, Pixels)
    assert isinstance(trained, Pixels)
    assert np.array_equal(proof.inputs["images"], held.pixels.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(proof.targets, held.labels.numpy())
    assert "set aside" in proof.where
    known = {one.numpy().tobytes() for one in trained.pixels.permute(0, 2, 3, 1)}
    assert len(some) == 50
    assert all(one.tobytes() in known for one in some.inputs["images"])


def test_the_reference_is_what_the_run_predicts(run: Run, made: ImagesExport) -> None:
    images = made.proof(20)[0].inputs["images"]
    found = made.reference(0, {"images": images})
    predicted = load_run(run.folder).predict(images)
    assert np.abs(found["probabilities"] - np.stack([one.values for one in predicted])).max() < 1e-6
    right = made.right([found], made.proof(20))
    assert right is not None
    assert right.tolist() == (found["scores"].argmax(axis=1) == made.proof(20)[0].targets).astype(float).tolist()


@pytest.mark.parametrize("which", ["openvino", "onnx"])
def test_the_graph_gives_what_the_run_gives(made: ImagesExport, which: str, tmp_path: Path) -> None:
    (graph,), images = made.graphs(), made.proof(7)[0].inputs["images"]
    file, inputs, outputs = convert(graph, which, tmp_path, "model")  # type: ignore[arg-type]
    model = engine(tmp_path, Config(kind="images", engine=which, precision="fp32", name="", word="", files=(file,),
                                    inputs=inputs, outputs=outputs, license=""))  # type: ignore[arg-type]  # fmt: skip
    for batch in (1, 2, 7):
        some = {"images": images[:batch]}
        found, wanted = model.run(some), made.reference(0, some)
        assert all(np.abs(found[name] - wanted[name]).max() < 1e-4 for name in wanted)
    other = {"images": np.repeat(np.repeat(images, 3, axis=1), 2, axis=2)}  # 24 x 16 to 8 x 8
    assert np.abs(model.run(other)["probabilities"] - made.reference(0, other)["probabilities"]).max() < 0.02


def test_what_is_said_of_a_run(made: ImagesExport) -> None:
    about = made.about()
    assert about["classes"] == list("0123456789")
    assert (about["shape"], about["several"], about["any_size"]) == ([1, 8, 8], False, True)
    assert about["temperature"] != 1
    assert not about["flip"]  # a mean for each pixel
    assert about["calibration"].startswith("calibrated: temperature")
    made.graphs()
    assert sum("7 of 7 BatchNorm layers folded" in note for note in made.notes) == 1
    assert made.license.startswith("not stated: trained by its owner")
    assert subject(made.word, license="MIT").license == "MIT"  # type: ignore[attr-defined]


def test_a_run_whose_data_are_gone_is_proved_on_random_pixels(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = run.read_json("data.json")
    monkeypatch.setattr(Run, "read_json", lambda self, name, *needs: (
        {**about, "fingerprint": "0"} if name == "data.json" else READ(self, name, *needs)))  # fmt: skip
    found = subject(str(run.folder))
    assert any("the data of the run could not be used" in note for note in found.notes)
    assert found.proof(5)[0].random
    assert found.calibration(5)[0].random
    assert found.right([found.reference(0, found.proof(5)[0].inputs)], found.proof(5)) is None
    assert found.about()["classes"] == list("0123456789")


READ = Run.read_json


def several() -> ImagesExport:
    """Three labels, each the mean of one channel against a half."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pixels = torch.zeros(4, 3, 6, 6, dtype=torch.uint8)
    pixels[1, 0], pixels[2, 1:], pixels[3] = 255, 255, 255
    labels = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]])
    part = Pixels(pixels=pixels, labels=labels)
    data = ImageData(name="dots", train=part, test=part, validation=part, classes=("r", "g", "b"), shape=(3, 6, 6),
                     fingerprint="", about="")  # fmt: skip
    normalize = Normalize(torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25))
    return ImagesExport(net=net, word="dots", name="dots", normalize=normalize, shape=(3, 6, 6), several=True,
                        classes=data.classes, reading={"options": {}, "gray": {}}, license="", temperature=2.0,
                        data=data)  # fmt: skip


def test_several_labels() -> None:
    made = several()
    examples = made.proof(4)
    found = made.reference(0, examples[0].inputs)
    assert found["scores"][1].tolist() == [2, -2, -2]  # (1 - 0.5) / 0.25
    assert found["probabilities"][1] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.e), 1 / (1 + np.e)])
    assert made.decisions([found]).tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]]
    assert made.right([found], examples) == pytest.approx([1, 1, 1, 2 / 3])
    assert made.unit == "share of labels right"


def test_images_without_a_validation_part_are_halved() -> None:
    made = several()
    assert made.data is not None
    pixels = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(100, 3, 6, 6).contiguous()
    part = Pixels(pixels=pixels, labels=torch.zeros(100, 3, dtype=torch.int64))
    made = replace(made, data=replace(made.data, train=part, validation=None))
    one, other = (set(examples[0].inputs["images"][:, 0, 0, 0].tolist()) for examples in
                  (made.proof(99), made.calibration(99)))  # fmt: skip
    assert one.isdisjoint(other)
    assert len(one) == len(other) == 50
    assert "whether the model was trained on them is not known" in made.proof(99)[0].where


OWN = """
import torch
from torch import nn

def gray():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), torch.zeros(2, 1, 6, 8)

def bare():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))

def viewed():
    class Viewed(nn.Linear):
        def forward(self, x):
            return super().forward(x.view(len(x), -1))
    return Viewed(75, 2), torch.zeros(2, 3, 5, 5)

def pairs():
    class Pairs(nn.Linear):
        def forward(self, x):
            return super().forward(x.reshape(2, -1)[:, :75])
    return Pairs(75, 2), torch.zeros(2, 3, 5, 5)

def maps():
    return nn.Conv2d(3, 2, 1), torch.zeros(2, 3, 5, 5)
"""


def test_a_function_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    made = subject(f"{tmp_path}/own.py:gray")
    assert made.about()["shape"] == [1, 6, 8]
    assert made.about()["classes"] == ["0", "1", "2"]
    assert any("pixels from 0 to 1, assumed" in note for note in made.notes)
    with pytest.raises(UsageError, match="does not say which images it takes"):
        subject(f"{tmp_path}/own.py:bare")
    with pytest.raises(UsageError, match="not one score for each class"):
        subject(f"{tmp_path}/own.py:maps")
    with pytest.raises(UsageError, match=r"^white, level: only for images that are named with data$"):
        subject(f"{tmp_path}/own.py:gray", options={"white": 3.0, "level": 1})


def test_a_net_sees_images_as_in_training(tmp_path: Path) -> None:
    """In memory, too: one that calls view() takes no others. It is said for which batch a net fails."""
    (tmp_path / "own.py").write_text(OWN)
    images = {"images": np.zeros((3, 5, 5, 3), np.uint8)}
    assert subject(f"{tmp_path}/own.py:viewed").reference(0, images)["scores"].shape == (3, 2)
    with pytest.raises(ReslabError, match="the model fails for a batch of 1: "):
        subject(f"{tmp_path}/own.py:pairs").reference(0, {"images": images["images"][:1]})


def test_a_net_of_ours_with_data() -> None:
    made = subject("net:resnet8", data="digits")
    assert made.about()["classes"] == list("0123456789")
    assert made.proof(3)[0].inputs["images"].shape == (3, 8, 8, 1)


def test_images_of_other_sizes_are_fitted_by_pillow() -> None:
    images = np.arange(2 * 4 * 8 * 1, dtype=np.uint8).reshape(2, 4, 8, 1)
    assert fitted(images, (4, 4)).tolist() == images[:, :, 2:6].tolist()  # only cropped
    assert fitted(images[:0], (4, 4)).shape == (0, 4, 4, 1)
