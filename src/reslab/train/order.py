"""The order of examples and the random numbers of each one: functions of counters, without hidden state.

Everything random about training data is a function of (seed, epoch, position), computed with Philox
(Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), a generator that can start at any
position. Only its raw 64-bit words are used: they are fixed by its definition, while numpy's
distributions may change between versions.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from reslab.errors import UsageError, arg

ORDER, CROP, COLOR = 0, 1, 2  # streams: independent random numbers for the same seed and epoch
STEP = 5  # what torch draws itself in a step of one of several processes
TURNS, MEMBERS = 3, 4  # streams of balanced sampling: whose turn it is, and which image of the class comes next
FACING = 20  # the stream of the sides that alternating images begin with
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Which rows of a training part of n examples each iteration takes; a function of (seed, iteration).

    The rows are an endless stream of epochs, each with a new permutation of the examples. `repeats`: each row of the
    stream fills that many neighboring positions of a batch (repeated augmentation), so that n positions show
    n / repeats examples. `labels` int64 (n,): balanced sampling. An epoch of n rows then holds n / K of each of the K
    classes, rounded up or down, in random order, and each class's rows are an endless stream of its own permutations:
    an image of a rare class comes often, but never a second time before every other of its class has come as often.

    Raises UsageError for several labels per example, and for a batch that is no multiple of `repeats`.
    """

    n: int
    batch: int
    seed: int
    repeats: int = 1
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        if self.labels is not None:
            refuse_several(self.labels)
        if self.repeats < 1 or self.batch % self.repeats:
            raise UsageError(f"batch must be a multiple of repeats {self.repeats}, got {self.batch}")

    def rows(self, iteration: int) -> Tensor:
        """The rows of the iteration's batch, int64 (batch,)."""
        pieces = _pieces(self.n, batch=self.batch // self.repeats, iteration=iteration)
        rows = torch.cat([self.epoch(epoch)[start:stop] for epoch, start, stop in pieces])
        return rows.repeat_interleave(self.repeats) if self.repeats > 1 else rows

    def facing(self, iteration: int) -> np.ndarray:
        """Of each row of the iteration's batch, whether it is mirrored, bool (batch,): in every other epoch.

        Half of the rows begin mirrored, chosen by their number.
        """
        rows, many = self.rows(iteration).numpy(), self.batch // self.repeats
        epochs = (iteration * many + np.arange(self.batch) // self.repeats) // self.n
        found: np.ndarray = (_begin(self.n, self.seed)[rows] + epochs) % 2 == 1
        return found

    def epoch(self, epoch: int) -> Tensor:
        """The order of an epoch, int64 (n,). Do not write into it."""
        return epoch_order(self.n, self.seed, epoch) if self.labels is None else balanced_epoch(self, epoch)


@lru_cache(maxsize=2)
def _begin(n: int, seed: int) -> np.ndarray:
    """0 or 1 for each of n rows: whether it begins mirrored. Do not write into it."""
    return (_philox((seed, 0, FACING), 0).random_raw(n) >> np.uint64(63)).astype(np.int64)


def refuse_several(labels: Tensor) -> None:
    """Raise UsageError for the labels (n, K) of examples with several labels each: no class's turn can be drawn."""
    if labels.dim() != 1:
        raise UsageError("balanced sampling needs one class per image, but these images have several labels each; set ",
                         arg("sampling", "shuffled"))  # fmt: skip


@lru_cache(maxsize=2)
def balanced_epoch(order: Order, epoch: int) -> Tensor:
    """Row g of the endless stream is of class g mod K; within each epoch the classes' turns are shuffled."""
    assert order.labels is not None
    n, seed = order.n, order.seed
    classes = torch.unique(order.labels).tolist()  # those with examples
    K, first, end = len(classes), epoch * n, (epoch + 1) * n
    turns = (shuffled(n, seed, epoch, TURNS) + first) % K
    rows = torch.empty(n, dtype=torch.int64)
    for k, label in enumerate(classes):
        members = torch.nonzero(order.labels == label).flatten()
        before, after = (-((k - g) // K) for g in (first, end))  # turns of class k before row g: (g - k) / K, upwards
        rows[turns == k] = members[_endless(len(members), before, after, seed, label, MEMBERS)]
    return rows


def _endless(n: int, start: int, stop: int, *key: int) -> Tensor:
    """Places start .. stop-1 of an endless stream of permutations of 0..n-1, int64 (stop - start,)."""
    first, last = start // n, max(start, stop - 1) // n
    blocks = -(-n // WORDS)  # of words, for one permutation
    words = _philox(key, first * blocks).random_raw((last - first + 1) * blocks * WORDS)
    each = np.argsort(words.reshape(-1, blocks * WORDS)[:, :n], axis=1, kind="stable").reshape(-1)
    return torch.from_numpy(each[start - first * n : stop - first * n])


def draws(n: int, *, batch: int, iteration: int, seed: int, stream: int) -> "np.ndarray":
    """Random words for each position of iteration t: uint64 (batch, 4)."""
    pieces = _pieces(n, batch=batch, iteration=iteration)
    words = [_philox((seed, epoch, stream), start).random_raw(WORDS * (stop - start)) for epoch, start, stop in pieces]
    return np.concatenate(words).reshape(batch, WORDS)


def seed_of(seed: int, iteration: int, rank: int) -> int:
    """The seed of the random number generators in one step of one of several processes."""
    return int(np.random.SeedSequence((seed, iteration, rank, STEP)).generate_state(1, np.uint64)[0] >> 1)


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
