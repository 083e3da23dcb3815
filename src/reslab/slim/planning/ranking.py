"""Scores that order the blocks once, from the intact model: cheap, and blind to what the first removals change.

Each is of a residual connection, x + F = h, with the gradient dL/dF of the loss of one item (which is dL/dh, too); a
block's score is the sum over its residual connections, and those with the smallest score go first.

- influence: 1 - cos(x, h), mean over items (Men et al. 2024, ShortGPT, section 3);
- response: |F| / |x|, mean over items;
- gradient: |dL/dF|, mean over items;
- first-order: |sum of -F . dL/dF| / items, the loss's first-order change if F becomes 0 (Molchanov et al. 2017,
  "Pruning Convolutional Neural Networks", section 2.2, for whole branches in the place of feature maps).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError
from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.flow.influence import Means, influence, length, vectors
from reslab.look.graph.example import scores
from reslab.look.graph.gradless import Gradless
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import as_it_was, passing
from reslab.look.measure import Batch, mask_of, objective
from reslab.slim.block import Block
from reslab.slim.planning.items import Items, picked
from reslab.slim.record import By


def ranked(
    model: nn.Module, items: Items, merges: Sequence[Merge], blocks: Sequence[Block], by: By,
    pause: Callable[[], None] = lambda: None,
) -> dict[int, float]:  # fmt: skip
    """The score of each block by its index, from the samples that decide."""
    wanted = {i for block in blocks for i in block.merges}
    some = [merge for merge in merges if merge.index in wanted]
    batches: list[Batch] = []
    for number, rows, _ in items.deciding():
        example, labels = items.batches[number]
        batches.append((picked(example, rows), labels if labels is None else labels[rows.to(labels.device)]))
    if by in ("influence", "response"):
        found = influence(model, [(example, None) for example, _ in batches], merges=some,
                          progress=lambda done, total: pause())  # fmt: skip
        score = {one.index: one.influence if by == "influence" else one.ratio or 0.0 for one in found.merges}
    else:
        score = gradients(model, batches, some, by, pause)
    return {block.index: sum(score[i] for i in block.merges) for block in blocks}


def gradients(
    model: nn.Module, batches: Sequence[Batch], merges: Sequence[Merge], by: By, pause: Callable[[], None]
) -> dict[int, float]:
    """The two scores that need the gradient, by index of the residual connection.

    Without labels the loss is the sum of the outputs with fixed random signs (look.measure.objective).
    """
    means = {merge.index: Means() for merge in merges}
    with as_it_was(model):
        for p in model.parameters():
            p.requires_grad_(False)
        for example, labels in batches:
            pause()
            hidden, mask = Gradless(), mask_of(example)
            edits = {merge.index: terms(means[merge.index], mask, hidden, merge.module) for merge in merges}
            act = acting(model, merges, edits)
            with torch.enable_grad(), act, hidden, passing(model, example) as output:
                total = objective(scores(output), labels)
                if total.requires_grad:
                    total.backward()
    found = {}
    for merge in merges:
        mean = means[merge.index].mean("gradient" if by == "gradient" else "change")
        if mean is None or not mean < float("inf"):
            raise ReslabError(f"no gradient reaches residual connection {merge.index} ({merge.module or 'the model'}), "
                              "so blocks cannot be ordered by it; order them by disabling")  # fmt: skip
        found[merge.index] = abs(mean)
    return found


def terms(means: Means, mask: Tensor | None, hidden: Gradless, name: str) -> Edit:
    """An edit that measures |dL/dF| and -F . dL/dF of each item at once, because later ops may write into them."""
    held: list[Tensor] = []

    def skip(x: Tensor) -> Tensor:
        held[:] = [x.detach().clone()]
        return x

    def out(h: Tensor) -> Tensor:
        added = vectors(h.detach(), mask) - vectors(held.pop(), mask)

        def see(gradient: Tensor) -> None:
            downhill = vectors(gradient.detach(), mask)
            every = torch.ones(len(added), dtype=torch.bool, device=added.device)
            means.add("gradient", length(downhill), every)
            means.add("change", -(added * downhill).sum(dim=1), every)

        if not torch.is_grad_enabled():
            return hidden.check(h, name)
        if not h.requires_grad:  # the first one: the gradient starts here
            h = h.detach().requires_grad_().clone()  # a copy, because the next op may be in place
        h.register_hook(see)
        return h

    return Edit(skip=skip, out=out, watches=True)
