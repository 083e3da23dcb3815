"""In the blocks that widen a net: the branch's response in the new channels against that in the carried ones.

Option A's shortcut carries the old channels and fills the new ones with zeros. There nothing is left of which the
branch could be the residual: it must make the whole value.
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from reslab import look
from reslab.errors import UsageError
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """At each merge of twice as many channels as the merge before, option A or not, on test images in eval mode.

    new, carried   mean over channels of the branch's standard deviation, in the channels after those of the merge
                   before (which option A fills with zeros) and in the others; a list over the blocks
    decades        mean over the blocks of log10(new / carried)
    zeros          whether the skip is exactly zero in all new channels
    Raises UsageError for a net without such merges, such as a plain one.
    """
    subject = opened.opened(settings, needs, device=device)
    images = subject.batches[0][0]
    read = look.read(subject.model, subject.merges, lambda: subject.model(images))
    new, carried, zeros = [], [], []
    for before, one in itertools.pairwise(read):
        old = before.out.shape[1]
        if one.out.shape[1] == 2 * old:
            new.append(spread(one.branch[:, old:]))
            carried.append(spread(one.branch[:, :old]))
            zeros.append(not one.skip[:, old:].any())
    if not new:
        raise UsageError(f"{settings.get('net', needs)} has no residual block that doubles the channels")
    decades = [math.log10(a / b) for a, b in zip(new, carried, strict=True)]
    return {"new": new, "carried": carried, "decades": sum(decades) / len(decades), "zeros": all(zeros)}


def spread(value: Tensor) -> float:
    """Mean over channels of the standard deviation over samples and positions of (N, C, H, W)."""
    return float(value.cpu().double().std(dim=(0, 2, 3), unbiased=False).mean())


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 1)
