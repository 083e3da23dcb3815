"""Evaluation views: where each crop comes from, and that encoded and in memory agree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.errors import BrokenImage, UsageError
from reslab.images.data import Encoded, Normalize, Part, Pixels, load, view_batches

IDENTITY = Normalize(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))


def views(part: Part, **options: object) -> list:
    given = {"batch": 4, "normalize": IDENTITY, "device": "cpu", **options}
    return list(view_batches(part, **given))


@pytest.fixture
def folder(fill: Callable[..., Path], tmp_path: Path) -> Path:
    for name in "ab":
        fill(f"d/train/{name}", 3, size=(7, 7))
        fill(f"d/test/{name}", 3, size=(7, 7))
    return tmp_path / "d"


def test_one_view_in_order(pixels: Pixels) -> None:
    batches = views(pixels)
    assert [len(labels) for _, labels, _ in batches] == [4, 4, 2]
    assert torch.cat([index for _, _, index in batches]).tolist() == list(range(10))
    assert torch.cat([x for (x,), _, _ in batches]).equal(pixels.pixels.float() / 255)
    assert torch.cat([labels for _, labels, _ in batches]).equal(pixels.labels)


def test_ten_crops_in_memory(pixels: Pixels) -> None:
    one_pixel = Normalize(torch.full((3, 1, 1), -1.0), torch.ones(3, 1, 1))  # values 1..2: padding is below
    ((ten, _, _), *_) = views(pixels, crops=10, pad=2, normalize=one_pixel)
    x = pixels.pixels[:4].float() / 255 + 1
    assert len(ten) == 10
    assert ten[4].equal(x)  # center
    assert ten[0][..., 2:, 2:].equal(x[..., :-2, :-2])  # top left of the padded image: moved right and down
    assert ten[0][..., :2, :].eq(0).all()
    assert ten[3][..., :-2, :-2].equal(x[..., 2:, 2:])
    assert ten[1][..., 2:, :-2].equal(x[..., :-2, 2:])
    assert all(ten[k + 5].equal(ten[k].flip(3)) for k in range(5))


@pytest.mark.parametrize("workers", [0, 2])
def test_encoded_equals_in_memory(folder: Path, workers: int) -> None:
    encoded, whole = load(str(folder), memory=0).test, load(str(folder)).test
    assert isinstance(encoded, Encoded)
    for ours, theirs in zip(views(encoded, workers=workers), views(whole), strict=True):
        assert ours[0][0].equal(theirs[0][0])
        assert ours[1].equal(theirs[1])
        assert ours[2].equal(theirs[2])


def test_ten_crops_encoded(folder: Path) -> None:
    part = load(str(folder), memory=0).test
    ((ten, _, _), *_) = views(part, crops=10)
    assert [tuple(view.shape) for view in ten] == [(4, 3, 7, 7)] * 10
    with Image.open(folder / "test/a/0.png") as image:  # 7 * 256 / 224 = 8
        big = torch.from_numpy(np.array(image.resize((8, 8), Image.Resampling.BILINEAR))).permute(2, 0, 1) / 255
    assert ten[0][0].equal(big[:, :7, :7])
    assert ten[3][0].equal(big[:, 1:, 1:])
    assert ten[5][0].equal(big[:, :7, :7].flip(2))


def test_scale_in_memory(pixels: Pixels) -> None:
    ((x,), _, _), *_ = views(pixels, scale=10)  # 6 x 5 -> 12 x 10
    assert x.shape == (4, 3, 12, 10)
    flat = Pixels(pixels=torch.full((1, 3, 4, 4), 51, dtype=torch.uint8), labels=torch.zeros(1, dtype=torch.int64))
    ((x,), _, _), *_ = views(flat, scale=9)
    assert torch.allclose(x, torch.full((1, 3, 9, 9), 0.2))
    ((x,), _, _), *_ = views(pixels, scale=5)
    assert x.equal(pixels.pixels[:4].float() / 255)


def test_scale_encoded_groups_neighbors_of_equal_shape(fill: Callable[..., Path], tmp_path: Path) -> None:
    fill("d/train/a", 1)
    fill("d/test/a/1", 2, size=(8, 8))
    fill("d/test/a/2", 1, size=(16, 8))
    fill("d/test/a/3", 3, size=(8, 8))
    part = load(str(tmp_path / "d"), memory=0).test
    got = [(tuple(x.shape[1:]), index.tolist()) for (x,), _, index in views(part, scale=4, batch=5)]
    assert got == [((3, 4, 4), [0, 1]), ((3, 4, 8), [2]), ((3, 4, 4), [3, 4]), ((3, 4, 4), [5])]


def test_scale_encoded_is_close_to_in_memory(folder: Path) -> None:
    encoded, whole = load(str(folder), memory=0).test, load(str(folder)).test
    for scale in (5, 14):
        for ours, theirs in zip(views(encoded, scale=scale), views(whole, scale=scale), strict=True):
            assert (ours[0][0] - theirs[0][0]).abs().max() < 1.01 / 255  # Pillow rounds to bytes


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_image_is_an_error_that_names_it(folder: Path, workers: int) -> None:
    part = load(str(folder), memory=0).test
    (folder / "test/b/1.png").write_bytes(b"oops")
    with pytest.raises(BrokenImage, match=r"b/1.png: it is not an image") as caught:
        views(part, workers=workers)
    assert caught.value.name == "test/b/1.png"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"crops": 5}, "crops must be 1 or 10, got 5"),
        ({"crops": 10, "scale": 8}, "cannot be combined"),
        ({"scale": 0}, "scale must be positive, got 0"),
        ({"batch": 0}, "batch must be positive, got 0"),
    ],
)
def test_what_cannot_be(pixels: Pixels, wrong: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        views(pixels, **wrong)
