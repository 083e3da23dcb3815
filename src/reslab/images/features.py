"""The head's inputs of every image of a part, computed once, and training batches of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data import Encoded, Normalize, Part, Pixels
from reslab.images.evaluate import BATCH, share_of
from reslab.train.batch import Batch
from reslab.train.exchange import all_json, joined_rows, of_all
from reslab.train.order import Order
from reslab.train.workers import in_order
from reslab.train.world import ALONE, World


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Of one part: values (N, ...) and labels (N,); the rows of broken images are zeros, with the reason in `broken`.

    On the CPU, in the precision in which the net computed them.
    """

    values: Tensor
    labels: Tensor
    broken: dict[int, str] = field(default_factory=dict)

    def part(self) -> Pixels:
        """The readable rows as a part that can be evaluated; its "pixels" are the features."""
        rows = torch.tensor([i for i in range(len(self.labels)) if i not in self.broken], dtype=torch.int64)
        whole = len(rows) == len(self.labels)
        return Pixels(pixels=self.values if whole else self.values[rows], labels=self.labels[rows])

    def batches(
        self, order: Order, start: int, stop: int, device: torch.device, *, share: range | None = None
    ) -> Iterator[Batch]:
        """The batches of iterations start .. stop-1, as `training_batches` gives them of the images themselves."""
        skipped: dict[str, None] = {}
        for t in range(start, stop):
            rows = order.rows(t) if share is None else order.rows(t)[share.start : share.stop]
            if self.broken:
                found = [i for i in rows.tolist() if i in self.broken]
                skipped.update(dict.fromkeys(self.broken[i] for i in found))
                rows = rows[[i not in self.broken for i in rows.tolist()]]
                if not len(rows) and share is None:
                    continue
            x, y = self.values.index_select(0, rows), self.labels[rows]
            yield Batch(x=x.to(device), y=y.to(device), index=rows, iteration=t, skipped=tuple(skipped))
            skipped = {}


class Unchanged(Normalize):
    """Features are no pixels: nothing is subtracted."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        return x

    def to(self, device: torch.device | str) -> "Unchanged":
        return self


def compute(
    part: Part, extract: Callable[[Tensor], Tensor], *, normalize: Normalize, device: torch.device, workers: int,
    skip: bool, done: Callable[[int], None], world: World = ALONE,
) -> Features:  # fmt: skip
    """The features of every image of a part; `done(n)` is called after each batch of n images.

    `world`: processes that all call this; each computes those of some batches, and all get all, to the bit those of one
    process. Raises BrokenImage for an image that cannot be read; with `skip`, it is left out, and if none can be read,
    that is a ReslabError.
    """
    own = share_of(part, world)
    values, broken = world.agreed(lambda: computed(own, extract, normalize=normalize, device=device, workers=workers,
                                                   skip=skip, done=done))  # fmt: skip
    if not world.alone:
        values, broken = gathered(values, broken, n=len(own))
    if values is None:
        raise of_all(ReslabError(f"no training image can be read (first: {next(iter(broken.values()))})"))
    return Features(values=values, labels=part.labels, broken=broken)


def gathered(values: Tensor | None, broken: dict[int, str], *, n: int) -> tuple[Tensor | None, dict[int, str]]:
    """What `computed` gave in all processes, as if one had done it. n: images of this process."""
    about = None if values is None else [list(values.shape[1:]), str(values.dtype).removeprefix("torch.")]
    every, start, found = all_json([n, about, list(broken.items())]), 0, dict[int, str]()
    for many, _, odd in every:
        found |= {start + row: why for row, why in odd}
        start += many
    there = next((one for _, one, _ in every if one), None)
    if there is None:
        return None, found
    shape, kind = there
    own = torch.zeros(n, *shape, dtype=getattr(torch, kind)) if values is None else values
    return joined_rows(own), found


def computed(
    part: Part, extract: Callable[[Tensor], Tensor], *, normalize: Normalize, device: torch.device, workers: int,
    skip: bool, done: Callable[[int], None],
) -> tuple[Tensor | None, dict[int, str]]:  # fmt: skip
    """(the features of every image of a part, zeros for broken ones; why these are broken); None if all are."""
    values: Tensor | None = None
    broken: dict[int, str] = {}
    for pixels, rows, odd in in_turn(part, workers):
        for row, error in odd:
            if not skip:
                raise BrokenImage(*error)
            broken[row] = ": ".join(error)
        if len(rows):
            found = extract(normalize(pixels.to(device))).cpu()
            if values is None:
                values = found.new_zeros(len(part), *found.shape[1:])
            values[rows] = found
        done(len(rows) + len(odd))
    return values, broken


def in_turn(part: Part, workers: int) -> Iterator[tuple[Tensor, list[int], list[tuple[int, tuple[str, str]]]]]:
    """Batches of images in order: uint8 (B, C, H, W), their rows, and rows of broken ones with (name, reason)."""
    starts = range(0, len(part), BATCH)
    if isinstance(part, Pixels):
        for start in starts:
            pixels = part.pixels[start : start + BATCH]
            yield pixels, list(range(start, start + len(pixels))), []
        return
    for pixels, rows, broken in in_order(InTurn(part), starts, workers=workers):
        yield pixels, list(rows), [(row, tuple(error)) for row, error in broken]


class InTurn(Dataset[Any]):
    """Step `start`: the images from that row on, their rows, and the broken ones, whose class a worker would lose."""

    def __init__(self, part: Encoded) -> None:
        self.part = part

    def __getitem__(self, start: int) -> tuple[Tensor, list[int], list[tuple[int, tuple[str, str]]]]:
        pixels, rows, broken = [], [], []
        for i in range(start, min(start + BATCH, len(self.part))):
            try:
                pixels.append(self.part.pixels(i))
                rows.append(i)
            except BrokenImage as error:
                broken.append((i, (error.name, error.reason)))
        stacked = torch.stack(pixels) if pixels else torch.empty((0, *self.part.shape), dtype=torch.uint8)
        return stacked, rows, broken
