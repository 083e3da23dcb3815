"""Random boxes: torchvision's sampling, the ranges of many draws, and what happens if nothing fits."""

import math

import numpy as np
import pytest

from reslab.images.data.boxes import UNITS, crop_boxes, cut_box, erased_boxes

N = 3000


def sampled(height: int, width: int, *, area: float = 0.08, aspect: float = 4 / 3) -> np.ndarray:
    units = np.random.default_rng(0).random((N, UNITS))
    return crop_boxes(np.tile([height, width], (N, 1)), units, area=area, aspect=aspect)


def one_at_a_time(height: int, width: int, units: list[float], *, area: float, aspect: float) -> list[int]:
    """torchvision's RandomResizedCrop.get_params, written as its documentation says."""
    for k in range(10):
        target = height * width * (area + (1 - area) * units[k])
        ratio = math.exp(math.log(1 / aspect) + 2 * math.log(aspect) * units[10 + k])
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            return [int(units[20] * (height - h + 1)), int(units[21] * (width - w + 1)), h, w]
    if width / height < 1 / aspect:
        w, h = width, round(width * aspect)
    elif width / height > aspect:
        h, w = height, round(height * aspect)
    else:
        w, h = width, height
    return [(height - h) // 2, (width - w) // 2, h, w]


@pytest.mark.parametrize("size", [(64, 64), (375, 500), (1, 8000), (30, 7), (3, 3)])
def test_as_torchvision_defines_it(size: tuple[int, int]) -> None:
    units = np.random.default_rng(1).random((40, UNITS))
    got = crop_boxes(np.tile(size, (40, 1)), units, area=0.3, aspect=4 / 3).tolist()
    assert got == [one_at_a_time(*size, row, area=0.3, aspect=4 / 3) for row in units.tolist()]


def test_areas_and_aspect_ratios_fill_their_ranges() -> None:
    top, left, h, w = sampled(1000, 1000).T
    share, ratio = h * w / 1e6, w / h
    assert 0.079 < share.min() < 0.09
    assert 0.95 < share.max() <= 1
    assert 0.748 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.336
    assert abs(np.log(ratio).mean()) < 0.01  # upright and flat ones are as frequent
    assert (top >= 0).all()
    assert (top + h <= 1000).all()
    assert (left + w <= 1000).all()
    assert abs((top / np.maximum(1000 - h, 1)).mean() - 0.5) < 0.03


def test_all_of_the_image_is_the_image() -> None:
    assert sampled(20, 20, area=1.0, aspect=1.0)[0].tolist() == [0, 0, 20, 20]


def test_a_strip_gives_its_middle() -> None:
    assert sampled(2, 1000)[0].tolist() == [0, 498, 2, 3]  # none of ten fits: 2 x round(2 * 4 / 3), centered


def test_erased_rectangles() -> None:
    units = np.random.default_rng(0).random((N, UNITS))
    top, left, h, w = erased_boxes(np.tile([224, 224], (N, 1)), units).T
    share = (h * w / 224**2)[h > 0]
    assert (h > 0).all()
    assert 0.0195 < share.min() < 0.021
    assert 0.32 < share.max() < 0.335
    assert (top + h <= 224).all()
    assert (left + w <= 224).all()
    assert erased_boxes(np.array([[1, 1]]), np.full((1, UNITS), 0.0)).tolist() == [[0, 0, 0, 0]]  # 0.02 pixels: nothing


@pytest.mark.parametrize(
    ("share", "center", "box"),
    [
        (0.25, (0.5, 0.5), (2, 3, 4, 6)),  # half of each side, in the middle
        (0.25, (0.0, 0.0), (0, 0, 2, 3)),  # a quarter of it is left in the corner
        (1.0, (0.5, 0.5), (0, 0, 8, 12)),
        (0.0, (0.3, 0.3), (2, 4, 0, 0)),
    ],
)
def test_the_box_of_cutmix(share: float, center: tuple[float, float], box: tuple[int, ...]) -> None:
    assert cut_box(8, 12, share=share, center=center) == box
