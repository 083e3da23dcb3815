"""What can be done at a merge: small functions from tensor to tensor, one for each place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.look.graph.merges import Merge

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What to do at one merge: change its skip, each of its branches, its sum; each from tensor to tensor.

    Several functions in `branch` are for the branches one by one, in their order.

    `whole(summands, add)` takes the addition's place: it is given [skip, branch], in the order of the model's own
    call, which of them is the branch, and a function `add(summands, out=None)` that adds such a list.
    """

    skip: Change | None = None
    branch: Change | tuple[Change, ...] | None = None
    out: Change | None = None
    whole: Callable[[list[Tensor], int, Callable[..., Tensor]], Tensor] | None = None


def silence() -> Edit:
    """The branch gives zeros: out = skip."""
    return Edit(branch=torch.zeros_like)


def detach_branch() -> Edit:
    """No gradient goes back through the branch; forward all is as before."""
    return Edit(branch=torch.Tensor.detach)


def detach_skip() -> Edit:
    """No gradient goes back through the skip; forward all is as before."""
    return Edit(skip=torch.Tensor.detach)


def put(value: Tensor | float) -> Edit:
    """The branch (each, where a merge has several) gives `value`, whatever came in."""
    given = torch.as_tensor(value)
    return Edit(branch=lambda branch: given.to(branch).expand_as(branch))


def keep(into: dict[str, Tensor]) -> Edit:
    """Write copies of skip, branch (the sum of several) and sum into a dict, without gradients, and change nothing.

    After several passes it holds the last one's. A branch is noted as it enters the addition: before a minus or a
    factor there.
    """

    def save(name: str) -> Change:
        def note(value: Tensor) -> Tensor:
            if "out" in into:  # of the pass before
                into.clear()
            copy = value.detach().clone()  # a copy: what follows may write into the tensor
            into[name] = into[name] + copy if name == "branch" and name in into else copy
            return value

        return note

    return Edit(skip=save("skip"), branch=save("branch"), out=save("out"))


def take(of: int, merges: Sequence[Merge], at: int) -> dict[int, Edit]:
    """Edits under which merge `at` is given the branch of the earlier merge `of`, of the same pass.

    Raises UsageError where the shapes differ or `of` comes later; put(read(...)[of].branch) serves then.
    """
    known = {merge.index: merge for merge in merges}
    for index in (of, at):
        if index not in known:
            raise UsageError(f"there is no merge {index}: the model has merges {min(known)} to {max(known)}")
    if of >= at:
        raise UsageError(f"merge {of} comes no earlier than merge {at}: read its branch in a pass before, and put() it")
    if known[of].shape != known[at].shape:
        raise UsageError(f"merges {of} and {at} differ in shape: {known[of].shape} and {known[at].shape}")
    held: list[Tensor] = []

    def hold(branch: Tensor) -> Tensor:
        held[:] = [branch.clone()]
        return branch

    def add(branch: Tensor) -> Tensor:
        held[0] = held[0] + branch
        return branch

    # Of several branches side by side the sum is taken, and given once.
    taken, given = (max(1, len(known[index].branches)) for index in (of, at))
    return {
        of: Edit(branch=(hold, *[add] * (taken - 1))),
        at: Edit(branch=(lambda _: held[0], *[torch.zeros_like] * (given - 1))),
    }
