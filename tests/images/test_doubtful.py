"""Augmentation that harms an image or does nothing to it is warned of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.images.data import Encoded, ImageData, Pixels, load
from reslab.images.train import load_stored
from reslab.run import Run

Begin = Callable[..., Run]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policy": "trivial"}, r"up to 32 pixels, so some of these 8 x 8 images leave the frame: set policy=.rand."),
        ({"hue": 0.1}, "saturation and hue change nothing here, since these images are gray"),
        ({"mixup": 0.2, "batch": 2, "repeats": 2}, "mixup and cutmix change nothing here.*holds one image"),
    ],
)
def test_warned_of(changes: dict[str, Any], sentence: str, begin: Begin, few: ImageData, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=sentence):
        begin(tmp_path / "run", few, **changes)


def test_a_turned_digit_is_another(begin: Begin, digits: ImageData, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="a rotated 6 is a 9: set policy=.none."):
        begin(tmp_path / "run", digits, policy="rand")


def test_not_warned_of(begin: Begin, few: ImageData, tmp_path: Path) -> None:
    color = replace(few, train=Pixels(pixels=torch.zeros(80, 3, 32, 32, dtype=torch.uint8), labels=few.train.labels),
                    shape=(3, 32, 32))  # fmt: skip
    begin(tmp_path / "run", color, policy="trivial", hue=0.1, mixup=0.2, erase=0.1, augment="resized-crop")


def test_few_validation_images_of_a_rare_class(
    begin: Begin, few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 80 digits 20 are held out, counted here a second way; without weights the plain error chooses."""
    from reslab.images.task import validation_order

    held = few.train.labels[validation_order(80)[:20]].tolist()
    least = min(range(10), key=held.count)
    with caplog.at_level("INFO", logger="reslab"):
        begin(tmp_path / "plain", few, keep="best", validation=20)
        begin(tmp_path / "last", few, class_weights="balanced", validation=20)
        assert "validation part has" not in caplog.text
        begin(tmp_path / "run", few, keep="best", class_weights="balanced", validation=20)
    count = held.count(least)
    images = f"{count or 'no'} image{'s' * (count != 1)}"
    assert f"the validation part has {images} of class {few.classes[least]}, so the balanced error" in caplog.text


def test_crops_of_resized_images(fill: Callable[..., Path], begin: Begin, tmp_path: Path) -> None:
    for name in "ab":
        fill(f"d/train/{name}", 2)
        fill(f"d/test/{name}", 1)
    word = str(tmp_path / "d")
    assert isinstance(load(word, crops=True).train, Pixels)  # all images have their size already
    fill("d/train/b", 1, size=(9, 8))
    small = load(word, size=6)
    with pytest.warns(UserWarning, match=r"already resized and center-cropped to 6 x 6 pixels.*with crops=True"):
        begin(tmp_path / "run", small, augment="resized-crop", batch=2)
    kept = load(word, size=6, crops=True)
    assert isinstance(kept.train, Encoded)
    begin(tmp_path / "crops", kept, augment="resized-crop", batch=2)


def test_a_run_reads_its_images_as_they_were(fill: Callable[..., Path], tmp_path: Path) -> None:
    from reslab.images.train import prepare
    from reslab.nets import spec
    from reslab.train.recipe import Recipe

    for name in "ab":
        fill(f"d/train/{name}", 2)
        fill(f"d/test/{name}", 1)
    word, options = str(tmp_path / "d"), {"size": 6, "crops": True}
    data = load(word, **options)
    run = prepare(tmp_path / "run", net=spec("resnet8"), data=data, word=word, options=options,
                  recipe=Recipe(iterations=1, batch=2, augment="resized-crop"))  # fmt: skip
    again = load_stored(run)
    assert isinstance(again.train, Encoded)
    assert again.fingerprint == data.fingerprint


def test_unequal_classes_are_told_before_training(
    begin: Begin, few: ImageData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = torch.tensor([3] * 76 + [5] * 4)
    unequal = replace(few, train=Pixels(pixels=few.train.pixels, labels=labels))  # type: ignore[union-attr]
    caplog.set_level("INFO", "reslab")
    begin(tmp_path / "plain", unequal)
    assert "76 of the 80 training images are of class d, so the error alone says little" in caplog.text
    caplog.clear()
    begin(tmp_path / "weighted", unequal, class_weights="balanced")
    begin(tmp_path / "equal", few)
    assert "alone says little" not in caplog.text
