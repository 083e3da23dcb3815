"""The split by class: as near the share as whole rows go."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.errors import UsageError
from reslab.train.split import FIFTH, fixed_split, quotas, stratified


def test_quotas_by_hand() -> None:
    """A fifth of 7, 8 and 5 rows: 1.4, 1.6 and 1. One of each and, of the 4 wanted, one more of the second."""
    assert quotas([7, 8, 5], FIFTH, total=4, ties=range(3)) == [1, 2, 1]
    assert quotas([1, 1, 10], FIFTH, total=2, ties=range(3)) == [0, 0, 2]
    assert quotas([2, 2, 2], FIFTH, total=1, ties=(2, 0, 1)) == [0, 0, 1]
    assert quotas([2, 2, 2], FIFTH, total=1, ties=range(3), least=1) == [1, 1, 1]
    assert quotas([2, 3], Fraction(9, 10), total=4, ties=range(2)) == [1, 2]  # the last row of a class stays


@given(counts=st.lists(st.integers(2, 40), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_images_are_split_as_they_always_were(counts: list[int]) -> None:
    """The rule of the first version, which everyone's fingerprints rest on, in its own words."""
    quota = [max(1, count // 5) for count in counts]
    left_over = -(-sum(counts) // 5) - sum(quota)
    neediest = sorted(range(len(counts)), key=lambda k: (-(counts[k] % 5), k))
    for k in [k for k in neediest if counts[k] >= 5][: max(0, left_over)]:
        quota[k] += 1
    found = quotas(counts, FIFTH, total=math.ceil(FIFTH * sum(counts)), least=1, ties=range(len(counts)))
    assert found == quota


def test_each_class_gives_its_quota_and_rows_are_in_order() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    kept, held = stratified(labels, [1, 3], seed=0)
    assert labels[held].bincount().tolist() == [1, 3]
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(10))
    assert kept.tolist() == sorted(kept.tolist())
    assert not torch.equal(stratified(labels, [1, 3], seed=1)[1], held)


def test_a_class_of_one_image_cannot_be_split() -> None:
    with pytest.raises(UsageError, match=r"class 'b' has 1 image\(s\): splitting off a test part needs two or more"):
        fixed_split(torch.tensor([0, 0, 1]), classes=("a", "b"))
