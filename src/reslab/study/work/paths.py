"""The gradient by path length: exact, and estimated from sampled paths as Veit et al. 2016 did (section 5).

Only of nets with residual connections. Settings beside those of `opened`: `paths`, sampled per length and image.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.progress import Progress
from reslab.study.work import opened

LEVEL = 0.95  # of the gradient; the paper says "almost all" of it


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """By `lengths` in blocks, 0 to all n:

    sampled     mean norm of the gradient at the images along one path; `decades`: its log10, at `known` lengths
                (where it is not exactly zero)
    estimate    number of paths x sampled, as published; `exact`: norm of the sum over all paths of that length
    reach_estimate, reach_exact  the length up to which 95 % of each lie, between lengths interpolated, as a share of n
    """
    subject = opened.opened(settings, needs, device=device)
    found = look.paths(subject.model, subject.batches, merges=subject.merges, sample=paths(settings),
                       seed=settings["seed"])  # fmt: skip
    known = [k for k, norm in enumerate(found.sampled) if norm > 0]
    return {
        "lengths": list(range(found.merges + 1)), "sampled": list(found.sampled), "known": known,
        "decades": [math.log10(found.sampled[k]) for k in known],
        "estimate": list(found.product), "exact": list(found.exact),
        "reach_estimate": reach(found.product) / found.merges, "reach_exact": reach(found.exact) / found.merges,
    }  # fmt: skip


def reach(weights: Sequence[float]) -> float:
    """The length up to which `LEVEL` of the weights of lengths 0, 1, ... lie; each weight fills the unit before it."""
    wanted, held = LEVEL * sum(weights), 0.0
    for k, weight in enumerate(weights):
        if weight and held + weight >= wanted:
            return max(0.0, k - 1 + (wanted - held) / weight)
        held += weight
    return 0.0  # nothing has a gradient


def paths(settings: dict[str, Any]) -> int:
    return int(settings.get("paths", 2))


def cost(settings: dict[str, Any]) -> float:
    return opened.passes({**settings, "samples": paths(settings) * opened.samples(settings)}, 50)  # of 28 lengths
