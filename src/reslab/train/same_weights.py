"""Whether the processes of a training still have the same weights: they should, to the bit, after every step.

All take the same sums of gradients, so that only a fault makes weights differ, or arithmetic: machines of different
kinds round differently. That does not grow, as the gradients stay the same; then all continue with those of process 0.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reslab.errors import ReslabError, ReslabWarning
from reslab.train.buffers import is_number
from reslab.train.exchange import all_json, of_all, spread
from reslab.train.world import World

DRIFT = 1e-4  # of a tensor's largest value: the most that is taken for rounding
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of a number


@torch.no_grad()
def digest(net: nn.Module) -> list[int]:
    """For each tensor of the state the sum of its numbers' bits, read as integers; exact, modulo 2^64."""
    sums = [bits(value).sum(dtype=torch.int64).cpu() for value in net.state_dict().values()]
    found: list[int] = torch.stack(sums).tolist() if sums else []
    return found


def bits(value: Tensor) -> Tensor:
    size = value.element_size()
    return value.detach().view(BITS[size]) if size in BITS else value.detach().contiguous().view(torch.uint8)


def refuse_difference(net: nn.Module, digests: Sequence[list[int]], *, iteration: int, world: World) -> None:
    """Compare the digests of all processes, by rank. All call this with the same ones.

    Counts that differ become those of process 0. Differences of rounding are mended, with a warning. Raises
    ReslabError, in all, for larger ones.
    """
    if all(one == digests[0] for one in digests):
        return
    names = list(net.state_dict())
    differ = [name for k, name in enumerate(names) if any(one[k] != digests[0][k] for one in digests)]
    counts = [name for name in differ if not is_number(net.state_dict()[name])]
    adopt(net, counts)  # as of passes, of which a process without examples in a batch has fewer
    differ = [name for name in differ if name not in set(counts)]
    if not differ:
        return
    own = gaps(net, differ)
    every = all_json(own)
    worst, rank, name = max((inf(gap), rank, name) for rank, one in enumerate(every) for name, gap in one.items())
    who = f"the weights of process {rank} of {world.size} differ from those of process 0 at iteration {iteration}"
    if worst <= DRIFT:
        if world.leads:
            told = f"{who} by rounding ({name}: {worst:.1e} of the largest value), as on machines of different kinds"
            warnings.warn(ReslabWarning(f"{told}; all continue with those of process 0"), stacklevel=2)
        adopt(net, differ)
        return
    size = f"by {worst:.2g} of its largest value" if worst < float("inf") else "in numbers that are not finite"
    raise of_all(ReslabError(
        f"{who} ({name} {size}): a device has failed, or the net changes its weights by itself; the last checkpoint is "
        "as it was; run the same command again to resume from it"
    ))  # fmt: skip


def inf(gap: float | None) -> float:
    return float("inf") if gap is None else gap


@torch.no_grad()
def gaps(net: nn.Module, names: Sequence[str]) -> dict[str, float | None]:
    """How far this process's tensors are from process 0's, in parts of its largest value; None: not finite."""
    found: dict[str, float | None] = {}
    state = net.state_dict()
    for name in names:
        own = state[name].detach().cpu().contiguous()
        first = spread(own.clone()).double()
        gap = (own.double() - first).abs().max() / first.abs().max().clamp(min=1e-30)
        found[name] = float(gap) if torch.isfinite(gap) else None
    return found


@torch.no_grad()
def adopt(net: nn.Module, names: Sequence[str]) -> None:
    """Give this process the tensors of process 0."""
    state = net.state_dict()
    for name in names:
        state[name].copy_(spread(state[name].detach().cpu().contiguous().clone()))
