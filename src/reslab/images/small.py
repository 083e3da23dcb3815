"""Progressive resolution: small images in the first part of training, whose steps cost less."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError, arg, first_line
from reslab.nets.modes import evaluating
from reslab.train.batch import Batch
from reslab.train.recipe import Recipe


@dataclass(frozen=True)
class Small:
    """Images whose shorter side has `side` pixels in iterations below `until`; 0: none.

    A function of the iteration, so it is the same however a training was interrupted.
    """

    side: int
    until: int

    @classmethod
    def of(cls, recipe: Recipe, *, shape: tuple[int, ...], examples: int) -> "Small":
        """For images of (C, H, W). Raises UsageError if the small ones are not smaller."""
        if not recipe.small:
            return cls(0, 0)
        if recipe.small >= min(shape[1:]):
            raise UsageError(f"small must be below the {min(shape[1:])} pixels of the images, got {recipe.small}")
        return cls(recipe.small, recipe.at(recipe.small_until, examples))

    def check(self, net: nn.Module, *, shape: tuple[int, ...]) -> None:
        """Run the net on two small images. Raises UsageError if it takes no such images."""
        if not self.until:
            return
        x = shrunk(torch.zeros(2, *shape), self.side)
        try:
            with evaluating(net), torch.no_grad():
                net(x)
        except Exception as error:  # whatever the net says
            raise UsageError(
                "the net does not take the images of ", arg("small", self.side), f", {x.shape[2]}x{x.shape[3]} pixels "
                f"({first_line(error)}); leave it out, or choose a net that takes images of any size"
            ) from error  # fmt: skip

    def sized(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, those of the first part small."""
        for batch in batches:
            small = batch.iteration < self.until and isinstance(batch.x, Tensor)
            yield replace(batch, x=shrunk(batch.x, self.side)) if small else batch  # type: ignore[arg-type]


def shrunk(x: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) with that shorter side, smoothed before they are sampled."""
    H, W = x.shape[2:]
    size = [max(side, round(one * side / min(H, W))) for one in (H, W)]
    if not len(x):  # the share of one of several processes
        return x.new_empty((0, x.shape[1], *size))
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
