"""One fixed split of a data set that comes without one."""

import torch
from torch import Tensor

from reslab.errors import UsageError
from reslab.train.order import shuffled

SPLIT_SEED = 0  # never an option: everyone's 80/20 split of the same images is the same


def stratified(labels: Tensor, *, classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to test on, each sorted: a fifth of every class, as near as whole images go.

    The test part is a fifth of all, rounded up; what rounding leaves over goes to the classes
    that lose most by it. Raises UsageError where a class has fewer than two images.
    """
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, counts, strict=True):
        if count < 2:
            raise UsageError(f"class {name!r} has {count} image(s): splitting off a test part needs two or more")
    quota = [max(1, count // 5) for count in counts]
    left_over = -(-len(labels) // 5) - sum(quota)
    neediest = sorted(range(len(counts)), key=lambda k: (-(counts[k] % 5), k))
    for k in [k for k in neediest if counts[k] >= 5][: max(0, left_over)]:
        quota[k] += 1
    test = torch.zeros(len(labels), dtype=torch.bool)
    for k, take in enumerate(quota):
        rows = torch.nonzero(labels == k).flatten()
        test[rows[shuffled(len(rows), SPLIT_SEED, k)[:take]]] = True
    return torch.nonzero(~test).flatten(), torch.nonzero(test).flatten()
