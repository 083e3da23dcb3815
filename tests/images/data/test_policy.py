"""TrivialAugment and RandAugment: each operation against Pillow's, the ranges of the papers, and batches."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from reslab.images.data.images import to_tensor
from reslab.images.data.policy import apply_policy, changes


def picture(seed: int = 0, *, low: int = 30, high: int = 220) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(low, high, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((48, 36), Image.Resampling.BICUBIC)


def unit(image: Image.Image) -> Tensor:
    return to_tensor(image).float()[None] / 255


TABLE = changes(height=36, width=48)


def changed(name: str, image: Image.Image, amount: float) -> Tensor:
    operation = TABLE[name].operation
    assert operation is not None
    return operation(unit(image), np.array([amount], dtype=np.float64)) * 255


@pytest.mark.parametrize("bits", [8, 6, 3, 2])
def test_posterize_exactly(bits: int) -> None:
    assert (
        changed("posterize", picture(), bits)
        .round()
        .equal(to_tensor(ImageOps.posterize(picture(), bits)).float()[None])
    )


@pytest.mark.parametrize("threshold", [255.0, 130.0, 127.5, 0.0])
def test_solarize_exactly(threshold: float) -> None:
    theirs = ImageOps.solarize(picture(), threshold)
    assert changed("solarize", picture(), threshold).round().equal(to_tensor(theirs).float()[None])


@pytest.mark.parametrize("image", [picture(), picture(3, low=100, high=104), Image.new("RGB", (48, 36), (9, 80, 200))])
def test_equalize_exactly(image: Image.Image) -> None:
    assert changed("equalize", image, 0).round().equal(to_tensor(ImageOps.equalize(image)).float()[None])


@pytest.mark.parametrize("image", [picture(), Image.new("RGB", (48, 36), (9, 80, 200))])
def test_autocontrast_up_to_the_decimals_that_pillow_cuts_off(image: Image.Image) -> None:
    theirs = to_tensor(ImageOps.autocontrast(image)).float()[None]
    assert (changed("autocontrast", image, 0) - theirs).abs().max() < 1.01


@pytest.mark.parametrize("factor", [0.1, 1.0, 1.9])
def test_sharpness_as_pillow_enhances(factor: float) -> None:
    theirs = to_tensor(ImageEnhance.Sharpness(picture()).enhance(factor)).float()[None]
    assert (changed("sharpness", picture(), factor - 1) - theirs).abs().max() < 2.01  # it rounds the smooth image, too


@pytest.mark.parametrize("degrees", [0, 30.0, -135, 90])
def test_rotate_as_pillow_does(degrees: float) -> None:
    theirs = to_tensor(picture().rotate(degrees, Image.Resampling.BILINEAR)).float()[None]
    apart = (changed("rotate", picture(), degrees) - theirs).abs().amax(dim=1)
    assert (apart > 1.01).float().mean() < 0.02  # at the edges, a place may fall on the other side


def test_shear_and_translate_as_pillow_does() -> None:
    image = picture()
    for name, data, amount in (
        ("shear_x", (1, 0.3, 0, 0, 1, 0), 0.3),
        ("shear_y", (1, 0, 0, -0.3, 1, 0), -0.3),
        ("translate_x", (1, 0, -9, 0, 1, 0), 9.7),
        ("translate_y", (1, 0, 0, 0, 1, 4), -4),
    ):
        theirs = to_tensor(image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR))
        apart = (changed(name, image, amount)[0] - theirs).abs().amax(dim=0)
        assert (apart > 1.01).float().mean() < 0.01, name
    assert changed("translate_x", image, 9)[0, :, :, :9].max() == 0  # black comes in from the left


def test_the_ranges_of_the_papers() -> None:
    """torchvision's tables at the least and the greatest strength."""
    full, none = np.array([1.0]), np.array([0.0])
    rand = {"shear_x": 0.3, "translate_x": 48 * 150 / 331, "translate_y": 36 * 150 / 331, "rotate": 30, "color": 0.9,
            "posterize": 4, "solarize": 0}  # fmt: skip
    trivial = {"shear_y": 0.99, "translate_x": 32, "rotate": 135, "contrast": 0.99, "posterize": 2, "solarize": 0}
    assert {name: TABLE[name].rand(full).item() for name in rand} == pytest.approx(rand)
    assert {name: TABLE[name].trivial(full).item() for name in trivial} == pytest.approx(trivial)
    for change in TABLE.values():  # at no strength nothing changes: 0 added, 8 bits, inverted from 255 on
        assert change.rand(none).item() == change.trivial(none).item()
        assert change.rand(none).item() in (0, 8, 255)
    assert len(TABLE) == 14


@pytest.mark.parametrize(("name", "ops"), [("trivial", 1), ("rand", 2), ("rand", 3)])
def test_a_batch_is_its_images(name: str, ops: int) -> None:
    n = 40
    x = torch.cat([unit(picture(k)) for k in range(n)])
    units = np.random.default_rng(2).random((n, 4 * ops))
    whole = apply_policy(x.clone(), units, name=name, ops=ops, magnitude=9)
    alone = [apply_policy(x[k : k + 1].clone(), units[k : k + 1], name=name, ops=ops, magnitude=9) for k in range(n)]
    assert whole.equal(torch.cat(alone))
    assert 0 <= whole.min() <= whole.max() <= 1
    same = sum(a.equal(b) for a, b in zip(whole, x, strict=True))
    assert same < n / 2


def test_every_operation_comes_as_often() -> None:
    """Those of a white image that are not the identity: 12 of 14 leave white as it is, or black comes in."""
    n = 2800
    units = np.random.default_rng(0).random((n, 4))
    which = np.floor(14 * units[:, 0]).astype(int)
    assert np.bincount(which, minlength=14).min() > 150  # 200 expected, standard deviation 14
    white = torch.ones(n, 1, 2, 2)
    dark = 1 - apply_policy(white, units, name="rand", ops=1, magnitude=30)[:, 0, 0, 0]
    halves = dark[which == list(TABLE).index("brightness")]
    # factors of 0.1 and 1.9, half each: white stays white at 1.9
    assert 0.4 < (halves > 0.5).float().mean() < 0.6
    assert halves.max() == pytest.approx(0.9)


def test_no_operation_is_the_image() -> None:
    x = unit(picture())
    assert apply_policy(x.clone(), np.zeros((1, 0)), name="rand", ops=0, magnitude=9).equal(x)


@pytest.mark.parametrize("shape", [(6, 1, 8, 8), (6, 3, 1, 1), (6, 3, 2, 5)])
def test_gray_and_tiny_images(shape: tuple[int, ...]) -> None:
    for k in range(14):
        units = np.full((6, 4), (k + 0.5) / 14)
        got = apply_policy(torch.rand(shape), units, name="trivial", ops=1, magnitude=0)
        assert got.shape == shape
        assert got.isfinite().all()
