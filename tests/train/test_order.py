"""The order of images and their draws depend on counters alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.train.order import CROP, ORDER, WORDS, batch_indices, draws, epoch_order

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
