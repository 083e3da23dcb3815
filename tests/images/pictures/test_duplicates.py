"""Which test images repeat a training image: to the pixel, nearly, in another class; and which do not."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reslab.images.data import load
from reslab.images.pictures import duplicates

SIDE = 64


def photo(seed: int) -> Image.Image:
    """Smooth colored noise, as unlike as two photographs."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def recompressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.crop((1, 1, SIDE - 1, SIDE - 1)).resize((SIDE, SIDE)).save(out, "JPEG", quality=50)
    return Image.open(out)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes; test image a/same repeats train a/0, b/other repeats a/1, a/near nearly repeats a/2, flat b/3."""
    folder = tmp_path / "photos"
    for part, classes in (("train", "ab"), ("test", "ab")):
        for k, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for i in range(6):
                photo(100 * k + i + 1000 * (part == "test")).save(folder / part / name / f"{i}.png")
    train, test = folder / "train", folder / "test"
    (test / "a" / "same.png").write_bytes((train / "a" / "0.png").read_bytes())
    (test / "b" / "other.png").write_bytes((train / "a" / "1.png").read_bytes())
    recompressed(photo(2)).save(test / "a" / "near.png")
    for path in (train / "b" / "flat.png", test / "b" / "flat.png"):
        Image.new("RGB", (SIDE, SIDE), (9, 9, 9)).save(path)
    return folder


@pytest.mark.parametrize("memory", [0, 2**30])
def test_exact_and_near_repeats_are_found_beside_the_right_image(photos: Path, memory: int) -> None:
    found: dict[str, Any] = duplicates.gather(load(str(photos), memory=memory))
    assert {key: found[key] for key in ("train", "test", "compared", "exact", "near", "elsewhere")} == {
        "train": 13, "test": 16, "compared": True, "exact": 3, "near": 1, "elsewhere": 1,
    }  # fmt: skip
    pairs = [(Path(p["test"]).stem, Path(p["train"]).parts[-2:], p["test_class"], p["exact"]) for p in found["pairs"]]
    assert pairs[0] == ("other", ("a", "1.png"), "b", True)  # the one of another class first
    assert sorted(pairs[1:]) == [("flat", ("b", "flat.png"), "b", True), ("near", ("a", "2.png"), "a", False),
                                 ("same", ("a", "0.png"), "a", True)]  # fmt: skip
    assert all(p["train_thumbnail"] == p["test_thumbnail"] for p in found["pairs"] if p["exact"])


def test_images_of_one_hue_are_no_repeats(tmp_path: Path) -> None:
    """Noise of 0 to 90 with 120 added to red: the mean color alone correlates by more than 0.99."""
    for part, many in (("train", 12), ("test", 4)):
        for k, name in enumerate("ab"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(many):
                noise = np.random.default_rng([many, k, i]).integers(0, 90, (SIDE, SIDE, 3))
                noise[:, :, k] += 120
                Image.fromarray(noise.astype(np.uint8)).save(tmp_path / part / name / f"{i}.png")
    found = duplicates.gather(load(str(tmp_path)))
    assert (found["exact"], found["near"]) == (0, 0)


def test_digits_are_alike_and_no_repeats() -> None:
    found = duplicates.gather(load("digits"))
    assert (found["exact"], found["near"]) == (0, 0)


def test_too_many_images_are_not_compared(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "COMPARED", 100)
    assert not duplicates.gather(load(str(photos)))["compared"]
