"""How strongly each layer responds: the standard deviation of its output after BN (He et al. 2015, Figure 7)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`layers` counted from the input, their `std`, the same `ranked` from the largest, and the `median`."""
    subject = opened.opened(settings, needs, device=device)
    found = look.responses(subject.model, subject.batches, merges=subject.merges)
    shown = [layer.std for layer in found.layers if layer.shown]
    return {"layers": list(range(1, len(shown) + 1)), "std": shown, "ranked": sorted(shown, reverse=True),
            "median": found.median}  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 2)  # the statistics cost about as much as the pass
