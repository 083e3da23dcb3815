"""The random numbers of a batch: a function of seed and position alone, so any start and any worker gives the same."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

# Streams of train/order.py for augmentation; it takes 0 to 4 and 20 itself, and train/depth.py 16. A stream gives 4
# words per position, so a user of more words takes several streams, counted from its first.
CUTOUT, JITTER, ERASE, MIX, AREA, OPERATIONS = 21, 24, 32, 40, 48, 64


def below(words: np.ndarray, n: "np.ndarray | int") -> np.ndarray:
    """Uniform integers in 0..n-1, int64, from random uint64 words (bias below n / 2**64)."""
    return (words % np.asarray(n, dtype=np.uint64)).astype(np.int64)


def unit(words: np.ndarray) -> np.ndarray:
    """Uniform float64 numbers in (0, 1), never 0 or 1, from random uint64 words."""
    return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


@dataclass(frozen=True, kw_only=True)
class Chance:
    """The random words of one batch: `draw(stream)` gives uint64 (batch, 4); `kept` are the positions in use.

    `facing`, bool (batch,): which images are mirrored, if it is not left to chance.
    """

    draw: Callable[[int], np.ndarray]
    kept: list[int]
    facing: "np.ndarray | None" = None

    @classmethod
    def of(
        cls, draw: Callable[[int], np.ndarray], *, kept: list[int], facing: "np.ndarray | None" = None
    ) -> "Chance":  # fmt: skip
        """The same, with each stream drawn once."""
        return cls(draw=cache(draw), kept=kept, facing=facing)

    def only(self, part: slice) -> "Chance":
        """Of some of the kept images."""
        return Chance(draw=self.draw, kept=self.kept[part], facing=self.facing)

    def words(self, stream: int) -> np.ndarray:
        """Of each kept image: uint64 (B, 4)."""
        return self.draw(stream)[self.kept]

    def moves(self, stream: int) -> np.ndarray:
        """Words of a stream whose third decides on mirroring, which `facing` replaces."""
        words = self.words(stream)
        if self.facing is not None:
            words[:, 2] = self.facing[self.kept]  # `words` is a copy: `kept` is a list
        return words

    def units(self, stream: int, count: int) -> np.ndarray:
        """`count` uniform numbers in (0, 1) for each kept image: float64 (B, count)."""
        many = range(stream, stream + -(-count // 4))
        return unit(np.concatenate([self.words(each) for each in many], axis=1))[:, :count]

    def shared(self, stream: int) -> np.ndarray:
        """Uniform numbers of the batch as a whole, float64 (4,): those of its first position, readable or not."""
        return unit(self.draw(stream)[0])
