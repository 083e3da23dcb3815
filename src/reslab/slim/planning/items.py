"""The planning data: their samples in a fixed random order, one part to choose by and one to measure with."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reslab.look.graph.copies import each
from reslab.look.graph.example import Example, batch_size
from reslab.look.measure import IGNORED, Batch, mask_of, unpadded

SHARES = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)  # after each share of the samples, clearly worse candidates stop
FIRST = 32  # samples of the first share: with fewer, no candidate is clearly worse


class Rows(NamedTuple):
    """Some samples of one batch."""

    batch: int
    rows: Tensor  # their places in it, ascending
    at: Tensor  # their places among all samples


class Items:
    """The samples of all batches, counted from 0; `chosen_by` and `measured_on` are shares of their random order.

    The order is the same in every run: samples may lie sorted by class, and a first share of them would then say little
    about the rest.
    """

    def __init__(self, batches: Sequence[Batch], held_out: float = 0.0) -> None:
        self.batches = batches
        self.sizes = [batch_size(example) for example, _ in batches]
        self.n = sum(self.sizes)
        draw = Random("order of the planning data")
        keys = [draw.random() for _ in range(self.n)]  # only random() gives the same numbers in every Python version
        self.order = torch.tensor(sorted(range(self.n), key=keys.__getitem__))
        self.hold_out(held_out)

    def hold_out(self, share: float) -> None:
        """Keep a share of the samples, the last ones of the order, for measuring alone; at least one decides."""
        self.first_held_out = max(1, self.n - round(self.n * share))

    @property
    def are_held_out(self) -> bool:
        return self.first_held_out < self.n

    @property
    def chosen_by(self) -> int:
        """How many samples decide what is removed."""
        return self.first_held_out

    @property
    def measured_on(self) -> int:
        """How many samples the steps of the plan are measured on: others if some are held out, else the same."""
        return self.n - self.first_held_out or self.n

    def deciding(self, start: int = 0, stop: int | None = None) -> list[Rows]:
        """Samples `start` to `stop` of the order, of those that decide, by batch."""
        return self.taken(self.order[: self.first_held_out][start:stop])

    def measuring(self) -> list[Rows]:
        """The samples that the steps are measured on."""
        return self.taken(self.order[self.first_held_out :] if self.are_held_out else self.order)

    def taken(self, some: Tensor) -> list[Rows]:
        found, start = [], 0
        some = some.sort().values
        for batch, size in enumerate(self.sizes):
            at = some[(some >= start) & (some < start + size)]
            if len(at):
                found.append(Rows(batch, at - start, at))
            start += size
        return found

    def shares(self, *, race: bool) -> list[tuple[int, int]]:
        """From which sample to which each share of the deciding samples reaches."""
        n = self.chosen_by
        ends = [stop for share in SHARES if (stop := round(n * share)) >= FIRST or share == 1] if race else [n]
        return list(zip([0, *ends], ends, strict=False))


def picked(example: Example, rows: Tensor) -> Any:
    """Some samples of the example; tensors without a batch dimension of that size stay whole."""
    n = batch_size(example)
    if len(rows) == n:
        return example
    return each(example, lambda t: t[rows.to(t.device)] if t.dim() and t.shape[0] == n else t)


def parts(rows: Tensor, size: int) -> Iterator[Tensor]:
    """The rows in pieces of at most `size`, as even as possible."""
    yield from rows.tensor_split(-(-len(rows) // max(1, size)))


def items_of(scores: Tensor, labels: Tensor | None, example: Example) -> Tensor:
    """How many items each sample holds, (N,): labelled tokens, tokens that are no padding, or 1."""
    n = scores.shape[0]
    if labels is not None and scores.shape[:-1] == labels.shape:
        return (labels != IGNORED).reshape(n, -1).sum(dim=1).cpu().double()
    mask = mask_of(example)
    if labels is None and mask is not None and unpadded(scores, mask) is not scores:
        return mask.sum(dim=1).cpu().double()
    each_holds = scores.numel() // scores.shape[-1] // n if scores.dim() > 1 else 1
    return torch.full((n,), float(each_holds), dtype=torch.float64)
