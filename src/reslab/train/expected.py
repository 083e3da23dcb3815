"""How long a training will take, from the time of a step, how fast batches come, and what is evaluated."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reslab.errors import Sentence, tell
from reslab.progress import Progress, in_phase
from reslab.progress.row import duration
from reslab.train.cores import usable_cores
from reslab.train.generators import kept
from reslab.train.gradient import cut
from reslab.train.memory import free, is_full
from reslab.train.recipe import Recipe
from reslab.train.signals import Interrupted
from reslab.train.task import Task
from reslab.train.tune import Choice, make_step

FEWEST = 30  # iterations left from which the time is measured
STEPS, PATIENCE = 3, 5.0  # steps that are timed if none were; seconds for steps, and for batches
FORWARD = 1 / 3  # of a training step's time: a backward pass takes about twice as long as a forward pass
LONG = 3600.0  # seconds from which ways to shorten a training are named


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Seconds of a training: `step` and `load` per iteration, `evaluations` in all.

    If the first iterations have smaller batches, `step` and `load` are those of the others.
    """

    step: float
    load: float
    iteration: float  # both together, as far as they overlap; the mean of all iterations
    iterations: int
    evaluations: float

    @property
    def seconds(self) -> float:
        return self.iteration * self.iterations + self.evaluations


def expected(
    task: Task, net: nn.Module, *, recipe: Recipe, choice: Choice, start: int, progress: Progress,
    stopped: Callable[[], int],
) -> Expected | None:  # fmt: skip
    """The time that the rest of a training takes, from iteration `start`; None if it is short or cannot be measured.

    Loading by worker processes overlaps with the steps: on another device entirely, on a CPU as far as its cores allow.
    An evaluated example costs a forward pass and loading. Before iteration `task.whole_from`, where a task has one,
    batches cost less; both kinds are timed. `stopped` gives the number of a signal that arrived, or 0.
    Raises Interrupted when one does.
    """
    total = recipe.length(task.examples)
    parts: dict[str, Any] | None = getattr(task, "parts", None)
    if parts is None or total - start < FEWEST:
        return None
    workers = recipe.workers if any(hasattr(part, "sources") for part in parts.values()) else 0
    whole_from = getattr(task, "whole_from", 0)
    later = min(max(start, whole_from), total - 1)
    costs = []
    for begin in sorted({start, later}):
        load, batch = time_batches(task, begin, total, workers=workers, progress=progress, stopped=stopped)
        if batch is None:
            return None
        as_timed = begin < whole_from or not whole_from  # the choice was timed on the first batches
        known = choice.milliseconds.get(str(choice), 0.0) / 1000 if as_timed else 0.0
        step = known or step_or_full(task, net, choice, batch, recipe.accumulate)
        if not step:
            return None
        costs.append((step * recipe.accumulate, load))
    step, load = costs[-1]
    share = (later - start) / (total - start)  # of the iterations, with the smaller batches
    both = [overlap(*cost, workers=workers, device=task.device) for cost in costs]
    sizes = {name: len(part) for name, part in parts.items() if part is not None}
    often = recipe.evaluations(start, task.examples)
    evaluated = often * (sizes.get("validation", 0) + sizes.get("test", 0)) + sizes["train"] * (1 + recipe.precise_bn)
    apart = overlap(step * FORWARD, load, workers=workers, device=task.device) / recipe.batch
    return Expected(step=step, load=load, iteration=share * both[0] + (1 - share) * both[-1],
                    iterations=total - start, evaluations=evaluated * apart)  # fmt: skip


def overlap(step: float, load: float, *, workers: int, device: torch.device) -> float:
    """Seconds of an iteration whose batch is loaded in `load` seconds by `workers`, if these run alone."""
    if not workers:
        return step + load
    if device.type != "cpu":
        return max(step, load)
    cores = usable_cores()
    busy = step * min(torch.get_num_threads(), cores) + load * min(workers, cores)
    return max(step, load, busy / cores)


def time_batches(
    task: Task, start: int, total: int, *, workers: int, progress: Progress, stopped: Callable[[], int]
) -> tuple[float, Any]:
    """(seconds between two batches, a batch), after those that `workers` load at first; (..., None) if all broke."""
    many = min(total - start, 3 * workers + 3)
    told, began = in_phase(progress, "timing the loading of batches"), time.perf_counter()
    came: list[float] = []
    first = None
    for batch in task.batches(start, start + many):
        first = first or batch
        came.append(time.perf_counter())
        told(len(came), many)
        if stopped():
            raise Interrupted("stopped before the first step; run the same command again to start", stopped())
        if came[-1] - began > PATIENCE and len(came) > workers + 1:
            break
    skip = max(1, workers)
    if len(came) <= skip:
        return (came[-1] - began if came else 0.0), first
    return (came[-1] - came[skip - 1]) / (len(came) - skip), first


def step_or_full(task: Task, net: nn.Module, choice: Choice, batch: Any, parts: int) -> float:
    """As `time_step`; 0 if the memory is full."""
    try:
        return time_step(task, net, choice, batch, parts)
    except (RuntimeError, MemoryError) as error:
        if not is_full(error):
            raise
        free()
        return 0.0


def time_step(task: Task, net: nn.Module, choice: Choice, batch: Any, parts: int) -> float:
    """Median seconds of a step on one part of the batch, without compiling; the net is left as it was."""
    x, y = next(cut(batch.x, batch.y, parts))
    plain = Choice(precision=choice.precision, memory_format=choice.memory_format, fused=choice.fused)
    with kept(y.device):
        times: list[float] = []
        run, began = make_step(plain, copy.deepcopy(net), x, y, task.loss), time.perf_counter()
        while len(times) < STEPS and (not times or time.perf_counter() - began < PATIENCE):
            now = time.perf_counter()
            run()
            times.append(time.perf_counter() - now)
    return statistics.median(times[1:] or times)


def tell_if_long(found: Expected, shorter: Sentence) -> None:
    """Report a training of more than an hour, with the ways to a `shorter` one."""
    if found.seconds <= LONG:
        return
    tell(Sentence(f"this training takes about {duration(found.seconds)}", slow(found), "; shorter: ", shorter))


def slow(found: Expected) -> str:
    """What is slow, if it is not the net."""
    if found.load < found.iteration / 2:
        return ""
    return f" (loading a batch takes {found.load:.2f} s of the {found.iteration:.2f} s per iteration)"
