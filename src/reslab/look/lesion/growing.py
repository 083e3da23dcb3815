"""Many lesions in one pass of a growing batch (our method).

Up to its first disabled merge, a lesioned model computes the same values as the intact model. So the intact model runs
as copy 0, and each lesion joins the batch as a further copy at the merge where it first differs. All n single lesions
of a model with n equal blocks cost (n + 2) / 2 passes instead of n + 1.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from reslab.look.edit.edits import Edit
from reslab.look.edit.intervene import acting
from reslab.look.graph.copies import each
from reslab.look.graph.example import Example, batch_size, scores
from reslab.look.graph.merges import Merge
from reslab.look.graph.passes import call

Lesion = frozenset[int]  # the indices of the disabled merges
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)


class GrowthError(Exception):
    """The model does not accept a batch that grows during the pass; the message states the reason."""


def grow(model: nn.Module, merges: Sequence[Merge], lesions: Sequence[Lesion], example: Example) -> Tensor:
    """The scores of the intact model and of each lesioned one, by one pass: (1 + lesions, N, ...).

    The caller sets eval mode and disables gradients. Raises GrowthError if the model does not accept a growing batch.
    If a model mixes its samples, the scores may still be wrong, so the caller compares copy 0 with the model's own
    scores.
    """
    growing = Growing(lesions, batch_size(example))
    touched = [merge for merge in merges if any(merge.index in lesion for lesion in lesions)]
    try:
        with CatchUp(growing), acting(model, merges, {merge.index: growing.edit(merge) for merge in touched}):
            found = scores(call(model, example))
    except FAILURES as error:
        reason = f"{error.__cause__ or error}".splitlines()[0]
        raise GrowthError(f"{type(model).__name__} does not accept a growing batch: {reason}") from error
    copies = len(lesions) + 1
    if found.shape[0] != copies * growing.n:
        raise GrowthError(f"the model returned {found.shape[0]} rows for {copies} copies of {growing.n} samples")
    order = [0] + [1 + growing.joined.index(i) for i in range(len(lesions))]
    return found.unflatten(0, (copies, growing.n))[order]


class Growing:
    """The copies in the batch so far; rows are copy after copy, n samples each.

    A tensor with fewer rows was computed before the latest copies joined. Its missing rows equal those of copy 0,
    because each copy equals the intact model until it joins. This covers skips from before nested merges, masks, and
    the outputs of encoders.
    """

    def __init__(self, lesions: Sequence[Lesion], n: int) -> None:
        self.lesions, self.n = lesions, n
        self.joined: list[int] = []  # the lesion of each copy after the first

    def edit(self, merge: Merge) -> Edit:
        """The edit of a merge: let copies join, and disable the branch in copies whose lesion includes the merge."""
        if len(merge.branches) > 1 or len({part.site for part in (merge.skip, *merge.branches) if part}) > 1:
            return Edit(skip=self.lengthened(merge.index), branch=self.silenced(merge.index))
        return Edit(skip=self.filled if merge.named else None, whole=self.added(merge.index))

    def added(self, merge: int) -> Callable[..., Tensor]:
        """The addition, written directly into a tensor with room for the copies that join."""

        def change(summands: list[Tensor], at: int, add: Callable[..., Tensor]) -> Tensor:
            summands = [self.filled(part) for part in summands]
            self.join(merge)

            def alone(copy: int) -> Tensor:
                parts = [self.of(copy, part) for part in summands]
                parts[at] = torch.zeros_like(parts[at])
                return add(parts)

            first, known = alone(0), summands[0].shape[0]
            if first.shape != self.of(0, summands[0]).shape:  # a stack, to be summed later
                summands[at] = self.silenced(merge)(summands[at])
                return add([self.filled(part) for part in summands])
            out = room(first, (len(self.joined) + 1) * self.n)
            add(summands, out=out[:known])
            for copy in self.without(merge):
                self.of(copy, out)[:] = alone(copy) if copy * self.n < known else first
            return out

        return change

    def lengthened(self, merge: int) -> Callable[[Tensor], Tensor]:
        """The skip with the rows of all copies."""

        def change(skip: Tensor) -> Tensor:
            self.join(merge)
            return self.filled(skip)

        return change

    def silenced(self, merge: int) -> Callable[[Tensor], Tensor]:
        """The branch with the rows of all copies, zero in those in which the merge is disabled."""

        def change(branch: Tensor) -> Tensor:
            self.join(merge)
            full = self.filled(branch)
            full = full.clone() if full is branch else full
            for copy in self.without(merge):
                self.of(copy, full)[:] = 0
            return full

        return change

    def join(self, merge: int) -> None:
        """Add copies for the lesions that start at this merge."""
        self.joined += [i for i, lesion in enumerate(self.lesions) if merge in lesion and i not in self.joined]

    def without(self, merge: int) -> list[int]:
        """The copies in which the merge is disabled."""
        return [copy for copy, i in enumerate(self.joined, start=1) if merge in self.lesions[i]]

    def of(self, copy: int, tensor: Tensor) -> Tensor:
        return tensor[copy * self.n : (copy + 1) * self.n]

    def filled(self, tensor: Tensor) -> Tensor:
        """The tensor with its missing rows added."""
        copies, rest = divmod(tensor.shape[0] if tensor.dim() else 0, self.n)
        missing = len(self.joined) + 1 - copies
        if rest or not copies or missing < 0:
            raise GrowthError(
                f"the model adds tensors of shape {list(tensor.shape)}, whose rows are not the {self.n} samples"
            )
        return torch.cat([tensor, *[self.of(0, tensor)] * missing]) if missing else tensor


class CatchUp(TorchFunctionMode):
    """Repeats a failed call with the missing rows of its tensors: masks were computed before the batch grew."""

    def __init__(self, growing: Growing) -> None:
        super().__init__()
        self.growing = growing

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        try:
            return func(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, AssertionError):
            # An in-place op would write into the longer copy, which the model never uses.
            if not self.growing.joined or getattr(func, "__name__", "").endswith("_"):
                raise
            with contextlib.suppress(RuntimeError, ValueError, IndexError, AssertionError):
                return func(*each(tuple(args), self.fill_mask), **each(kwargs, self.fill_mask))
            return func(*each(tuple(args), self.fill), **each(kwargs, self.fill))

    def fill_mask(self, tensor: Tensor) -> Tensor:
        """Only tensors that never grew: in others the first dimension may not be the samples."""
        return self.fill(tensor) if tensor.shape[:1] == (self.growing.n,) else tensor

    def fill(self, tensor: Tensor) -> Tensor:
        copies, rest = divmod(tensor.shape[0] if tensor.dim() > 1 else 0, self.growing.n)
        short = copies and not rest and copies <= len(self.growing.joined)
        return self.growing.filled(tensor) if short and not isinstance(tensor, nn.Parameter) else tensor


def room(like: Tensor, rows: int) -> Tensor:
    """An empty tensor with this many rows, with the memory layout of `like` if its rows are contiguous."""
    shape = (rows, *like.shape[1:])
    if like.stride(0) * like.shape[0] == like.numel():
        return like.new_empty_strided(shape, like.stride())
    return like.new_empty(shape)
