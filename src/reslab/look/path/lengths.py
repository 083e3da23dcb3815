"""Count the paths of a residual network: each goes through or around every branch; its length is the branches it takes.

Veit et al. 2016 (arXiv 1605.06431), section 3: for n merges in a row the lengths are Binomial(n, 1/2). Merges inside a
branch count only for paths that take this branch; of parallel branches a path takes at most one.
"""

import random
from collections.abc import Sequence

from reslab.look.graph.merges import Merge


class Lengths:
    """The tree of merges: which merges follow one another, and which lie in a branch of another."""

    def __init__(self, merges: Sequence[Merge]) -> None:
        self.branches = {merge.index: max(1, len(merge.branches)) for merge in merges}
        self.inside: dict[int | None, list[int]] = {}
        for merge in merges:
            parent = (
                merge.parent if merge.parent in self.branches else None
            )  # a merge that cannot be edited is not in the tree
            self.inside.setdefault(parent, []).append(merge.index)

    def within(self, i: int) -> int:
        """How many branches a path can take inside the branches of merge i."""
        return len(self.counts(i)) - 1

    def counts(self, within: int | None = None) -> list[int]:
        """The number of paths of length 0, 1, 2, ... (exact integers)."""
        return self.rest(self.inside.get(within, []))

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
        """1 + z * (the counts inside the branch + the number of other branches)."""
        inner = self.counts(i)
        inner[0] += self.branches[i] - 1
        return [1, *inner]

    def draw(self, length: int, generator: random.Random) -> dict[int, int]:
        """A uniformly sampled path of this length: merge -> the branch it takes; it goes around all other merges."""
        taken: dict[int, int] = {}
        self.choose(self.inside.get(None, []), length, generator, taken)
        return taken

    def choose(self, row: Sequence[int], length: int, generator: random.Random, taken: dict[int, int]) -> None:
        for at, i in enumerate(row):
            rest = self.rest(row[at + 1 :])
            here = self.one(i)
            ways = [n * rest[length - k] if 0 <= length - k < len(rest) else 0 for k, n in enumerate(here)]
            ticket = generator.randrange(sum(ways))
            k = 0
            while ticket >= ways[k]:
                ticket -= ways[k]
                k += 1
            length -= k
            if k == 0:
                continue
            inner = self.counts(i)
            # Among the ways to take k branches here, those through the first branch include the merges inside it.
            first = inner[k - 1] if k - 1 < len(inner) else 0
            pick = generator.randrange(here[k])
            taken[i] = 0 if pick < first else pick - first + 1
            if taken[i] == 0:
                self.choose(self.inside.get(i, []), k - 1, generator, taken)


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
