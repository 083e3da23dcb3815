"""The range test of the learning rate (Smith 2017, arXiv 1506.01186, section 3.3): one short training, rising rates."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reslab.progress import Progress
from reslab.train.recipe import Recipe
from reslab.train.schedule import Schedule
from reslab.train.signals import Interrupted
from reslab.train.training import Training

STEPS = 100  # of the whole range
RANGES = {"sgd": (1e-5, 10.0), "adamw": (1e-7, 1.0)}  # by optimizer
SMOOTHING = 0.9  # of the moving average that tells divergence
DIVERGED = 4.0  # times the lowest average
WINDOW = 15  # steps whose slope is fitted: about a decade
FALL = 0.05  # share of the first losses by which the loss must fall to suggest a rate


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """The loss of each step and its rate; `averages` are smoothed losses. `suggestion`: None if the loss never fell."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    averages: tuple[float, ...]
    suggestion: float | None
    diverged: bool  # whether it ended before the highest rate
    batch: int
    optimizer: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class Ramp(Schedule):
    """Rates that grow geometrically from `least` to `most` in `steps` iterations."""

    def __init__(self, recipe: Recipe, *, examples: int, least: float, most: float, steps: int) -> None:
        super().__init__(recipe, examples=examples)
        self.least, self.most, self.steps = least, most, steps

    def lr(self, iteration: int) -> float:
        return float(self.least * (self.most / self.least) ** (iteration / (self.steps - 1)))


def range_test(
    training: Training, *, progress: Progress, stopped: Callable[[], int] = lambda: 0, steps: int = STEPS
) -> RangeTest:
    """Train on the first batches with rising rates until the loss diverges; `training` is spent afterwards.

    It diverges where the moving average of the loss is more than four times its lowest value, or not finite. Raises
    Interrupted after the step in which `stopped` gives a signal's number.
    """
    task, recipe = training.task, training.recipe
    least, most = RANGES[recipe.optimizer]
    training.schedule = Ramp(recipe, examples=task.examples, least=least, most=most, steps=steps)
    rates: list[float] = []
    losses: list[float] = []
    averages: list[float] = []
    average, diverged = 0.0, False
    training.net.train()
    for batch in task.batches(0, steps):
        training.iteration = batch.iteration
        training.step(batch)
        total, _, n = training.sums[0].tolist()
        training.sums[0] = 0
        loss = total / n
        if not math.isfinite(loss):
            diverged = True
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        rates.append(training.schedule.lr(batch.iteration))
        losses.append(loss)
        averages.append(average / (1 - SMOOTHING ** len(losses)))
        progress(len(losses), steps, f"learning rate {rates[-1]:.3g}, loss {loss:.4f}")
        if stopped():
            raise Interrupted("stopped; the range test leaves nothing to resume", stopped())
        if averages[-1] > DIVERGED * min(averages):
            diverged = True
            break
    return RangeTest(rates=tuple(rates), losses=tuple(losses), averages=tuple(averages), diverged=diverged,
                     suggestion=steepest(rates, losses), batch=recipe.batch, optimizer=recipe.optimizer)  # fmt: skip


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss falls fastest: the middle of the WINDOW steps with the steepest fitted line.

    The line is a least-squares fit of the loss's logarithm against the rate's, up to the window with the lowest mean
    loss: the loss falls by the largest share there. None if that mean is less than FALL below the first one.
    """
    if len(losses) < 2 * WINDOW:
        return None
    means = [sum(losses[k : k + WINDOW]) / WINDOW for k in range(len(losses) - WINDOW + 1)]
    lowest = min(range(len(means)), key=means.__getitem__)
    if means[lowest] > (1 - FALL) * means[0]:
        return None
    x, y = ([math.log10(max(value, 1e-12)) for value in values] for values in (rates, losses))
    slopes = {k: slope(x[k : k + WINDOW], y[k : k + WINDOW]) for k in range(lowest + 1)}
    best = min(slopes, key=slopes.__getitem__)
    return float(f"{rates[best + WINDOW // 2]:.2g}")


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of the least-squares line."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)
