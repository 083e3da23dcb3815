"""Random boxes of image files: large JPEGs are decoded smaller, turned photographs are upright first."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.errors import BrokenImage
from reslab.images.data import Encoded, load
from reslab.images.data.boxes import UNITS, crop_boxes
from reslab.images.data.crops import random_crop
from reslab.images.data.decode import resize_box
from reslab.images.data.images import to_tensor

MIDDLE = np.full(UNITS, 0.5)  # of 54 % of the area, square, in the middle


@pytest.fixture
def photos(tmp_path: Path) -> Encoded:
    """One JPEG of 400 x 300 per class; that of class b is stored turned by EXIF."""
    image = Image.effect_mandelbrot((400, 300), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise
    for part in ("train", "test"):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
        image.save(tmp_path / part / "a" / "0.jpg", quality=95)
        image.save(tmp_path / part / "b" / "0.jpg", quality=95, exif=turned)
    part = load(str(tmp_path), size=32, memory=0).train
    assert isinstance(part, Encoded)
    return part


def exact(part: Encoded, i: int, units: np.ndarray) -> torch.Tensor:
    """The same box of the image decoded at its full size."""
    image = part.image(i)
    top, left, h, w = crop_boxes(np.array([[image.height, image.width]]), units[None], area=0.08, aspect=4 / 3)[0]
    return to_tensor(resize_box(image, (left, top, left + w, top + h), height=32, width=32)).float()


@pytest.mark.parametrize("i", [0, 1])
def test_a_large_box_is_read_from_a_smaller_decoding(photos: Encoded, i: int) -> None:
    crop = random_crop(photos, i, MIDDLE, area=0.08, aspect=4 / 3).float()
    apart = (crop - exact(photos, i, MIDDLE)).abs()
    assert 0 < apart.mean() < 2  # levels of 256


def test_a_small_box_is_read_exactly(photos: Encoded) -> None:
    units = np.where(np.arange(UNITS) < 10, 0.0, 0.5)  # 8 % of the area: 98 x 98, more than twice 32, so half the size
    wide = random_crop(photos, 0, units, area=0.08, aspect=4 / 3).float()
    assert (wide - exact(photos, 0, units)).abs().mean() < 4
    photos = Encoded(sources=photos.sources, rows=photos.rows, labels=photos.labels, shape=(3, 60, 60))
    image = photos.image(0)
    box = crop_boxes(np.array([[300, 400]]), units[None], area=0.08, aspect=4 / 3)[0].tolist()
    assert box == [101, 151, 98, 98]
    got = random_crop(photos, 0, units, area=0.08, aspect=4 / 3)
    alone = image.crop((151, 101, 249, 199)).resize((60, 60), Image.Resampling.BILINEAR)  # 98 < 2 * 60: not shrunk
    assert (got.int() - to_tensor(alone).int()).abs().max() <= 1  # torch and Pillow round differently


def test_sizes_that_are_asked_of_the_decoder(photos: Encoded) -> None:
    seen = []
    for near, size in ((38, (100, 75)), (37, (50, 38)), (1000, (400, 300))):  # a quarter, an eighth, the whole
        image = photos.image(0, near=lambda width, height, near=near: seen.append((width, height)) or near)
        assert image.size == size
    photos.image(1, near=lambda width, height: seen.append((width, height)) or 300)
    assert seen == [(400, 300)] * 3 + [(300, 400)]  # upright


def test_a_broken_image_is_named(photos: Encoded, tmp_path: Path) -> None:
    (tmp_path / "train" / "a" / "0.jpg").write_bytes(b"oops")
    with pytest.raises(BrokenImage, match=r"a/0\.jpg"):
        random_crop(photos, 0, MIDDLE, area=0.08, aspect=4 / 3)
