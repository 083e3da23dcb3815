"""What the net would answer at each depth: all later blocks disabled, its own head (Greff 2017, Jastrzebski 2018).

Only of nets with residual connections.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reslab import look
from reslab.progress import Progress
from reslab.study.work import opened


def work(
    folder: Path, settings: dict[str, Any], needs: Sequence[Path], *, device: str, progress: Progress
) -> dict[str, Any]:
    """`blocks` passed, and the `errors` (%) and `losses` then; `last_blocks`, `last_errors` and `last_losses`: of the
    last stage alone, which begins after its first block, where no projection lies ahead.
    """
    subject = opened.opened(settings, needs, device=device)
    depths = look.readout(subject.model, subject.batches, merges=subject.merges, metrics=["error", "loss"]).depths
    ahead = [one for one in depths if not one.projections]
    return {f"{part}{name}": values for part, some in (("", depths), ("last_", ahead)) for name, values in (
        ("blocks", [one.depth for one in some]), ("errors", [100 * one.values["error"] for one in some]),
        ("losses", [one.values["loss"] for one in some]))}  # fmt: skip


def cost(settings: dict[str, Any]) -> float:
    return opened.passes(settings, 22)  # a growing pass of 28 depths
