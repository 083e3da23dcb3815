"""The order of images and their draws depend on counters alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.errors import UsageError
from reslab.train.order import CROP, ORDER, WORDS, Order, batch_indices, draws, epoch_order

small = st.integers(1, 40)
seeds = st.integers(0, 2**63 - 1)


@settings(deadline=None)
@given(n=small, batch=small, seed=seeds)
def test_every_epoch_is_a_permutation(n: int, batch: int, seed: int) -> None:
    iterations = -(-3 * n // batch)
    stream = torch.cat([batch_indices(n, batch=batch, iteration=t, seed=seed) for t in range(iterations)])
    for epoch in range(3):
        assert sorted(stream[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@settings(deadline=None)
@given(n=small, batch=small, iteration=st.integers(0, 1000), seed=seeds)
def test_draws_belong_to_positions_not_to_batches(n: int, batch: int, iteration: int, seed: int) -> None:
    whole = draws(n, batch=batch, iteration=iteration, seed=seed, stream=CROP)
    one_by_one = [
        draws(n, batch=1, iteration=p, seed=seed, stream=CROP)
        for p in range(iteration * batch, (iteration + 1) * batch)
    ]
    assert np.array_equal(whole, np.concatenate(one_by_one))
    assert whole.shape == (batch, WORDS)


def test_epochs_seeds_and_streams_differ() -> None:
    orders = [epoch_order(50, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    streams = [draws(50, batch=50, iteration=0, seed=0, stream=stream) for stream in (ORDER, CROP)]
    assert not np.array_equal(*streams)


def test_no_position_is_drawn_twice() -> None:
    words = np.concatenate([draws(100, batch=30, iteration=t, seed=5, stream=CROP) for t in range(10)])
    assert len(np.unique(words)) == words.size


@settings(deadline=None)
@given(labels=st.lists(st.sampled_from([0, 0, 0, 1, 3]), min_size=1, max_size=40), batch=small, seed=seeds)
def test_balanced_sampling_gives_each_class_its_turns(labels: list[int], batch: int, seed: int) -> None:
    """n / K turns of each class an epoch, up to rounding, and over all epochs too; no image twice before all once."""
    n, known = len(labels), sorted(set(labels))
    order = Order(n=n, batch=batch, seed=seed, labels=torch.tensor(labels))
    stream = torch.cat([order.rows(t) for t in range(-(-5 * n // batch))])[: 5 * n].tolist()
    turns = [[sum(labels[row] == k for row in stream[e * n : (e + 1) * n]) for k in known] for e in range(5)]
    for counts in (*turns, list(map(sum, zip(*turns, strict=True)))):
        assert sum(counts) in (n, 5 * n)
        assert max(counts) - min(counts) <= 1
    for k in known:
        members, drawn = labels.count(k), [row for row in stream if labels[row] == k]
        for start in range(0, len(drawn) - members + 1, members):
            assert len(set(drawn[start : start + members])) == members


@settings(deadline=None)
@given(n=small, distinct=small, repeats=st.integers(1, 4), balanced=st.booleans(), seed=seeds)
def test_repeats_show_a_part_of_the_images(n: int, distinct: int, repeats: int, balanced: bool, seed: int) -> None:
    """Each of the images of a smaller batch fills neighboring positions."""
    labels = torch.arange(n) % 3 if balanced else None
    order = Order(n=n, batch=distinct * repeats, seed=seed, repeats=repeats, labels=labels)
    once = Order(n=n, batch=distinct, seed=seed, labels=labels)
    for t in range(4):
        assert order.rows(t).view(distinct, repeats).T.tolist() == [once.rows(t).tolist()] * repeats
    if not balanced:
        assert torch.equal(once.rows(3), batch_indices(n, batch=distinct, iteration=3, seed=seed))


@settings(deadline=None)
@given(n=small, distinct=small, repeats=st.integers(1, 4), seed=seeds)
def test_an_image_is_mirrored_in_every_other_epoch(n: int, distinct: int, repeats: int, seed: int) -> None:
    """An epoch shows each row once, and its copies in one batch face the same side as it."""
    order = Order(n=n, batch=distinct * repeats, seed=seed, repeats=repeats)
    iterations = range(-(-4 * n // distinct))
    rows = torch.cat([order.rows(t) for t in iterations]).view(-1, repeats)[: 4 * n, 0].view(4, n)
    sides = np.concatenate([order.facing(t) for t in iterations]).reshape(-1, repeats)[: 4 * n].reshape(4, n, repeats)
    by_row = np.take_along_axis(sides, rows.argsort(dim=1).numpy()[..., None], axis=1)  # (epoch, row, copy)
    assert (by_row == by_row[:1, :, :1] ^ (np.arange(4) % 2 == 1)[:, None, None]).all()


def test_an_image_of_a_rare_class_comes_often() -> None:
    """190 images of one class and 10 of another: 100 and 100 an epoch, each rare image exactly ten times."""
    labels = torch.tensor([0] * 190 + [1] * 10)
    epochs = [Order(n=200, batch=200, seed=7, labels=labels).rows(t) for t in range(2)]
    for rows in epochs:
        assert torch.bincount(labels[rows]).tolist() == [100, 100]
        assert torch.bincount(rows, minlength=200)[190:].tolist() == [10] * 10
    assert not torch.equal(*epochs)
    assert not torch.equal(epochs[0], Order(n=200, batch=200, seed=8, labels=labels).rows(0))


def test_what_cannot_be_ordered() -> None:
    with pytest.raises(UsageError, match="but these images have several labels each; set sampling="):
        Order(n=2, batch=2, seed=0, labels=torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(UsageError, match="batch must be a multiple of repeats 3, got 8"):
        Order(n=2, batch=8, seed=0, repeats=3)
