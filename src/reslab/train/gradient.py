"""The gradient of a batch, of all of it at once or of one part after the other."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabError, arg
from reslab.train.batch import Batch
from reslab.train.task import Task
from reslab.train.tune import Choice, Inputs


def add_gradients(
    task: Task, forward: Callable[..., Any], batch: Batch, *, choice: Choice, parts: int = 1
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the batch's loss to the parameters' gradients; (loss, number of wrong predictions).

    With several `parts` the batch is cut into that many, as equal as can be, and their gradients are added: the loss is
    a mean over the batch, weighted or not, and each part counts by its share of the weight, so the gradient is the
    whole batch's. Only BatchNorm sees each part on its own. Needs the memory of one part.
    """
    weight = getattr(task, "weight", len)  # a task whose loss is a plain mean over the batch needs none
    total = weight(batch.y) if parts > 1 else None
    losses, wrong = [], []
    for x, y in cut(batch.x, batch.y, parts):
        with choice.autocast(task.device), several_numbers():
            out = choice.run(forward, x)
        loss = task.loss(out, y)
        if total is not None:
            loss = loss * (weight(y) / total)
        loss.backward()
        losses.append(loss.detach())
        wrong.append(task.wrong(out, y))
    return (losses[0], wrong[0]) if len(losses) == 1 else (torch.stack(losses).sum(), torch.stack(wrong).sum())


def cut(x: Inputs, y: Tensor, parts: int) -> Iterator[tuple[Inputs, Tensor]]:
    """The inputs and targets in so many parts (one for each example if there are fewer), whose sizes differ by one."""
    yield from pieces_of(x, y, max(1, min(parts, len(y))))


def pieces_of(x: Inputs, y: Tensor, parts: int) -> Iterator[tuple[Inputs, Tensor]]:
    """The inputs and targets in exactly so many parts, whose sizes differ by one; some are empty if there are fewer."""
    if parts == 1:
        yield x, y
        return
    ends = [k * len(y) // parts for k in range(parts + 1)]
    for start, stop in itertools.pairwise(ends):
        some = x[start:stop] if isinstance(x, Tensor) else {key: value[start:stop] for key, value in x.items()}
        yield some, y[start:stop]


@contextlib.contextmanager
def several_numbers() -> Iterator[None]:
    """Inside, a BatchNorm that gets a single number per channel is one sentence: it has no variance."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ReslabError(
            "a BatchNorm of the net gets one number per channel, which has no variance: the images are small and the "
            "batch, or a part of it, holds one image; use a larger ", arg("batch"), ", fewer parts (",
            arg("accumulate", 1), ") or larger images (", arg("size"), ")",
        ) from error  # fmt: skip
