"""`reslab.slim.plan`: which blocks of a model go, in which order, and what that costs."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from reslab.errors import UsageError, arg
from reslab.look.batches import as_batches, few
from reslab.look.graph.example import batch_size, rows
from reslab.look.graph.merges import plain
from reslab.look.lesion.trials import checked
from reslab.look.measure import Batch, Metric
from reslab.progress import Phase, Progress, silent
from reslab.slim.block import Blocks
from reslab.slim.finding import find_blocks, refuse_numbers
from reslab.slim.planning.choices import Choices, Keep, kept_of
from reslab.slim.planning.items import Items
from reslab.slim.planning.job import Job
from reslab.slim.planning.meter import Meter
from reslab.slim.planning.state import State, digest_of_data, digest_of_weights
from reslab.slim.planning.targets import Target, check_by, check_reach, target
from reslab.slim.record import By, Plan
from reslab.train.signals import Stop

ENOUGH, HELD_OUT = 600, 1 / 3  # from so many samples on, this share of them measures the steps and decides nothing
TIMED = 32  # samples of the batch whose pass is timed, if none is given


def plan(
    model: nn.Module, batches: Iterable[Any], *, blocks: Blocks | None = None, example: Any = None,
    by: By = "disabling", remove: int | None = None, speedup: float | None = None, max_macs: float | None = None,
    keep_error: float | None = None, beam: int = 1, parts: bool = False, keep: Keep = (),
    metrics: Sequence[str | Metric] | None = None, held_out: float | None = None, race: bool = True,
    timed: Any = None, data: str = "", progress: Progress = silent, folder: str | Path | None = None,
) -> Plan:  # fmt: skip
    """Which blocks of `model` go, in which order, and what each step costs. The model is left as it was.

    `batches`: [(input, labels or None), ...], never the test part. `blocks`: of find_blocks, found with `example` (a
    small input; by default two samples) if not given; `parts` also offers attention or MLP alone.

    `by`: "disabling" measures every block that is left in each step, and removes the one without which the model does
    best; influence, response, gradient and first-order order the blocks once (planning/ranking.py), and each prefix of
    that order is measured. `metrics`: the first decides, less is better; by default loss and error, or drift without
    labels. Loss and not error decides, because errors of several blocks are often equal.

    One target: `remove` blocks; `speedup`, measured on the model's device; `max_macs`, the share of the MACs that may
    stay; `keep_error`, how many percentage points the error may rise, by the plan's own estimate of it (not by the end
    of its interval, which on few samples no removal would satisfy). `keep`: a block that stays, or
    several, by module or index.

    `beam`: sets of blocks kept in each step. `held_out`: the share of the samples that decide nothing and measure the
    steps; by default a third from 600 samples on, else none, and then the steps look better than they are. `race`:
    stop measuring a candidate that is clearly worse. `timed`: the input whose pass is timed, by default the first
    32 samples of the first batch. `folder`: keeps what was measured; the same call resumes, also with another target.

    Raises UsageError for impossible options, data or targets, Interrupted (Ctrl-C) with what was measured in `folder`.
    """
    began, model = time.perf_counter(), plain(model)
    goal = target(remove=remove, speedup=speedup, max_macs=max_macs, keep_error=keep_error)
    check_by(by, beam)
    given = as_batches(batches)
    asked = measures(given, metrics, goal)
    refuse_numbers(model)
    if blocks is None:
        progress(0, 1, Phase("finding the blocks"))
        blocks = find_blocks(model, few(model, given[0][0]) if example is None else example, parts=parts)
    choices = Choices(blocks, keep)
    check_reach(goal, choices, None)
    items = Items(given, 0.0)
    share = (HELD_OUT if items.n >= ENOUGH else 0.0) if held_out is None else held_out
    if isinstance(share, bool) or not 0 <= share < 1:
        raise UsageError(f"held_out is a share of the samples, from 0 to below 1, got {held_out!r}")
    about = {
        "model": type(model).__name__, "weights": digest_of_weights(model), "data": digest_of_data(given),
        "blocks": [block.module for block in blocks], "by": by, "beam": beam, "metrics": list(asked),
        "keep": kept_of(blocks, keep), "held_out": share,
    }  # fmt: skip
    with Stop() as stop:
        job = Job(
            model=model, choices=choices, goal=goal, by=by, beam=beam, race=race, metrics=asked, items=items,
            share=share, state=State(folder, about, began), meter=Meter(progress, stop, folder),
            timed=first_rows(given) if timed is None else timed,
        )  # fmt: skip
        progress(0, 1, Phase("timing the blocks"))
        check_reach(goal, choices, job.time())
        progress(0, 1, Phase("measuring the intact model"))
        return job.result(job.search(), data)


def measures(batches: Sequence[Batch], metrics: Sequence[str | Metric] | None, goal: Target) -> dict[str, Metric]:
    """The metrics by name, the one that decides first. Raises UsageError if the target needs one that is missing."""
    labelled = bool(batches) and batches[0][1] is not None
    asked = checked(batches, metrics or (("loss", "error") if labelled else ("drift",)))
    if goal.goal == "keep_error" and "error" not in asked:
        cure = 'add "error" to the metrics' if labelled else "name another target"
        raise UsageError(arg(goal.goal), f" needs the error, which is measured on data with labels: {cure}")
    return asked


def first_rows(batches: Sequence[Batch]) -> Any:
    example = batches[0][0]
    return rows(example, 0, min(TIMED, batch_size(example)))
