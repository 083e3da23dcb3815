"""The number of paths of each length through a net, from the graph that `look.find` finds; no training is needed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab.look.path.lengths import Lengths
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`lengths` in blocks; the `share` of all paths with each, that of a `binomial` of as many blocks; `off`: the
    largest difference between the two. A net without residual connections has one path, through all its blocks.
    """
    subject = opened.opened({**settings, "samples": 2}, needs, device=device)
    usable = [merge for merge in subject.merges if merge.reachable]
    n = len(usable) or sum(subject.model.spec.stages)
    counts = Lengths(usable).counts() if usable else [0] * n + [1]
    expected = [math.comb(n, k) for k in range(n + 1)]
    counts += [0] * (len(expected) - len(counts))
    share, binomial = ([one / sum(many) for one in many] for many in (counts, expected))
    return {"lengths": list(range(n + 1)), "share": share, "binomial": binomial,
            "off": max(abs(a - b) for a, b in zip(share, binomial, strict=True))}  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    return opened.passes({**settings, "samples": 2}, 10)
