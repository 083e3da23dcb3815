"""The image task: what is set aside, what the test part may not do, precise BN, broken images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

from reslab.errors import BrokenImage, UsageError
from reslab.images.account import name_of
from reslab.images.data import Encoded, ImageData, Normalize, Pixels, load
from reslab.images.data.images import fingerprint
from reslab.images.precise import average_norms
from reslab.images.task import ImageTask, split
from reslab.images.train import prepare, train
from reslab.nets import build, spec
from reslab.train.recipe import Recipe, change, read
from reslab.train.tune import Choice

CPU = torch.device("cpu")


def ids(n: int) -> Pixels:
    """n images that can be told apart: image i is all i."""
    return Pixels(pixels=torch.arange(n).to(torch.uint8).view(n, 1, 1, 1), labels=torch.zeros(n, dtype=torch.int64))


@pytest.mark.parametrize(("validation", "held"), [(20, 20), (0.25, 50), (0.001, 1), (1, 1), (199, 199)])
def test_validation_and_training_share_no_image_and_miss_none(validation: float, held: int) -> None:
    train_part, kept = split(ids(200), Recipe(epochs=1, validation=validation))
    assert isinstance(train_part, Pixels)
    assert isinstance(kept, Pixels)
    one, other = train_part.pixels.flatten().tolist(), kept.pixels.flatten().tolist()
    assert len(other) == held
    assert sorted(one + other) == list(range(200))


def test_every_seed_sets_the_same_images_aside() -> None:
    kept = [split(ids(100), Recipe(epochs=1, validation=30, seed=seed))[1] for seed in (0, 1)]
    assert torch.equal(kept[0].pixels, kept[1].pixels)  # type: ignore[union-attr]


def test_nothing_or_everything_set_aside() -> None:
    part = ids(10)
    assert split(part, Recipe(epochs=1)) == (part, None)
    with pytest.raises(UsageError, match="validation takes 10 of 10 training images, which leaves none to train on"):
        split(part, Recipe(epochs=1, validation=10))


def test_normalization_is_measured_on_what_is_trained_on(few: ImageData) -> None:
    """Not on the validation images, not on the test images."""
    recipe = Recipe(epochs=1, validation=30, mean="channel")
    task = ImageTask(few, recipe, CPU)
    train_part = split(few.train, recipe)[0]
    assert isinstance(train_part, Pixels)
    assert len(train_part) == task.examples == 50
    assert task.normalize.mean.item() == pytest.approx(train_part.pixels.double().mean().item() / 255, rel=1e-6)


def test_the_test_part_changes_nothing_that_is_trained(begin: Any, few: ImageData, tmp_path: Path) -> None:
    """The same training with noise for test images and false labels: the same weights, to the last bit."""
    assert isinstance(few.test, Pixels)
    noise = torch.randint(0, 256, few.test.pixels.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    garbage = Pixels(pixels=noise, labels=(few.test.labels + 1) % 10)
    other = replace(few, test=garbage, fingerprint=fingerprint(few.train, garbage, classes=few.classes))
    weights, drops = [], []
    for name, data in (("true", few), ("garbage", other)):
        run = begin(tmp_path / name, data, iterations=48, lr=1e-3, schedule="plateau", patience=1, validation=16,
                    precise_bn=True)  # fmt: skip
        train(run.folder, data=data, device="cpu")
        weights.append(run.path("weights.safetensors").read_bytes())
        drops.append([event["iteration"] for event in run.metrics() if event["event"] == "lr"])
    assert drops[0] == drops[1] != []
    assert weights[0] == weights[1]


def test_balanced_sampling_and_what_needs_a_validation_part(begin: Any, few: ImageData, tmp_path: Path) -> None:
    """Ten digits, 80 images: 16 of every class in the two epochs, whatever their counts; rows() tells which."""
    task = ImageTask(few, Recipe(epochs=1, batch=16, sampling="balanced", mean="channel"), CPU)
    drawn = torch.cat([few.train.labels[task.rows(t)] for t in range(10)])
    assert torch.bincount(drawn).tolist() == [16] * 10
    assert torch.bincount(few.train.labels).unique().numel() > 1
    assert [batch.index.tolist() for batch in task.batches(3, 5)] == [task.rows(3), task.rows(4)]
    labels = torch.nn.functional.one_hot(few.train.labels, 10)
    several = replace(few, train=replace(few.train, labels=labels))
    with pytest.raises(UsageError, match="needs one class per image, but these images have several labels each"):
        begin(tmp_path / "several", several, sampling="balanced")
    with pytest.raises(UsageError, match='keep="best" needs a validation part, as the test part must not steer'):
        begin(tmp_path / "best", few, keep="best")
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize("batch", [20, 33, 79, 80])
def test_precise_bn_is_the_statistics_over_the_training_part(batch: int, few: ImageData) -> None:
    """First layer, in float64 over all 80 images at once, however they are cut: 33 + 33 + 14, or 79 and one more."""
    torch.manual_seed(0)
    net = build(spec("resnet8", channels=1, size=8)).train()
    normalize = Normalize(torch.full((1, 1, 1), 0.3), torch.ones(1, 1, 1))
    weights = {key: value.clone() for key, value in net.named_parameters()}
    momentum = [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    average_norms(net, few.train, normalize, CPU, batch=batch)
    first: Any = net.stem.norm
    conv: Any = net.stem.conv
    out = conv.double()(normalize(few.train.pixels).double())  # type: ignore[union-attr]
    torch.testing.assert_close(first.running_mean.double(), out.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(first.running_var.double(), out.var(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert all(torch.equal(weights[key].double(), value.double()) for key, value in net.named_parameters())
    assert [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)] == momentum
    assert net.training


def test_precise_bn_forgets_the_moving_statistics(few: ImageData) -> None:
    net = build(spec("resnet8", channels=1, size=8))
    normalize = Normalize(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    found = []
    for garbage in (0.0, 1e6):
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.fill_(garbage)  # type: ignore[union-attr]
        average_norms(net, few.train, normalize, CPU)
        found.append({key: value.clone() for key, value in net.state_dict().items()})
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_the_recipe_asks_for_precise_bn(begin: Any, few: ImageData, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    states = {}
    for precise in (False, True):
        run = begin(tmp_path / str(precise), few, precise_bn=precise, iterations=6)
        train(run.folder, data=few, device="cpu")
        states[precise] = load_file(run.path("weights.safetensors"))
    same = {key: torch.equal(states[False][key], states[True][key]) for key in states[True]}
    assert not same["stem.norm.running_mean"]
    assert all(equal for key, equal in same.items() if "running" not in key and "num_batches" not in key)


def test_the_rows_of_an_iteration_are_those_of_its_batch(few: ImageData) -> None:
    task = ImageTask(few, Recipe(epochs=1, batch=30, seed=9), CPU)
    for batch in task.batches(0, 7):
        assert task.rows(batch.iteration) == batch.index.tolist()
        assert torch.equal(few.train.labels[batch.index], batch.y)


def broken_folder(pngs: Path, folder: Path, *, memory: int) -> ImageData:
    """The folder of PNGs with two training images made unreadable."""
    import shutil

    shutil.copytree(pngs, folder)
    train_part = load(str(folder), memory=0).train
    assert isinstance(train_part, Encoded)
    for i in (3, 30):
        (folder / train_part.name(i)).write_bytes(b"no image at all")
    return load(str(folder), memory=memory)


@pytest.mark.parametrize(("memory", "workers"), [(0, 0), (0, 1), (2**30, 0)])
def test_broken_images_are_skipped_in_training_and_named_at_the_end(
    pngs: Path, tmp_path: Path, memory: int, workers: int
) -> None:
    """Also by what follows the training: the training error over all images, and precise BN."""
    data = broken_folder(pngs, tmp_path / "data", memory=memory)
    recipe = read("digits", epochs=2, drops=[], batch=8, mean="channel", workers=workers, precise_bn=True,
                  precision="fp32", memory_format="NCHW", compile="off")  # fmt: skip
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=data, word=str(tmp_path / "data"), recipe=recipe)
    result = train(run.folder, data=data, device="cpu")
    assert result["train_error_eval"] is not None
    assert len(result["skipped"]) == 2
    assert all(".png: " in name for name in result["skipped"])


def test_a_broken_image_in_the_validation_part_is_an_error(pngs: Path, tmp_path: Path) -> None:
    data = broken_folder(pngs, tmp_path / "data", memory=0)
    recipe = change(Recipe(epochs=1), validation=47, mean="none", workers=0)
    net = build(spec("resnet8", channels=1, size=8, classes=3))
    with pytest.raises(BrokenImage, match=r"\.png"):
        ImageTask(data, recipe, CPU).evaluate(net, "validation", Choice())


def test_precise_bn_leaves_broken_images_out(pngs: Path, tmp_path: Path) -> None:
    data = broken_folder(pngs, tmp_path / "data", memory=0)
    assert isinstance(data.train, Encoded)
    good = data.train.subset([i for i in range(len(data.train)) if i not in (3, 30)])
    normalize = Normalize(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
    states = []
    for part in (data.train, good):
        torch.manual_seed(0)
        net = build(spec("resnet8", channels=1, size=8, classes=3)).train()
        average_norms(net, part, normalize, CPU, batch=16)
        states.append(net.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_images_in_memory_keep_the_names_of_their_files(pngs: Path, tmp_path: Path) -> None:
    """Broken images are left out, and subsets reorder: image i has the name of the file with its pixels."""
    data = broken_folder(pngs, tmp_path / "photos", memory=2**30)
    some = data.train.subset([5, 0, 30])
    assert isinstance(some, Pixels)
    assert some.files is not None
    for i, label in enumerate(some.labels.tolist()):
        name = name_of(some, i)
        assert Path(name).parent.name == data.classes[label]
        with Image.open(tmp_path / "photos" / name) as image:
            assert image.getpixel((3, 4)) == int(some.pixels[i, 0, 4, 3])


def test_the_scores_of_the_last_evaluation_are_kept(few: ImageData) -> None:
    """The error counted from them is the one that was measured."""
    task = ImageTask(few, Recipe(epochs=1, validation=20), CPU)
    net = build(replace(spec("resnet8"), classes=10, channels=1, size=8)).eval()
    for part in ("train", "validation", "test"):
        found = task.evaluate(net, part, Choice())
        if part in task.scored:
            scores, labels = task.scored[part]
            assert found is not None
            assert 100 * (scores.argmax(dim=1) != labels).double().mean().item() == pytest.approx(found["error"])
    assert sorted(task.scored) == ["test", "validation"]
