"""From a table to parts: rows set aside, class weights, batch sizes, fingerprints."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.errors import UsageError
from reslab.tables.data.frame import Frame, read_frame
from reslab.tables.data.target import Target
from reslab.tables.parts import Parts, fingerprint, make_parts
from reslab.tables.training import batch_for, set_aside


@given(
    groups=st.lists(st.integers(0, 4), min_size=3, max_size=80), share=st.floats(0.05, 0.95), seed=st.integers(0, 99)
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_parts_are_disjoint_and_whole_and_every_class_keeps_a_row(groups: Any, share: float, seed: int) -> None:
    """Of each class its share rounded down or up, of all rows in classes of two or more the share itself."""
    classes, part = np.array(groups), Fraction(share).limit_denominator(10**6)
    counts = [groups.count(k) for k in sorted(set(groups))]
    total = round(part * sum(n for n in counts if n > 1))
    if total == 0:
        with pytest.raises(UsageError, match=r"too few to set .* aside of each: give more rows"):
            set_aside(len(classes), share, seed=seed, groups=classes)
        return
    kept, held = set_aside(len(classes), share, seed=seed, groups=classes)
    assert sorted([*kept, *held]) == list(range(len(classes)))
    assert set(classes[kept]) == set(classes)
    for k in set(groups):
        n, aside = groups.count(k), (classes[held] == k).sum()
        assert min(math.floor(part * n), n - 1) <= aside <= min(math.ceil(part * n), n - 1)
    assert len(held) <= total
    assert len(held) == total or part > 0.5  # with more, the last row of a class may be wanted
    again = set_aside(len(classes), share, seed=seed, groups=classes)
    assert np.array_equal(again[0], kept)


def test_rare_classes_reach_the_part_that_is_set_aside() -> None:
    """400 rows, half of them in classes of two: 20 % are 80 rows, 40 of the two large classes and 40 rare ones."""
    classes = np.array([*[0] * 100, *[1] * 100, *np.repeat(np.arange(2, 102), 2)])
    held = set_aside(400, 0.2, seed=0, groups=classes)[1]
    assert len(held) == 80
    assert [(classes[held] == k).sum() for k in (0, 1)] == [20, 20]
    rare = classes[held][classes[held] > 1]
    assert len(set(rare)) == len(rare) == 40
    others = classes[set_aside(400, 0.2, seed=1, groups=classes)[1]]
    assert set(others) != set(classes[held])  # the seed says which


def test_many_classes_of_three_rows() -> None:
    classes = np.repeat(np.arange(100), 3)
    kept, held = set_aside(300, 0.2, seed=0, groups=classes)
    assert (len(kept), len(held)) == (240, 60)
    assert len(set(classes[held])) == 60


def test_a_class_of_one_row_stays_in_training() -> None:
    """Of 10 rows in a class and 10 alone in theirs, 20 % of the former: 2 rows."""
    classes = np.array([*[0] * 10, *range(1, 11)])
    held = set_aside(20, 0.2, seed=0, groups=classes)[1]
    assert classes[held].tolist() == [0, 0]


def test_so_many_rows_or_a_share() -> None:
    assert [len(part) for part in set_aside(100, 0.2, seed=0)] == [80, 20]
    assert [len(part) for part in set_aside(100, 30, seed=0)] == [70, 30]
    assert not np.array_equal(set_aside(100, 30, seed=0)[1], set_aside(100, 30, seed=1)[1])
    for share, sentence in ((100, "fewer than the 100 rows, got 100"), (0, "got 0"), (-1, "got -1")):
        with pytest.raises(UsageError, match=sentence):
            set_aside(100, share, seed=0)
    with pytest.raises(UsageError, match="3 rows are too few to set 10 % aside: give more rows"):
        set_aside(3, 0.1, seed=0)
    with pytest.raises(UsageError, match="2 rows of 1 classes are too few to set 20 % aside of each: do without"):
        set_aside(2, 0.2, seed=0, groups=np.array([0, 0]), cure="do without")
    with pytest.raises(UsageError, match="1 row is too few"):
        set_aside(1, 0.2, seed=0)


def test_a_share_may_be_a_float_of_numpy() -> None:
    """A float32 is close to 0.2; 42.4 of 212 rows and 71.4 of 357 are aside, 113.8 in all."""
    classes = np.repeat([0, 1], [212, 357])
    plain = set_aside(569, 0.2, seed=0, groups=classes)[1]
    for share in (np.float32(0.2), np.float64(0.2)):
        assert np.array_equal(set_aside(569, share, seed=0, groups=classes)[1], plain)


def test_batches_for_some_64_updates_an_epoch() -> None:
    assert [batch_for(rows, 256) for rows in (10, 1535, 1536, 5000, 10**6)] == [16, 16, 32, 64, 256]
    assert batch_for(10, 8) == 8


def parts(frame: Frame, y: Any, *, kind: Any = None, **options: Any) -> Parts:
    target = Target.fit(y, kind)
    return make_parts({"train": frame}, {"train": target.encode(y)}, target=target, **options)


def test_class_weights_are_1_on_average() -> None:
    """Three rows of class 0, one of class 1 that weighs six times as much: 3 * 4/9 + 24/9 = 4."""
    frame = read_frame({"a": [1.0, 2.0, 3.0, 4.0]})
    assert parts(frame, [0, 0, 0, 1], class_weight={1: 6}).weights == pytest.approx([4 / 9, 24 / 9])
    assert parts(frame, [0, 0, 0, 1], class_weight="balanced").weights == pytest.approx([2 / 3, 2])


def test_a_fingerprint_is_of_all_that_is_trained_on() -> None:
    columns = {"a": [1.5, 2.5, 3.5, 4.5], "b": ["x", "y", "x", "y"]}
    frame, y = read_frame(columns), [0, 1, 0, 1]
    base = fingerprint(parts(frame, y))
    assert base == fingerprint(parts(read_frame(dict(columns)), np.array(y)))
    others = [
        parts(read_frame({**columns, "a": [1.5, 2.5, 3.5, 4.75]}), y),
        parts(read_frame({**columns, "b": ["x", "y", "y", "x"]}), y),
        parts(read_frame({"A": columns["a"], "b": columns["b"]}), y),
        parts(frame, [0, 1, 1, 1]),
        parts(frame, ["no", "yes", "no", "yes"]),
        parts(frame, y, class_weight={1: 3}),
        parts(frame, y, kinds={"a": "category"}),
        parts(frame, y, kind="numbers"),
        parts(frame, [0, 2, 0, 2], kind="numbers"),  # the same when standardized
    ]
    assert len({base, *map(fingerprint, others)}) == 1 + len(others)
