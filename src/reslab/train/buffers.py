"""Buffers that a net changes in its forward pass, as the statistics of other norms than BatchNorm: alike everywhere."""

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn

from reslab.train.message import Message


class Buffers:
    """The saved buffers of `net` but those of the modules `apart`, whose statistics are taken care of elsewhere.

    In each step, those that changed in any process become the same in all: numbers their mean over the processes,
    weighed by examples, as one process has them if they are linear in the examples; counts and flags the largest.
    A module whose saved buffers are all counts or indices is taken to keep them.
    """

    def __init__(self, net: nn.Module, *, apart: Collection[nn.Module]) -> None:
        skipped = set(apart)
        self.places = [(module, name) for module in net.modules() if module not in skipped
                       for name in saved_buffers(module)]  # fmt: skip
        self.before: list[tuple[Tensor, int]] = []

    def now(self) -> Iterator[Tensor]:
        """The buffers as they are: a module may have put another tensor in the place of one."""
        return (getattr(module, name) for module, name in self.places)

    def watch(self) -> None:
        """Before the forward passes of a step."""
        self.before = [(value, value._version) for value in self.now()]

    def changed(self) -> Tensor:
        """For each buffer, 1 if it was changed since."""
        return torch.tensor([float(value is not old or value._version != version)
                             for value, (old, version) in zip(self.now(), self.before, strict=True)])  # fmt: skip

    @torch.no_grad()
    def agree(self, changed: Tensor, *, share: Tensor) -> None:
        """`changed`: in how many processes each did; `share`: of the examples, that this process had."""
        if not self.places:
            return
        share = share.to(next(self.now()).device)
        for value, processes in zip(self.now(), changed.tolist(), strict=True):
            if processes and is_number(value):
                weighed = torch.where(share > 0, value * share, 0)  # of no examples, it may be no number
                value.copy_(Message(weighed.to(value.dtype)).received())
            elif processes:
                value.copy_(Message(value.to(torch.int64), torch.distributed.ReduceOp.MAX).received())


def saved_buffers(module: nn.Module) -> list[str]:
    """The names of a module's own buffers that belong to its state, if one of them holds numbers."""
    found = {name: value for name, value in module.named_buffers(recurse=False)
             if name not in module._non_persistent_buffers_set}  # fmt: skip
    return list(found) if any(map(is_number, found.values())) else []


def is_number(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()
