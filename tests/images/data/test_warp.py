"""Crops and affine maps of a batch against Pillow's of one image."""

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.images.data.decode import resize_box
from reslab.images.data.images import to_tensor
from reslab.images.data.warp import affine, crop_resized


def smooth(seed: int, *, mode: str = "RGB") -> Image.Image:
    """A picture without single-pixel noise."""
    rng = np.random.default_rng(seed)
    shape = (5, 7, 3) if mode == "RGB" else (5, 7)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).resize((40, 30), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_box_resized_as_pillow_does(mode: str) -> None:
    images = [smooth(k, mode=mode) for k in range(4)]
    boxes = np.array([[0, 0, 30, 40], [3, 5, 11, 17], [29, 39, 1, 1], [10, 0, 20, 8]])
    got = crop_resized(torch.stack([to_tensor(image) for image in images]), boxes)
    for x, image, (top, left, h, w) in zip(got, images, boxes.tolist(), strict=True):
        theirs = to_tensor(resize_box(image, (left, top, left + w, top + h), height=30, width=40))
        assert (x - theirs).abs().max() < 1.01  # Pillow rounds twice: between rows and columns, too
    assert (got[0] - to_tensor(images[0])).abs().max() < 1e-3  # the whole image is the image


@pytest.mark.parametrize(
    "coefficients",
    [(1, 0.3, 0, 0, 1, 0), (1, 0, -7, 0, 1, 4), (0.8, -0.6, 17, 0.6, 0.8, -9), (1, 0, 0, -0.99, 1, 0)],
)
def test_affine_as_pillow_does(coefficients: tuple[float, ...]) -> None:
    image = smooth(3)
    x = to_tensor(image).float()[None]
    got = affine(x, np.array([coefficients], dtype=np.float64))[0]
    theirs = to_tensor(image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))
    apart = (got - theirs).abs().amax(dim=0)
    assert (apart > 1.01).float().mean() < 0.01  # at the edges, a place may fall on the other side


def test_a_batch_is_its_images() -> None:
    x = torch.rand(8, 3, 21, 33)
    rng = np.random.default_rng(0)
    maps = np.array([1, 0, 0, 0, 1, 0]) + rng.normal(size=(8, 6)) * [0.3, 0.3, 3, 0.3, 0.3, 3]
    boxes = np.stack([rng.integers(0, 9, 8), rng.integers(0, 9, 8), rng.integers(1, 12, 8), rng.integers(1, 20, 8)], 1)
    for function, values in ((affine, maps), (crop_resized, boxes)):
        whole = function(x, values)
        assert whole.equal(torch.cat([function(x[k : k + 1], values[k : k + 1]) for k in range(8)]))
