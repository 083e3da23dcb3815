"""Means and deviations that can be worked out on paper."""

import json

import pytest
import torch

from reslab.errors import UsageError
from reslab.images.data import Encoded, Normalize, Pixels, load, measure


def part(*images: list) -> Pixels:
    return Pixels(pixels=torch.tensor(images, dtype=torch.uint8), labels=torch.zeros(len(images), dtype=torch.int64))


def test_by_hand() -> None:
    two = part([[[0, 255]]], [[[0, 51]]])  # two images, 1 x 1 x 2: a black pixel, then 1.0 and 0.2
    pixel = measure(two, mean="pixel", std=False)
    assert pixel.mean.tolist() == [[[0.0, pytest.approx(0.6)]]]
    assert pixel.std.tolist() == [[[1.0]]]
    assert pixel(two.pixels).tolist() == [[[[0.0, pytest.approx(0.4)]]], [[[0.0, pytest.approx(-0.4)]]]]
    channel = measure(two, mean="channel", std=True)
    assert channel.mean.item() == pytest.approx(0.3)
    # squares of -0.3, 0.7, -0.3, -0.1: 0.68 / 4
    assert channel.std.item() == pytest.approx(0.17**0.5)
    # around the mean per pixel: 0, 0.4, 0, -0.4
    assert measure(two, mean="pixel", std=True).std.item() == pytest.approx(0.08**0.5)
    assert measure(two, mean="none", std=False)(two.pixels).flatten().tolist() == [0.0, 1.0, 0.0, pytest.approx(0.2)]


def test_a_measured_part_comes_out_standard(pixels: Pixels) -> None:
    x = measure(pixels, mean="channel", std=True)(pixels.pixels).double()
    assert x.mean((0, 2, 3)).abs().max() < 1e-6
    assert (x.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6


def test_constant_channel_is_not_divided_by_zero() -> None:
    black = part([[[0, 0]], [[9, 7]]], [[[0, 0]], [[5, 3]]])  # first channel constant
    for mean in ("pixel", "channel"):
        normalize = measure(black, mean=mean, std=True)
        assert normalize.std[0].item() == 1.0
        assert normalize(black.pixels)[:, 0].tolist() == [[[0.0, 0.0]], [[0.0, 0.0]]]


def test_imagenet() -> None:
    color = part([[[0]], [[0]], [[0]]])
    normalize = measure(color, mean="imagenet", std=True)
    assert normalize.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert normalize.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    with pytest.raises(UsageError, match="3 channels, but these images have 1"):
        measure(part([[[0]]]), mean="imagenet", std=True)


def test_stored_and_back(pixels: Pixels) -> None:
    normalize = measure(pixels, mean="pixel", std=True)
    back = Normalize.from_dict(json.loads(json.dumps(normalize.as_dict())))
    assert back.mean.equal(normalize.mean)
    assert back.std.equal(normalize.std)
    assert Normalize.from_dict({"mean": normalize.mean, "std": normalize.std}).mean.equal(normalize.mean)


def test_float_and_bytes_agree_and_the_input_stays(pixels: Pixels) -> None:
    normalize = measure(pixels, mean="pixel", std=True)
    x = pixels.pixels.float() / 255
    before = x.clone()
    assert normalize(x).equal(normalize(pixels.pixels))
    assert x.equal(before)


def test_mean_per_pixel_at_another_size() -> None:
    normalize = Normalize(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]), torch.ones(1, 1, 1))
    got = normalize(torch.zeros(1, 1, 4, 4))
    assert got[0, 0, 0].tolist() == [0.0, -0.25, -0.75, -1.0]  # bilinear between the two


def test_encoded_is_like_in_memory(shared) -> None:
    file = str(shared / "data" / "mnist" / "test.parquet")
    encoded, whole = load(file, memory=0).train, load(file).train
    assert isinstance(encoded, Encoded)
    assert measure(whole, mean="channel", std=False).mean.item() == pytest.approx(0.1325, abs=0.002)
    some = measure(encoded, mean="channel", std=True)
    every = measure(whole, mean="channel", std=True)
    assert some.mean.item() == pytest.approx(every.mean.item(), abs=0.003)
    assert some.std.item() == pytest.approx(every.std.item(), abs=0.003)
    with pytest.raises(UsageError, match="per-pixel mean needs the images in memory"):
        measure(encoded, mean="pixel", std=False)


def test_empty(pixels: Pixels) -> None:
    with pytest.raises(UsageError, match="the training part is empty"):
        measure(pixels.subset([]), mean="pixel", std=False)
