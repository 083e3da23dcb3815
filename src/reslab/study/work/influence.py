"""What each block does to its input: how far it turns it, and whether its step goes down the loss (Jastrzebski 2018).

Only of nets with residual connections.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.look.graph.merges import Merge
from reslab.progress import Progress
from reslab.statistics import mean
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`blocks` counted from the input; of each, means over images:

    influence   1 - cos(x, x + F)
    descent     cos(F, -dL/dh), h = x + F: positive if the block's step reduces the loss
    last_third  the mean descent of the last third of the blocks
    later, first, of each stage (blocks of one shape): the mean influence of its later blocks, and that of its first
    refining    mean over stages of log10(later / first)
    """
    subject = opened.opened(settings, needs, device=device)
    found = look.influence(subject.model, subject.batches, merges=subject.merges).merges
    descent = [-(one.cosine or 0.0) for one in found]
    turned = {one.index: one.influence for one in found}
    stages = [[turned[i] for i in stage] for stage in stages_of(subject.merges) if len(stage) > 1]
    later, first = [mean(stage[1:]) for stage in stages], [stage[0] for stage in stages]
    return {
        "blocks": list(range(1, len(found) + 1)), "influence": list(turned.values()), "descent": descent,
        "last_third": mean(descent[-(-2 * len(descent) // 3) :]), "later": later, "first": first,
        "refining": mean([math.log10(a / b) for a, b in zip(later, first, strict=True)]),
    }  # fmt: skip


def stages_of(merges: Sequence[Merge]) -> list[list[int]]:
    """The merges that follow one another with one shape, by index."""
    stages: list[list[int]] = []
    shape = None
    for merge in merges:
        if merge.reachable:
            if merge.shape != shape:
                stages.append([])
            stages[-1].append(merge.index)
            shape = merge.shape
    return stages


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 5)
