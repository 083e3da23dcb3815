"""How long a pass takes on this device, and how much faster one model is than another.

Models are timed in turn, so that a machine that slows down or speeds up meanwhile does so for all, and in random
order in each round: a busy machine interrupts passes in a rhythm, which would hit the same model again and again. For
the same reason a short pass is run several times in one measurement.
"""

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import torch
from torch import nn

from reslab.look.graph.copies import own
from reslab.look.graph.example import Example, batch_size
from reslab.look.graph.passes import forward
from reslab.look.graph.state import State
from reslab.slim.record import Timing
from reslab.statistics import median_interval

WARM = 2  # passes of each model that are not counted
ROUNDS, SECONDS = (7, 50), 15.0  # measurements of each model: at least, at most; seconds for all of them
LEAST, MOST = 25.0, 100  # milliseconds of one measurement; passes in it, whose inputs are made before


class Stamps:
    """Moments of the device: of the clock, or events in the stream of a GPU, which costs no synchronization."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def now(self) -> Any:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        self.synchronize()
        return time.perf_counter()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def milliseconds(self, start: Any, end: Any) -> float:
        """Between two moments; on a GPU after `synchronize`."""
        return float(start.elapsed_time(end)) if self.device.type == "cuda" else 1000 * (end - start)


def device_of(model: nn.Module) -> torch.device:
    found = [*model.parameters(), *model.buffers()]
    return found[0].device if found else torch.device("cpu")


@contextlib.contextmanager
def at_rest(models: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, the models run as in use: in eval mode, with fused attention, without gradients; then they are restored.

    Nothing watches them, unlike in `as_it_was`.
    """
    states = [State(model) for model in models]
    flags = [(module, module.training) for model in models for module in model.modules()]
    try:
        for module, _ in flags:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, flag in flags:
            module.training = flag
        for state in states:
            state.restore()


def in_turn(
    models: Sequence[nn.Module], example: Example, *, rounds: tuple[int, int] = ROUNDS, seconds: float = SECONDS,
    least: float = LEAST, after: Callable[[int], None] = lambda i: None, pause: Callable[[], None] = lambda: None,
) -> list[list[float]]:  # fmt: skip
    """Milliseconds of a pass of each model, measured once in every round, in random order.

    At least and at most so many rounds, as fit into the seconds, after WARM rounds of one pass that do not count. A
    measurement is the mean of so many passes, the same for all models, that it takes `least` milliseconds.
    `after(i)` is called after every measurement of model i, `pause()` before it. The models may share weights.
    """
    found: list[list[float]] = [[] for _ in models]
    stamps, began, draw = Stamps(device_of(models[0])), time.perf_counter(), Random("order of the models")
    passes, warm = 1, math.inf

    def measured(model: nn.Module) -> float:
        given = [own(example) for _ in range(passes)]
        stamps.synchronize()
        start = stamps.now()
        for one in given:
            forward(model, one)
        end = stamps.now()
        stamps.synchronize()
        return stamps.milliseconds(start, end) / passes

    with at_rest(models):
        for number in range(WARM + rounds[1]):
            if number >= WARM + rounds[0] and time.perf_counter() - began > seconds:
                break
            if number == WARM:
                passes = max(1, math.ceil(least / max(warm, least / MOST))) if least > 0 else 1
            for i in sorted(range(len(models)), key=lambda i: draw.random()):
                pause()
                took = measured(models[i])
                after(i)
                if number >= WARM:
                    found[i].append(took)
                else:
                    warm = min(warm, took)
    return found


def timing_of(times: Sequence[float], model: nn.Module, example: Example) -> Timing:
    """The median of passes and its interval."""
    around = median_interval(times)
    device = device_of(model)
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()}
    known = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}
    return Timing(
        milliseconds=statistics.median(times), low=around.low, high=around.high, n=len(times),
        batch=batch_size(example), device=str(device), threads=torch.get_num_threads(),
        precision=", ".join(sorted(known.get(kind, str(kind)) for kind in kinds)) or "fp32",
    )  # fmt: skip


def speedup(
    before: nn.Module, after: nn.Module, example: Example, *, rounds: tuple[int, int] = ROUNDS,
    seconds: float = SECONDS,
) -> tuple[float, float, float]:  # fmt: skip
    """How much faster `after` runs than `before`: the median ratio of passes timed in turn, and its 95 % interval.

    On the models' device, with the threads that PyTorch uses now, for the batch of the example.
    """
    return ratio(*in_turn([before, after], example, rounds=rounds, seconds=seconds))


def ratio(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """The median of the ratios of one round, and its 95 % interval."""
    found = [a / b for a, b in zip(before, after, strict=True)]
    around = median_interval(found)
    return statistics.median(found), around.low, around.high
