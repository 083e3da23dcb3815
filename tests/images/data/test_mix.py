"""Erasing, mixup and cutmix by hand, and the distribution of their shares."""

import numpy as np
import pytest
import torch

from reslab.images.data.boxes import UNITS
from reslab.images.data.mix import cutmix, cutout, erase, mix, mixup, share, soft

PLAIN = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 4, 4)  # image k is k everywhere


def test_erase_sets_one_rectangle_to_the_mean() -> None:
    n = 400
    units = np.random.default_rng(0).random((n, UNITS + 1))
    got = erase(torch.ones(n, 2, 16, 16), units, probability=0.25)
    erased = got[:, 0] == 0
    assert got[:, 0].equal(got[:, 1])
    assert set(got.unique().tolist()) == {0.0, 1.0}
    some = erased.flatten(1).any(dim=1)
    assert 75 < some.sum() < 125  # 100 expected, standard deviation 9
    for one in erased[some]:
        rows, columns = one.any(dim=1).nonzero(), one.any(dim=0).nonzero()
        assert one.sum() == len(rows) * len(columns)  # a full rectangle
        assert rows.max() - rows.min() + 1 == len(rows)
    assert erase(torch.ones(n, 2, 16, 16), units, probability=0.0).min() == 1


def test_mixup_by_hand() -> None:
    x, y = mixup(PLAIN, soft(torch.tensor([0, 1, 2, 0]), 3), own=0.75, step=1)
    assert x[:, 0, 0, 0].tolist() == [0.75, 0.75, 1.75, 2.75]  # 3/4 of itself, 1/4 of the one before; before 0 is 3
    assert y.tolist() == [[1, 0, 0], [0.25, 0.75, 0], [0, 0.25, 0.75], [0.75, 0, 0.25]]


def test_cutmix_counts_the_pixels_that_were_replaced() -> None:
    y = soft(torch.tensor([0, 1, 2, 3]), 4)
    x, mixed = cutmix(
        PLAIN, y, own=0.75, center=(0.0, 0.0), step=1
    )  # a box of 2 x 2 around the corner: 1 pixel is left
    assert x[1].sum() == 15 * 1 + 0
    assert x[1, 0, 0, 0] == 0
    assert mixed[1].tolist() == [1 / 16, 15 / 16, 0, 0]
    for own, center in ((0.3, (0.4, 0.9)), (0.9, (0.5, 0.5)), (1.0, (0.5, 0.5)), (0.0, (0.5, 0.5))):
        x, mixed = cutmix(PLAIN, y, own=own, center=center, step=1)
        from_image_2 = (x[3] == 2).float().mean()
        assert mixed[3, 2] == pytest.approx(from_image_2.item())
        assert mixed.sum(dim=1).tolist() == pytest.approx([1, 1, 1, 1])


def test_the_partner_is_another_image_where_copies_lie_side_by_side() -> None:
    x, _ = mixup(torch.tensor([0.0, 0, 1, 1]).view(4, 1, 1, 1), torch.ones(4, 1), own=0.0, step=2)
    assert x.flatten().tolist() == [1, 1, 0, 0]


def test_several_labels_are_mixed_one_by_one() -> None:
    several = torch.tensor([[1, 1, 0], [0, 1, 1]])
    _, y = mixup(PLAIN[:2], soft(several, 3), own=0.75, step=1)
    assert y.tolist() == [[0.75, 1, 0.25], [0.25, 1, 0.75]]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_from_beta(alpha: float) -> None:
    u = (np.arange(2000) + 0.5) / 2000
    shares = np.array([share(alpha, one) for one in u])
    assert shares.mean() == pytest.approx(0.5, abs=1e-6)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.01)  # the variance of Beta(alpha, alpha)


def test_one_of_both_per_batch() -> None:
    y = soft(torch.arange(4), 4)
    kinds = []
    for k in range(200):
        units = np.random.default_rng(k).random(4)
        x, _ = mix(PLAIN, y, units, mixup_alpha=0.8, cutmix_alpha=1.0, step=1)
        kinds.append(bool((x == x.round()).all()))  # cutmix leaves every pixel whole
    assert 75 < sum(kinds) < 125
    only, _ = mix(PLAIN, y, np.array([0.1, 0.5, 0.5, 0.5]), mixup_alpha=0.0, cutmix_alpha=1.0, step=1)
    assert only.equal(only.round())


def test_cutout_sets_one_square_to_the_mean() -> None:
    """Its center is any pixel, so at the border a part of it is outside."""
    words = np.random.default_rng(0).integers(0, 2**63, (400, 4), dtype=np.uint64)
    got = cutout(torch.ones(400, 2, 10, 12), words, side=4)
    assert got[:, 0].equal(got[:, 1])
    centers = set()
    for one, (y, x) in zip(got[:, 0], (words[:, :2] % np.array([10, 12], dtype=np.uint64)).tolist(), strict=True):
        top, left = max(0, y - 2), max(0, x - 2)
        assert one[top : y + 2, left : x + 2].max() == 0
        assert 120 - one.sum() == (min(10, y + 2) - top) * (min(12, x + 2) - left)
        centers.add((y, x))
    assert len(centers) > 100  # of 120 places
