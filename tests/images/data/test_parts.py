"""Which images are measured: never some of them without a word."""

import dataclasses
from typing import Any

import pytest
import torch

from reslab.errors import UsageError
from reslab.images.data.images import ImageData, Pixels
from reslab.images.data.normalize import given
from reslab.images.data.parts import described, part_of


def part(*labels: int) -> Pixels:
    return Pixels(pixels=torch.tensor(labels, dtype=torch.uint8).view(-1, 1, 1, 1), labels=torch.tensor(labels))


def data(*, split: bool) -> ImageData:
    return ImageData(name="photos", train=part(0, 1, 2, 3), test=part(4), classes=tuple("01234"), shape=(1, 1, 1),
                     fingerprint="abc", about="", split=split)  # fmt: skip


@pytest.mark.parametrize(
    ("split", "asked", "trained_on", "labels", "name"),
    [
        (True, None, None, [0, 1, 2, 3, 4], "all"),  # a model from elsewhere: nothing was trained on them
        (True, None, "another", [0, 1, 2, 3, 4], "all"),
        (True, None, "abc", [4], "test"),  # the model was trained on the other four
        (True, "test", None, [4], "test"),
        (True, "train", None, [0, 1, 2, 3], "train"),
        (False, None, None, [4], "test"),
        (False, "train", "abc", [0, 1, 2, 3], "train"),
    ],
)
def test_data_without_a_test_part_are_used_whole(
    split: bool, asked: Any, trained_on: str | None, labels: list[int], name: str
) -> None:
    chosen, which = part_of(data(split=split), asked, trained_on=trained_on)
    assert (chosen.labels.tolist(), which) == (labels, name)
    assert isinstance(chosen, Pixels)
    assert chosen.pixels.flatten().tolist() == labels


def test_what_was_used_is_said() -> None:
    assert described("test", 100, 360, "digits") == "100 of 360 test images of digits"
    assert described("train", 50, 50, "digits") == "all 50 training images of digits"
    assert described("all", 2000, 2000, "x") == "all 2,000 images of x, which has no test part"


def test_a_mean_and_std_of_ones_own() -> None:
    """(128/255 - 0.5) / 0.25, and each channel with its own numbers."""
    x = torch.full((1, 3, 1, 1), 128, dtype=torch.uint8)
    assert given((0.5, 0.25), channels=3)(x).flatten().tolist() == pytest.approx(
        [(128 / 255 - 0.5) / 0.25] * 3, abs=1e-6
    )
    own = given((0.1, 0.2, 0.3, 0.5, 0.25, 1.0), channels=3)(x).flatten().tolist()
    pairs = ((0.1, 0.5), (0.2, 0.25), (0.3, 1.0))
    assert own == pytest.approx([(128 / 255 - mean) / std for mean, std in pairs], abs=1e-6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5,), "takes a mean and a std, or 3 means and then 3 stds, got 0.5"),
        ((0.5, 0.25, 0.1), "got 0.5 0.25 0.1"),
        ((0.5, float("nan")), "got 0.5 nan"),
        ((0.5, 0.0), "a std must be positive, got 0"),
        ((0.5, -0.25), "a std must be positive, got -0.25"),
        ((125.4, 63.0), "is for pixels in 0 to 1, got the mean 125.4; divide all numbers by 255"),
    ],
)
def test_wrong_numbers_are_one_sentence(values: tuple[float, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        given(values, channels=3)


def test_a_split_keeps_its_fingerprint() -> None:
    """The new field is no part of what a run stores."""
    assert data(split=True).describe() == dataclasses.replace(data(split=True), split=False).describe()
