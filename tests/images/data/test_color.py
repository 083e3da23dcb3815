"""Changes of color against Pillow's, the standard library's HSV, and torchvision's definition of jitter."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from reslab.images.data.color import brightness, contrast, each, hue, jitter, luma, saturation
from reslab.images.data.images import to_tensor


def picture(seed: int = 0, *, mode: str = "RGB", size: tuple[int, int] = (13, 9)) -> Image.Image:
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(rng.integers(20, 256, shape, dtype=np.uint8))


def unit(image: Image.Image) -> Tensor:
    return to_tensor(image).float()[None] / 255


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(brightness, ImageEnhance.Brightness), (contrast, ImageEnhance.Contrast), (saturation, ImageEnhance.Color)],
)
def test_as_pillow_enhances(ours, theirs, mode: str, factor: float) -> None:
    image = picture(mode=mode)
    expected = unit(theirs(image).enhance(factor))
    got = ours(unit(image), np.array([factor]))
    # Pillow rounds the luma and the mean to whole levels and cuts decimals off: up to two levels
    assert (got - expected).abs().max() < 2.01 / 255


def test_hue_as_the_standard_library_turns_it() -> None:
    x = unit(picture())
    for shift in (-0.5, -0.13, 0.0, 0.25, 0.5):
        got = hue(x.clone(), np.array([shift]))[0]
        for Y, X in ((0, 0), (3, 7), (8, 12)):
            h, s, v = colorsys.rgb_to_hsv(*x[0, :, Y, X].tolist())
            assert got[:, Y, X].tolist() == pytest.approx(colorsys.hsv_to_rgb((h + shift) % 1, s, v), abs=1e-5)


def test_a_third_of_the_circle_turns_red_into_green() -> None:
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert hue(red.clone(), np.array([1 / 3])).flatten().tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert hue(red.clone(), np.array([-1 / 3])).flatten().tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert luma(red).item() == pytest.approx(0.299)


def test_gray_images_have_neither_saturation_nor_hue() -> None:
    x = unit(picture(mode="L"))
    assert saturation(x.clone(), np.array([0.3])).equal(x)
    assert hue(x.clone(), np.array([0.3])).equal(x)


def test_each_image_its_own_operation() -> None:
    x = torch.full((3, 1, 2, 2), 0.5)
    double, half = (lambda x, a: x * 2 * a[0]), (lambda x, a: x / 2)
    got = each(x, [None, double, half], which=np.array([1, 0, 2]), amounts=np.array([0.5, 9.0, 9.0]))
    assert got[:, 0, 0, 0].tolist() == [0.5, 0.5, 0.25]


def test_jitter_of_a_batch_is_that_of_each_image() -> None:
    x = torch.cat([unit(picture(k)) for k in range(8)])
    units = np.random.default_rng(1).random((8, 8))
    whole = jitter(x.clone(), units, strengths=(0.4, 0.4, 0.4, 0.1))
    alone = [jitter(x[k : k + 1].clone(), units[k : k + 1], strengths=(0.4, 0.4, 0.4, 0.1)) for k in range(8)]
    assert whole.equal(torch.cat(alone))
    assert not whole.equal(x)


def test_jitter_samples_factors_and_orders() -> None:
    """A gray pixel of 0.5 keeps its hue and contrast, so what comes out is the factor of brightness."""
    n = 4000
    units = np.random.default_rng(0).random((n, 8))
    factors = 2 * jitter(torch.full((n, 3, 1, 1), 0.5), units, strengths=(0.4, 0, 0, 0))[:, 0, 0, 0]
    assert 0.6 < factors.min() < 0.61 and 1.39 < factors.max() < 1.4  # noqa: PT018
    assert abs(factors.mean() - 1) < 0.012  # three standard errors of 0.8 / sqrt(12 n)
    most = 2 * jitter(torch.full((n, 3, 1, 1), 0.5), units, strengths=(3.0, 0, 0, 0))[:, 0, 0, 0]
    assert most.min() >= 0  # never a negative factor: the range is [0, 4]
    orders = units[:, :4].argsort(axis=1)
    assert len(np.unique(orders, axis=0)) == 24


def test_brightness_before_or_after_contrast_differs_as_by_hand() -> None:
    x = torch.tensor([0.2, 0.8]).view(1, 1, 1, 2)
    # brightness 2 first: 0.4, 1 (cut), mean 0.7, halved around it: 0.55, 0.85; contrast first: 0.35, 0.65, then 0.7, 1
    amounts = [1.0, 0.0, 0.5, 0.5]  # factors 2 of [0, 2] and 0.5 of [0.5, 1.5]
    first = jitter(x.clone(), np.array([[0.1, 0.2, 0.3, 0.4, *amounts]]), strengths=(1, 0.5, 0, 0))
    second = jitter(x.clone(), np.array([[0.2, 0.1, 0.3, 0.4, *amounts]]), strengths=(1, 0.5, 0, 0))
    assert first.flatten().tolist() == pytest.approx([0.55, 0.85], abs=0.002)
    assert second.flatten().tolist() == pytest.approx([0.7, 1.0], abs=0.002)
