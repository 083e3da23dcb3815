"""Batched crop and flip against one image at a time, written as the paper says it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reslab.errors import UsageError
from reslab.images.data import Augment, Normalize
from reslab.images.data.augment import below, color_shift, crop_and_flip, shift_colors
from reslab.train.order import CROP, draws


def one_at_a_time(x: Tensor, words: np.ndarray, *, pad: int, flip: bool) -> Tensor:
    out = []
    for image, (top, left, mirror, _) in zip(x, words.tolist(), strict=True):
        _, H, W = image.shape
        top, left = top % (2 * pad + 1), left % (2 * pad + 1)
        image = F.pad(image, (pad, pad, pad, pad))[:, top : top + H, left : left + W]
        out.append(image.flip(2) if flip and mirror % 2 else image)
    return torch.stack(out)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    pad=st.integers(0, 5),
    flip=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_crop_and_flip(shape: tuple[int, ...], pad: int, flip: bool, seed: int) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    before = x.clone()
    words = draws(100, batch=shape[0], iteration=0, seed=seed, stream=CROP)
    got = crop_and_flip(x, words, pad=pad, flip=flip)
    assert got.equal(one_at_a_time(x, words, pad=pad, flip=flip))
    assert got.is_contiguous()
    assert x.equal(before)


def test_every_offset_and_both_mirrors_come() -> None:
    words = draws(2000, batch=2000, iteration=0, seed=0, stream=CROP)
    tops, counts = np.unique(below(words[:, 0], 9), return_counts=True)
    assert tops.tolist() == list(range(9))
    assert counts.min() > 150  # 222 expected, standard deviation 14
    assert 900 < below(words[:, 2], 2).sum() < 1100  # 1000 expected, standard deviation 22


def test_color_shift_has_alexnets_covariance() -> None:
    shift = color_shift(draws(20_000, batch=20_000, iteration=0, seed=0, stream=CROP)).double()
    # variance of red: 0.01 * sum of (eigenvector's red * eigenvalue) squared
    red = 0.01 * ((0.5675 * 0.2175) ** 2 + (0.7192 * 0.0188) ** 2 + (0.4009 * 0.0045) ** 2)
    assert shift[:, 0].var().item() == pytest.approx(red, rel=0.05)
    assert shift.mean(0).abs().max() < 0.0005
    # the first axis is brightness: red, green and blue move together
    assert torch.corrcoef(shift.T)[0, 2] > 0.9


def test_color_is_added_before_normalization() -> None:
    words = draws(4, batch=2, iteration=0, seed=0, stream=CROP)
    normalize = Normalize(torch.full((3, 1, 1), 0.5), torch.tensor([0.5, 0.25, 2.0]).view(3, 1, 1))
    x = torch.rand(2, 3, 4, 4)
    expected = normalize(x + color_shift(words)[:, :, None, None])
    assert torch.allclose(shift_colors(normalize(x), words, normalize=normalize), expected, atol=1e-6)
    with pytest.raises(UsageError, match=r"needs RGB images; these have 1 channel"):
        shift_colors(torch.rand(2, 1, 4, 4), words, normalize=normalize)


def test_what_is_random() -> None:
    """So that the features of a frozen backbone are computed once only where every epoch shows the same images."""
    still = [{}, {"policy": "rand", "policy_ops": 0}, {"area": 0.5, "flip": True}]
    moving = [{"kind": "crop"}, {"policy": "trivial", "policy_ops": 0}, {"jitter": (0, 0, 0, 0.1)}, {"erase": 0.1},
              {"mixup": 0.1}, {"cutmix": 1.0}, {"policy": "rand"}, {"cutout": 2}]  # fmt: skip
    assert [Augment(**one).random for one in (*still, *moving)] == [False] * 3 + [True] * 8
    assert [Augment(**one).operations for one in still] == [0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kind": "cutout"}, "must be none, crop, scale or resized-crop, got 'cutout'"),
        ({"pad": -1}, "pad must be zero or more, got -1"),
        ({"jitter": (0, -1.0, 0, 0)}, "contrast must be zero or more, got -1"),
        ({"jitter": (0, 0, 0, 0.6)}, "hue must be between 0 and 0.5, got 0.6"),
        ({"area": 0.0}, "area must be above 0 and at most 1, got 0"),
        ({"aspect": 0.75}, "aspect must be 1 or more, got 0.75"),
        ({"policy": "auto"}, "policy must be none, trivial or rand, got 'auto'"),
        ({"erase": 1.5}, "erase must be between 0 and 1, got 1.5"),
        ({"cutout": -2}, "cutout must be zero or more, got -2"),
        ({"mixup": float("nan")}, "mixup must be zero or more, got nan"),
        ({"scale": (480, 256)}, "the smaller first, got 480 and 256"),
    ],
)
def test_what_cannot_be(wrong: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Augment(**wrong)
