"""The gradient by path length: exact, and estimated from sampled paths as Veit et al. 2016 did (section 4.2).

Only of nets with residual connections. Settings beside those of `opened`: `paths`, sampled per length and image.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """By `lengths` in blocks, 0 to all n:

    sampled     mean norm of the gradient at the images along one path; `decades`: its log10, at `known` lengths
                (where it is not exactly zero)
    estimate    number of paths x sampled, as published; `exact`: norm of the sum over all paths of that length
    longest_estimate, longest_exact  the upper end of the shortest range of lengths with 95 % of each, as a share of n
    """
    subject = opened.opened(settings, needs, device=device)
    found = look.paths(subject.model, subject.batches, merges=subject.merges, sample=paths(settings),
                       seed=settings["seed"])  # fmt: skip
    known = [k for k, norm in enumerate(found.sampled) if norm > 0]
    assert found.effective
    return {
        "lengths": list(range(found.merges + 1)), "sampled": list(found.sampled), "known": known,
        "decades": [math.log10(found.sampled[k]) for k in known],
        "estimate": list(found.product), "exact": list(found.exact),
        "longest_estimate": found.effective[1] / found.merges, "longest_exact": found.effective_exact[1] / found.merges,
    }  # fmt: skip


def paths(settings: dict[str, Any]) -> int:
    return int(settings.get("paths", 2))


def cost(settings: dict[str, Any]) -> float:
    return opened.passes({**settings, "samples": paths(settings) * opened.samples(settings)}, 50)  # of 28 lengths
