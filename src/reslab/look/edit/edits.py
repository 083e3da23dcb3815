"""Edits of a merge: small functions from tensor to tensor, one for each operand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.look.graph.merges import Merge

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """An edit of one merge: functions from tensor to tensor that change its skip, its branches and its sum.

    If `branch` holds several functions, each changes one branch, in their order.

    `whole(summands, branch, add)` replaces the addition. It is given [skip, branch] in the order of the model's own
    call, the position of the branch in it, and a function `add(summands, out=None)` that adds such a list.
    """

    skip: Change | None = None
    branch: Change | tuple[Change, ...] | None = None
    out: Change | None = None
    whole: Callable[[list[Tensor], int, Callable[..., Tensor]], Tensor] | None = None
    watches: bool = False  # skip and branch only look, at what is added: with the call's sign and factor
    seen: Callable[[Tensor], object] | None = None  # is called with the skip as it is added


def silence() -> Edit:
    """Disable the block: its branch returns zeros, so out = skip."""
    return Edit(branch=zeros)


def zeros(branch: Tensor) -> Tensor:
    """Zeros in the form of the branch; of quantized numbers, what stands for zero."""
    if not branch.is_quantized:
        return torch.zeros_like(branch)
    nothing = torch.zeros(branch.shape, device=branch.device)
    return torch.quantize_per_tensor(nothing, branch.q_scale(), branch.q_zero_point(), branch.dtype)


def detach_branch() -> Edit:
    """Stop the gradient through the branch; the forward pass is unchanged."""
    return Edit(branch=torch.Tensor.detach)


def detach_skip() -> Edit:
    """Stop the gradient through the skip; the forward pass is unchanged."""
    return Edit(skip=torch.Tensor.detach)


def mean(*, dim: int = 0) -> Edit:
    """The branch (each branch) returns its mean over the batch, the axis `dim`: mean ablation.

    It removes what the block tells about each sample, and keeps what it adds to all of them.
    """
    return Edit(branch=lambda branch: branch.mean(dim, keepdim=True).expand_as(branch))


def resample(*, seed: int = 0, dim: int = 0) -> Edit:
    """The branch (each branch) returns that of another sample of the batch, the axis `dim`: resample ablation.

    Every sample gets one other's, the same in each pass; the order follows from `seed`. The pass raises UsageError for
    a batch of one sample.
    """

    def other(branch: Tensor) -> Tensor:
        count = branch.shape[dim]
        if count < 2:
            raise UsageError("resample() needs at least two samples in a batch, got 1")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        source = torch.empty_like(order)
        source[order] = order.roll(1)  # one cycle through all samples: nobody gets its own
        return branch.index_select(dim, source.to(branch.device))

    return Edit(branch=other)


def put(value: Tensor | float) -> Edit:
    """The branch (each branch, if there are several) returns `value` for any input."""
    given = torch.as_tensor(value)
    return Edit(branch=lambda branch: given.to(branch).expand_as(branch))


def keep(into: dict[str, Tensor]) -> Edit:
    """Write copies of "skip", "branch" (the sum of several) and "out" into a dict, without gradients.

    The pass itself is unchanged. After several passes the dict holds the values of the last one. Skip and branch are
    copied as they are added, with any minus or factor: skip + branch = out.
    """

    def save(name: str) -> Change:
        def note(value: Tensor) -> Tensor:
            if "out" in into:  # left by the previous pass
                into.clear()
            copy = value.detach().clone()  # a copy, because later ops may write into the tensor
            into[name] = into[name] + copy if name == "branch" and name in into else copy
            return value

        return note

    return Edit(skip=save("skip"), branch=save("branch"), out=save("out"), watches=True)


def take(of: int, merges: Sequence[Merge], at: int) -> dict[int, Edit]:
    """Edits under which merge `at` gets the branch of the earlier merge `of` in the same pass.

    Raises UsageError if the shapes differ or `of` comes later; use put(read(...)[of].branch) in that case.
    """
    known = {merge.index: merge for merge in merges}
    for index in (of, at):
        if index not in known:
            raise UsageError(f"there is no merge {index}: the model has merges {min(known)} to {max(known)}")
    if of >= at:
        raise UsageError(
            f"merge {of} does not come before merge {at}: read its branch in an earlier pass and use put()"
        )
    if known[of].shape != known[at].shape:
        raise UsageError(f"merges {of} and {at} differ in shape: {known[of].shape} and {known[at].shape}")
    held: list[Tensor] = []

    def hold(branch: Tensor) -> Tensor:
        held[:] = [branch.clone()]
        return branch

    def add(branch: Tensor) -> Tensor:
        held[0] = held[0] + branch
        return branch

    # If a merge has several parallel branches, their sum is taken, and given once.
    taken, given = (max(1, len(known[index].branches)) for index in (of, at))
    return {
        of: Edit(branch=(hold, *[add] * (taken - 1))),
        at: Edit(branch=(lambda _: held[0], *[torch.zeros_like] * (given - 1))),
    }


def as_edits(edits: Any) -> Mapping[Any, Edit]:
    """Edits by merge; `silence` is understood as `silence()`. Raises UsageError for anything else."""
    if not isinstance(edits, Mapping):
        raise UsageError(f"edits must be a dict from merge index to edit, such as {{3: silence()}}, got {edits!r}")
    makers = (silence, detach_branch, detach_skip, mean, resample)
    found = {i: edit() if edit in makers else edit for i, edit in edits.items()}
    for i, edit in found.items():
        if not isinstance(edit, Edit):
            name = getattr(edit, "__name__", type(edit).__name__)
            raise UsageError(f"the edit of merge {i} is {name}, not an Edit; use silence(), put(value) or Edit(...)")
    return found
