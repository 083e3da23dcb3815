"""A net for tables that is given the sums of its bags, so that the first axis of every input is the batch."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reslab.tables.net.net import TableNet
from reslab.tables.net.values import Bags


class GivenBags(nn.Module):
    """In the place of `Bags`: its part of the sums (N, Fb, all widths), which are given instead of ids."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.first, self.last = first, last

    def forward(self, sums: Tensor, *_: Tensor) -> Tensor:
        return sums[..., self.first : self.last]


class SummedNet(nn.Module):
    """A net for tables with the inputs of `Rows.inputs`, in the order of `names`; its outputs as a tuple of one."""

    def __init__(self, net: TableNet, names: Sequence[str]) -> None:
        super().__init__()
        self.net, self.names, first = copy.deepcopy(net), tuple(names), 0
        for where, name, bags in bags_of(self.net):
            last = first + bags.table.shape[1]
            where.add_module(name, GivenBags(first, last))
            first = last
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None) -> tuple[Tensor]:
        batch = dict(zip(self.names, (first, second, third), strict=False))
        if (sums := batch.pop("bags", None)) is not None:
            batch |= dict.fromkeys(("bag_ids", "bag_weights", "bag_offsets"), sums)
        return (self.net(**batch),)


def bags_of(net: nn.Module) -> list[tuple[nn.Module, str, Bags]]:
    """(parent, name, module) of each table of vectors of bags: those of the columns, then the direct ones."""
    return [(parent, name, child) for parent in net.modules() for name, child in parent.named_children()
            if isinstance(child, Bags)]  # fmt: skip


def vectors_of(net: TableNet) -> np.ndarray | None:
    """The vectors of all values in bags, all tables side by side, float32 (V, all widths); None without bags."""
    tables = [bags.table.detach() for _, _, bags in bags_of(net)]
    return torch.cat(tables, dim=1).numpy() if tables else None


def random_rows(sizes: Mapping[str, Any], width: int, n: int, *, seed: int) -> dict[str, np.ndarray]:
    """n rows that an encoder of these sizes could have made; a tenth of the numbers are missing. width: of the sums."""
    draws = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    if sizes["numbers"]:
        numbers = draws.normal(size=(n, sizes["numbers"], 2)).astype(np.float32)
        numbers[draws.random(numbers.shape[:2]) < 0.1] = np.nan
        found["numbers"] = numbers
    if sizes["categories"]:
        found["codes"] = np.stack([draws.integers(0, size, n) for size in sizes["categories"]], axis=1)
    if sizes["bags"]:
        found["bags"] = draws.normal(size=(n, len(sizes["bags"]), width)).astype(np.float32)
    return found
