"""Folders of class folders, as people lay them out, and as they get them wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data import Encoded, Pixels, load

Fill = Callable[..., Path]


def test_class_folders_are_split(fill: Fill, tmp_path: Path) -> None:
    fill("pets/dog", 5)
    fill("pets/cat", 10)
    (tmp_path / "pets/cat/notes.txt").write_text("no image")
    (tmp_path / "pets/.cache").mkdir()
    data = load(str(tmp_path / "pets"))
    assert data.classes == ("cat", "dog")
    assert data.shape == (3, 8, 8)
    assert data.train.labels.bincount().tolist() == [8, 4]
    assert data.test.labels.bincount().tolist() == [2, 1]
    assert "80/20 split" in data.about
    assert isinstance(data.train, Pixels)
    again = load(str(tmp_path / "pets"))
    assert data.fingerprint == again.fingerprint
    assert data.describe() == {
        "name": "pets",
        "train": 12,
        "test": 3,
        "classes": ["cat", "dog"],
        "counts": {"train": [8, 4], "test": [2, 1]},
        "shape": [3, 8, 8],
        "fingerprint": data.fingerprint,
        "skipped": 0,
        "about": data.about,
    }


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "validation", "Test", "VAL"])
def test_own_test_part(fill: Fill, tmp_path: Path, held_out: str) -> None:
    for name in ("a", "b"):
        fill(f"d/train/{name}", 3)
        fill(f"d/{held_out}/{name}", 1)
    data = load(str(tmp_path / "d"))
    assert (len(data.train), len(data.test)) == (6, 2)
    assert data.classes == ("a", "b")
    assert f"train/ and {held_out}/" in data.about


def test_capitalized_train_without_test(fill: Fill, tmp_path: Path) -> None:
    fill("d/Train/a", 2)
    fill("d/Train/b", 2)
    with pytest.raises(UsageError, match=r"has Train/ but no test/"):
        load(str(tmp_path / "d"))
    fill("d/Test/a", 1)
    fill("d/Test/b", 1)
    assert load(str(tmp_path / "d")).classes == ("a", "b")


def test_test_folder_without_classes_leaves_val(fill: Fill, tmp_path: Path) -> None:
    # ImageNet's test images carry no labels
    fill("d/train/a", 2)
    fill("d/val/a", 1)
    fill("d/test", 4)
    assert len(load(str(tmp_path / "d")).test) == 1


def test_images_below_a_class_folder(fill: Fill, tmp_path: Path) -> None:
    fill("d/a/monday", 2)
    fill("d/a/tuesday", 2)
    assert len(load(str(tmp_path / "d"), level=1).train) == 3
    fill("d/a", 1)  # now a is a class without doubt
    assert len(load(str(tmp_path / "d")).train) == 4


def test_pixels_are_those_of_the_files(fill: Fill, tmp_path: Path) -> None:
    folder = fill("d/train/a", 3)
    fill("d/test/a", 1)
    data = load(str(tmp_path / "d"))
    for k in range(3):
        with Image.open(folder / f"{k}.png") as image:
            assert data.train.pixels[k, :, 2, 5].tolist() == list(image.getpixel((5, 2)))


def test_empty_class_folder(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 3)
    (tmp_path / "d/b").mkdir()
    with pytest.raises(UsageError, match=r"class folder .*b holds no image"):
        load(str(tmp_path / "d"))


def test_classes_must_agree(fill: Fill, tmp_path: Path) -> None:
    fill("d/train/a", 2)
    fill("d/train/b", 2)
    fill("d/test/a", 1)
    fill("d/test/c", 1)
    with pytest.raises(UsageError, match=r"'b' only in train/, 'c' only in test/"):
        load(str(tmp_path / "d"))


def test_train_without_test(fill: Fill, tmp_path: Path) -> None:
    fill("d/train/a", 2)
    with pytest.raises(UsageError, match=r"train/ but no test/"):
        load(str(tmp_path / "d"))


def test_no_class_folders(fill: Fill, tmp_path: Path) -> None:
    fill("d", 3)
    with pytest.raises(UsageError, match=r"no class folders; expected FOLDER/cat/1.jpg"):
        load(str(tmp_path / "d"))


def test_single_image_cannot_be_split(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 1)
    with pytest.raises(UsageError, match=r"class 'a' has 1 image"):
        load(str(tmp_path / "d"))


def test_broken_training_image_is_skipped_and_named(fill: Fill, tmp_path: Path) -> None:
    folder = fill("d/train/a", 3)
    fill("d/test/a", 1)
    (folder / "1.png").write_bytes(b"oops")
    data = load(str(tmp_path / "d"))
    assert len(data.train) == 2
    assert data.skipped == (
        "train/a/1.png: it is not an image that Pillow can read as BMP, GIF, JPEG, PNG, PPM, TIFF or WebP",
    )
    assert data.describe()["skipped"] == 1


def test_broken_test_image_is_an_error(fill: Fill, tmp_path: Path) -> None:
    fill("d/train/a", 3)
    folder = fill("d/test/a", 2)
    (folder / "1.png").write_bytes(b"oops")
    with pytest.raises(BrokenImage, match=r"a/1.png"):
        load(str(tmp_path / "d"))


def test_many_broken_test_images_are_counted(fill: Fill, tmp_path: Path) -> None:
    fill("d/train/a", 3)
    folder = fill("d/test/a", 5)
    for k in (1, 2, 4):
        (folder / f"{k}.png").write_bytes(b"oops")
    with pytest.raises(
        BrokenImage, match=r"broken image test/a/1\.png: .*, and 2 more, which `reslab data` lists; replace or rem"
    ):
        load(str(tmp_path / "d"))


def test_a_class_of_broken_images_is_named(fill: Fill, tmp_path: Path) -> None:
    for name in "ab":
        folder = fill(f"d/train/{name}", 2)
        fill(f"d/test/{name}", 1)
    for file in folder.iterdir():
        file.write_bytes(b"oops")
    with pytest.raises(ReslabError, match=r"no training image of class 'b' can be read; .*first: train/b/0\.png"):
        load(str(tmp_path / "d"))


def test_all_broken(fill: Fill, tmp_path: Path) -> None:
    folder = fill("d/train/a", 2)
    fill("d/test/a", 1)
    for file in folder.iterdir():
        file.write_bytes(b"oops")
    with pytest.raises(ReslabError, match=r"no training image can be read \(first: .*a/0.png"):
        load(str(tmp_path / "d"))


@pytest.mark.parametrize(
    ("sizes", "asked", "expected"),
    [
        ([(8, 6), (8, 6)], None, (3, 6, 8)),
        ([(8, 6), (6, 8)], None, (3, 32, 32)),
        ([(200, 130), (140, 128)], None, (3, 224, 224)),
        ([(8, 6), (8, 6)], 4, (3, 4, 4)),
    ],
)
def test_size(fill: Fill, tmp_path: Path, sizes: list, asked: int | None, expected: tuple) -> None:
    for name, size in zip("ab", sizes, strict=True):
        fill(f"d/{name}", 2, size=size)
    data = load(str(tmp_path / "d"), size=asked)
    assert data.shape == expected
    assert data.train.pixels.shape[1:] == expected


def test_gray_has_one_channel(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 2, mode="L")
    fill("d/b", 2, mode="L")
    assert load(str(tmp_path / "d")).shape == (1, 8, 8)
    fill("d/c", 2)
    assert load(str(tmp_path / "d")).shape == (3, 8, 8)


def test_too_large_for_memory_stays_encoded(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 5)
    fill("d/b", 5)
    room = 10 * 3 * 8 * 8
    whole = load(str(tmp_path / "d"), memory=room)
    encoded = load(str(tmp_path / "d"), memory=room - 1)
    assert isinstance(whole.train, Pixels)
    assert isinstance(encoded.train, Encoded)
    assert encoded.train.labels.tolist() == whole.train.labels.tolist()
    for i in range(len(encoded.train)):
        assert encoded.train.pixels(i).equal(whole.train.pixels[i])
    assert encoded.train.subset([3]).name(0) == encoded.train.name(3)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "d", moved / "d")
    assert load(str(moved / "d"), memory=0).fingerprint == encoded.fingerprint


def test_size_must_be_positive(fill: Fill, tmp_path: Path) -> None:
    fill("d/a", 2)
    with pytest.raises(UsageError, match="size must be positive, got 0"):
        load(str(tmp_path / "d"), size=0)
