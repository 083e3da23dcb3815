"""The exponential moving average of a net's weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """A copy of the net whose weights and buffers follow it: a <- d a + (1 - d) w, with d the decay.

    The first update copies them. Integers (counts, indices) are copied in each: the average of 5 and 5 may be 4.99,
    which is stored as 4. torch's own update walks through both nets each time, which took a tenth of a table's step.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__(net, use_buffers=True)
        self.parameters_of = by_type(zip(self.module.parameters(), net.parameters(), strict=True))
        self.buffers_of = list(zip(places(self.module), places(net), strict=True))
        self.empty: bool | None = None  # whether nothing has been averaged yet; None: to be read

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Update the average from the net's present weights."""
        if self.empty is None:
            self.empty = int(self.n_averaged) == 0
        buffers = by_type((getattr(*mine), getattr(*its)) for mine, its in self.buffers_of)  # a net may replace them
        for mine, its in (*self.parameters_of, *buffers):
            if self.empty or not mine[0].is_floating_point():
                torch._foreach_copy_(mine, its)
            else:
                torch._foreach_lerp_(mine, its, 1 - decay)
        self.n_averaged += 1
        self.empty = False


def by_type(pairs: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """The pairs as two lists for each type of the first."""
    found: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for mine, its in pairs:
        firsts, seconds = found.setdefault(mine.dtype, ([], []))
        firsts.append(mine.detach())
        seconds.append(its.detach())
    return list(found.values())


def places(net: nn.Module) -> list[tuple[nn.Module, str]]:
    """(module, name) of each buffer; one that several modules share, once."""
    found = {id(buffer): (module, name) for module in reversed(list(net.modules()))
             for name, buffer in module.named_buffers(recurse=False)}  # fmt: skip
    return list(found.values())
