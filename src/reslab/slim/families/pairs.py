"""Which layers of a cut model are which of the intact one: found by their weights, as a cut leaves them."""

import torch
from torch import nn

from reslab.slim.cutting.structure import lists_of
from reslab.slim.healing.beside import Pair


def pairs_of(net: nn.Module, whole: nn.Module) -> tuple[Pair, ...]:
    """(path in the cut net, path in the intact one) of the layers that the cut left, before any training.

    Layers are the entries of lists that have the same path in both, outermost lists alone.
    """
    theirs, found, outer = dict(lists_of(whole)), list[Pair](), list[str]()
    for path, layers in lists_of(net):
        if path not in theirs or any(path.startswith(f"{one}.") for one in outer):
            continue
        outer.append(path)
        after = 0
        for i, layer in enumerate(layers):
            at = next((k for k in range(after, len(theirs[path])) if same(layer, theirs[path][k])), None)
            if at is not None:
                found.append((f"{path}.{i}", f"{path}.{at}"))
                after = at + 1
    return tuple(found)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have the same weights."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key].cpu(), theirs[key].cpu()) for key in ours)
