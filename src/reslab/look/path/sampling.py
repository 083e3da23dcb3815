"""The gradient that single paths carry, as published: Veit et al. 2016 (arXiv 1605.06431), section 5.

Forward, the network is intact. Backward, the gradient passes only the branch at the k sampled merges, and only the skip
at all others. Here many paths run in parallel, one per row of the batch.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reslab.look.edit.edits import Edit
from reslab.look.graph.example import batch_size, repeated
from reslab.look.graph.merges import Merge
from reslab.look.measure import Batch, Loss
from reslab.look.path.entry import Entry
from reslab.look.path.lengths import Lengths
from reslab.look.path.norms import norms
from reslab.look.path.spectrum import gradient

AROUND = -1  # a path that takes none of a merge's branches


class Gate(torch.autograd.Function):
    """The identity forward; backward, only the marked rows pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.rows = rows
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.rows.to(gradient).reshape(-1, *[1] * (gradient.dim() - 1)), None


def gates(merges: Sequence[Merge], taken: Sequence[dict[int, int]], device: torch.device) -> dict[int, Edit]:
    """Edits under which the gradient of row r goes back along path r."""

    def gate(merge: int, branch: int) -> Callable[[Tensor], Tensor]:
        rows = torch.tensor([path.get(merge, AROUND) == branch for path in taken], device=device)
        return lambda value: Gate.apply(value, rows)

    return {
        merge.index: Edit(
            skip=gate(merge.index, AROUND),
            branch=tuple(gate(merge.index, b) for b in range(max(1, len(merge.branches)))),
        )
        for merge in merges
    }


def path_norms(
    model: nn.Module,
    batch: Batch,
    entry: Entry,
    merges: Sequence[Merge],
    loss: Loss | None,
    taken: Sequence[Sequence[dict[int, int]]],
) -> Tensor:
    """The norms (S, N) of the gradients along S paths for each of N samples; taken[s][j] is path s of sample j."""
    n, copies = batch_size(batch[0]), len(taken)
    flat = [path for row in taken for path in row]
    example, labels = batch
    device = next(model.parameters()).device
    many = (repeated(example, copies), None if labels is None else labels.repeat(copies, *[1] * (labels.dim() - 1)))
    found = gradient(model, many, entry, merges, gates(merges, flat, device), loss)
    return norms(found.reshape(copies, n, -1))


def sample_paths(
    lengths: Lengths, length: int, samples: int, paths: int, generator: random.Random
) -> list[list[dict[int, int]]]:
    """`paths` random paths of one length for each sample."""
    return [[lengths.draw(length, generator) for _ in range(samples)] for _ in range(paths)]
