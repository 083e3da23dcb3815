"""The order of examples and the random numbers of each one: functions of counters, without hidden state.

Everything random about training data is a function of (seed, epoch, position), computed with Philox
(Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), a generator that can start at any
position. Only its raw 64-bit words are used: they are fixed by its definition, while numpy's
distributions may change between versions.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

ORDER, CROP, COLOR = 0, 1, 2  # streams: independent random numbers for the same seed and epoch
WORDS = 4  # 64-bit words in one Philox block: random words per position and stream


def shuffled(n: int, *key: int) -> Tensor:
    """A permutation of 0..n-1, int64 (n,), determined by `key`."""
    return torch.from_numpy(np.argsort(_philox(key, 0).random_raw(n), kind="stable"))


def uniform(n: int, *key: int) -> list[float]:
    """n numbers in [0, 1), determined by `key`."""
    return [int(word >> 11) * 2.0**-53 for word in _philox(key, 0).random_raw(n).tolist()]


@lru_cache(maxsize=2)  # a batch across the end of an epoch needs two
def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order of epoch `epoch`: a permutation of 0..n-1, int64 (n,). Do not write into it."""
    return shuffled(n, seed, epoch, ORDER)


def batch_indices(n: int, *, batch: int, iteration: int, seed: int) -> Tensor:
    """The rows, int64 (batch,), of iteration t: global positions [t*batch, (t+1)*batch) of the endless stream."""
    pieces = _pieces(n, batch=batch, iteration=iteration)
    return torch.cat([epoch_order(n, seed, epoch)[start:stop] for epoch, start, stop in pieces])


def draws(n: int, *, batch: int, iteration: int, seed: int, stream: int) -> "np.ndarray":
    """Random words for each position of iteration t: uint64 (batch, 4)."""
    pieces = _pieces(n, batch=batch, iteration=iteration)
    words = [_philox((seed, epoch, stream), start).random_raw(WORDS * (stop - start)) for epoch, start, stop in pieces]
    return np.concatenate(words).reshape(batch, WORDS)


def _philox(key: tuple[int, ...], position: int) -> np.random.Philox:
    words = np.random.SeedSequence(key).generate_state(2, np.uint64)
    return np.random.Philox(key=words, counter=position)


def _pieces(n: int, *, batch: int, iteration: int) -> list[tuple[int, int, int]]:
    """(epoch, start, stop) of each part of an epoch that the iteration covers."""
    position, end = iteration * batch, (iteration + 1) * batch
    pieces = []
    while position < end:
        epoch, start = divmod(position, n)
        stop = min(n, start + end - position)
        pieces.append((epoch, start, stop))
        position += stop - start
    return pieces
