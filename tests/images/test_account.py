"""The whole account of a data set, each number counted by hand, and its sheet of thumbnails."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from reslab.images import sheet as sheets
from reslab.images.account import Duplicate, take
from reslab.images.data import ImageData, Pixels, load
from reslab.images.sheet import sheet

Fill = Callable[..., Path]


@pytest.fixture
def pets(fill: Fill, tmp_path: Path) -> Path:
    """48 + 12 images; one test image is a training image, another one of another class; two broken ones."""
    for name in ("ant", "bee", "cat"):
        fill(f"pets/train/{name}", 16)
        fill(f"pets/test/{name}", 4)
    root = tmp_path / "pets"
    with Image.open(root / "train/ant/3.png") as image:
        image.save(root / "test/ant/0.png", compress_level=0)  # other bytes, the same pixels
        image.convert("RGBA").save(root / "test/ant/1.png")
    shutil.copy(root / "train/bee/2.png", root / "test/cat/0.png")
    shutil.copy(root / "train/cat/2.png", root / "train/cat/5.png")
    (root / "train/cat/7.png").write_bytes(b"oops")
    (root / "test/bee/3.png").write_bytes(b"")
    (root / "train/ant/x.heic").write_bytes(b"x")
    return root


def test_every_number_by_hand(pets: Path) -> None:
    found = take(load(str(pets), memory=0))
    train, test = found.parts
    assert (train.images, train.by_class, train.broken, train.repeated) == (47, (16, 16, 15), 1, 1)
    assert (test.images, test.by_class, test.broken, test.repeated) == (11, (4, 3, 4), 1, 1)
    assert [(one.height, one.width, one.images) for one in train.sizes] == [(8, 8, 47)]
    assert (train.modes, test.modes) == ({"RGB": 47}, {"RGB": 10, "RGBA": 1})
    assert test.broken_examples == ("test/bee/3.png: it is empty",)
    assert train.broken_examples[0].startswith("train/cat/7.png: it is not an image")
    assert (found.shared, found.shared_elsewhere, found.contradictory) == (3, 1, 1)
    assert found.shared_examples == (
        Duplicate(train="train/bee/2.png", test="test/cat/0.png", train_class="bee", test_class="cat"),
        Duplicate(train="train/ant/3.png", test="test/ant/0.png", train_class="ant", test_class="ant"),
        Duplicate(train="train/ant/3.png", test="test/ant/1.png", train_class="ant", test_class="ant"),
    )
    assert [(one.reason, one.files) for one in found.ignored] == [(".heic", 1)]
    assert found.line == "3 classes: ant, bee, cat; 48 + 12 images, RGB 8x8; 1 file ignored: .heic; 2 broken images"
    assert found.as_dict()["parts"][0]["by_class"] == (16, 16, 15)


def test_a_duplicate_is_named_beside_one_of_its_own_class(fill: Fill, tmp_path: Path) -> None:
    folder = fill("d/train/a", 1)
    fill("d/train/b", 1)
    shutil.copy(folder / "0.png", tmp_path / "d/train/b/same.png")
    for name in "ab":
        fill(f"d/test/{name}", 1)
    shutil.copy(folder / "0.png", tmp_path / "d/test/b/0.png")
    found = take(load(str(tmp_path / "d"), memory=0))
    assert (found.shared, found.shared_elsewhere, found.contradictory) == (1, 0, 1)
    assert found.shared_examples[0].train == "train/b/same.png"


def test_published_images_in_memory() -> None:
    pixels = torch.tensor([1, 2, 2, 3], dtype=torch.uint8).view(4, 1, 1, 1)
    train, test = (Pixels(pixels=pixels[rows], labels=torch.tensor([0, 1])) for rows in ([0, 1], [2, 3]))
    found = take(ImageData(name="x", train=train, test=test, classes=("a", "b"), shape=(1, 1, 1), fingerprint="",
                           about=""))  # fmt: skip
    assert [part.modes for part in found.parts] == [{"L": 2}, {"L": 2}]
    assert found.shared_examples == (Duplicate(train="image 1", test="image 0", train_class="b", test_class="a"),)


def test_a_sheet_shows_some_of_each_class(pets: Path) -> None:
    found = sheet(load(str(pets), memory=0))
    assert [(name, len(tiles)) for name, tiles in found] == [("ant", 8), ("bee", 8), ("cat", 8)]
    assert [tile.name for tile in found[0][1]] == [f"train/ant/{k}.png" for k in (0, 10, 12, 14, 2, 4, 6, 8)]
    assert found[0][1][0].url.startswith("data:image/png;base64,")


def test_a_sheet_of_large_images_stays_small(fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(4):
        fill(f"d/{k}", 3, size=(300, 200))
    data = load(str(tmp_path / "d"), memory=0)
    urls = [tile.url for _, tiles in sheet(data) for tile in tiles]
    assert len(urls) == 8  # two training images in each class
    assert max(map(len, urls)) < sheets.BYTES / sheets.TILES
    monkeypatch.setattr(sheets, "BYTES", 3 * max(map(len, urls)))
    assert sum(len(tiles) for _, tiles in sheet(data)) == 3
    monkeypatch.setattr(sheets, "TILES", 2)
    assert [name for name, _ in sheet(data)] == ["0", "2"]
