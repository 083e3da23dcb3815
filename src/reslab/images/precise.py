"""Precise BN: the statistics of BatchNorm over a whole part of the data, also by several processes, to the bit."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import BrokenImage, ReslabError
from reslab.images.data import Encoded, Normalize, Part, sort_out, view_batches
from reslab.look.lesion.renorm import BATCHNORM, Moments
from reslab.train.exchange import joined_rows
from reslab.train.workers import decoding_workers
from reslab.train.world import ALONE, Agreed, World

BLOCKS = 64  # of batches, at most: each is summed up on its own, then all in order, whoever did which


def is_broken(error: ReslabError) -> bool:
    """Whether an image cannot be read, here or in another process."""
    return isinstance(error, BrokenImage) or (isinstance(error, Agreed) and error.kind == "BrokenImage")


def readable(part: Encoded) -> Encoded:
    """The part without its broken images. Reads all of it, so it is called only after a broken image was found."""
    return part.subset(sort_out(part)[0])


def average_norms(
    net: nn.Module, part: Part, normalize: Normalize, device: torch.device, *, batch: int = 128, world: World = ALONE
) -> None:  # fmt: skip
    """ "Precise BN", as in the released weights: BN statistics over all of `part`, without augmentation.

    Mean and variance are those of all images, whatever their batches: each image weighs alike, and the variance between
    batches counts. Each batch is normalized by its own statistics, as in training. Broken images are skipped, and
    norms that stay in eval mode, as frozen ones do, keep their statistics.

    `world`: processes that all call this; each takes some of the batches, and all get the statistics that one would
    get, to the bit, unless the net draws at random in training mode.
    """
    training = net.training
    net.train()
    norms: list[Any] = [
        m for m in net.modules() if isinstance(m, BATCHNORM) and m.running_mean is not None and m.training
    ]

    def update(part: Part) -> None:
        blocks, many = blocks_of(len(part), batch)
        own = [blocks[k] for k in world.part(len(blocks))]

        def measure() -> Tensor:
            if not own:
                return torch.empty(0, dtype=torch.float64)
            stream = views(part.subset(torch.arange(own[0].start, own[-1].stop)), many, normalize, device)
            return torch.stack([measured(net, norms, itertools.islice(stream, -(-len(block) // many)))
                                for block in own])  # fmt: skip

        sums = world.agreed(measure)
        give(norms, sums if world.alone else joined_rows(sums), batches=-(-len(part) // many))

    try:
        with torch.no_grad():
            try:
                if norms:  # all of them may be frozen
                    update(part)
            except ReslabError as error:
                if not is_broken(error) or not isinstance(part, Encoded):
                    raise
                update(readable(part))
    finally:
        net.train(training)


def blocks_of(n: int, batch: int) -> tuple[list[range], int]:
    """(rows of each block of whole batches, images in a batch)."""
    many = batch + (n % batch == 1)  # one image alone may have no variance
    batches = -(-n // many)
    size = -(-batches // BLOCKS) * many
    return [range(start, min(start + size, n)) for start in range(0, n, size)], many


def views(part: Part, many: int, normalize: Normalize, device: torch.device) -> Iterator[Tensor]:
    """The images of a part, in batches, as the net takes them."""
    for (first, *_), _, _ in view_batches(part, batch=many, normalize=normalize, device=device,
                                          workers=decoding_workers(len(part))):  # fmt: skip
        yield first


def measured(net: Callable[[Tensor], Any], norms: Sequence[Any], batches: Iterator[Tensor]) -> Tensor:
    """Of all norms one after the other: count, means and sums of squared deviations of their inputs.

    (sum of 1 + 2 C), float64, on the CPU.
    """
    moments = {norm: Moments() for norm in norms}
    handles = [norm.register_forward_pre_hook(lambda norm, x: moments[norm].add(x[0])) for norm in norms]
    try:
        for x in batches:
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for norm, one in moments.items():
        C = norm.num_features
        mean, squares = (value.cpu().double().expand(C) for value in (one.mean, one.squares))  # MPS has no float64
        found += [torch.tensor([float(one.n)], dtype=torch.float64), mean, squares]
    return torch.cat(found)


def give(norms: Sequence[Any], sums: Tensor, *, batches: int) -> None:
    """Set the statistics from those of all blocks, (blocks, sum of 1 + 2 C)."""
    at = 0
    for norm in norms:
        C, every = norm.num_features, Moments()
        for count, mean, squares in zip(*sums[:, at : at + 1 + 2 * C].split([1, C, C], dim=1), strict=True):
            if count:
                every.join(int(count), mean, squares)
        at += 1 + 2 * C
        norm.reset_running_stats()  # also the count of batches
        if every.n > 1:
            norm.running_mean.copy_(every.mean.to(norm.running_mean.dtype))
            norm.running_var.copy_((every.squares / (every.n - 1)).to(norm.running_var.dtype))
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.fill_(batches)
