"""Count the paths of a residual network: each goes through or around every branch; its length is the branches it takes.

Veit et al. 2016 (arXiv 1605.06431), section 3: for n merges in a row the lengths are Binomial(n, 1/2). Merges inside a
branch count only for paths that take this branch; of parallel branches a path takes at most one. Merges on the skip
(inside a projection) count for paths that take none.
"""

import random
from collections.abc import Sequence

from reslab.look.graph.forks import SKIP
from reslab.look.graph.merges import Merge

TOP = (None, SKIP)  # where the merges are that lie in no other


class Lengths:
    """The tree of merges: which merges follow one another, and which lie on a side of another."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self.branches = {merge.index: max(1, len(merge.branches)) for merge in merges}
        self.inside: dict[tuple[int | None, int], list[int]] = {}
        for merge in merges:
            # A merge that cannot be edited is not in the tree.
            places = [(merge.parent, side) for side in merge.sides] if merge.parent in self.branches else [TOP]
            for place in places:
                self.inside.setdefault(place, []).append(merge.index)

    def side(self, i: int, side: int) -> list[int]:
        """The number of paths of length 0, 1, 2, ... that take the merges on one side of merge i."""
        return self.rest(self.inside.get((i, side), []))

    def within(self, i: int, side: int) -> int:
        """How many branches a path can take on one side of merge i, without the branch that this side may be."""
        return len(self.side(i, side)) - 1

    def through(self, i: int) -> int:
        """How many branches a path can take from the fork of merge i to its sum."""
        return len(self.one(i)) - 1

    def counts(self) -> list[int]:
        """The number of paths of length 0, 1, 2, ... (exact integers)."""
        return self.rest(self.inside.get(TOP, []))

    def longest(self) -> int:
        """The length of the longest path."""
        return len(self.counts()) - 1

    def rest(self, row: Sequence[int]) -> list[int]:
        """The counts for a sequence of merges: the product of their polynomials."""
        total = [1]
        for i in row:
            total = product(total, self.one(i))
        return total

    def one(self, i: int) -> list[int]:
        """The counts on the skip + z * (the sum of the counts in the branches)."""
        total = self.side(i, SKIP)
        for branch in range(self.branches[i]):
            total = plus(total, [0, *self.side(i, branch)])
        return total

    def draw(self, length: int, generator: random.Random) -> dict[int, int]:
        """A uniformly sampled path of this length: merge -> the branch it takes; it goes around all other merges."""
        taken: dict[int, int] = {}
        self.choose(self.inside.get(TOP, []), length, generator, taken)
        return taken

    def choose(self, row: Sequence[int], length: int, generator: random.Random, taken: dict[int, int]) -> None:
        for at, i in enumerate(row):
            rest = self.rest(row[at + 1 :])
            sides = [SKIP, *range(self.branches[i])]
            # For each side, and each number of branches taken there: the number of paths.
            ways = [
                (side, k, n * rest[length - k])
                for side in sides
                for k, n in enumerate([0] * (side != SKIP) + self.side(i, side))
                if 0 <= length - k < len(rest)
            ]
            side, k = picked(ways, generator)
            length -= k
            if side != SKIP:
                taken[i] = side
            self.choose(self.inside.get((i, side), []), k - (side != SKIP), generator, taken)


def picked(ways: Sequence[tuple[int, int, int]], generator: random.Random) -> tuple[int, int]:
    """The side and the number of branches of one way; each is sampled as often as it has paths."""
    ticket = generator.randrange(sum(n for _, _, n in ways))
    for side, k, n in ways:
        if ticket < n:
            return side, k
        ticket -= n
    raise AssertionError


def plus(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [(a[k] if k < len(a) else 0) + (b[k] if k < len(b) else 0) for k in range(max(len(a), len(b)))]


def product(a: Sequence[int], b: Sequence[int]) -> list[int]:
    out = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return out


def share(counts: Sequence[int], first: int, last: int) -> float:
    """The share of all paths whose length is in first..last."""
    return sum(counts[first : last + 1]) / sum(counts)


def effective_range(weights: Sequence[float], level: float = 0.95) -> tuple[int, int]:
    """The shortest range of lengths that holds `level` of the weights' sum; the first of them if there are several."""
    total = sum(weights)
    if total <= 0:
        return 0, len(weights) - 1
    best = (0, len(weights) - 1)
    for first in range(len(weights)):
        held = 0.0
        for last in range(first, len(weights)):
            held += weights[last]
            if held >= level * total * (1 - 1e-12):
                if last - first < best[1] - best[0]:
                    best = first, last
                break
    return best
