"""How fast each precision is here: passes timed in turn, in random order, on the same examples."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from random import Random

from reslab.progress import Phase, Progress
from reslab.ship.engines import Engine
from reslab.ship.export.passes import taken
from reslab.ship.export.results import Speed
from reslab.ship.exportable import Examples
from reslab.ship.record import Precision
from reslab.statistics import median_interval

BATCHES = (1, 8)
ROUNDS = 7, 31  # at least and at most; in between as many as fit into SECONDS
SECONDS = 4.0  # for all precisions of one batch size together
SHORTEST = 0.005  # seconds of one timing: shorter passes are repeated
WARM = 2
CLEARLY = 1.05  # a lower precision must be this many times as fast, or it is not worth its error


def measured(loaded: Mapping[Precision, Sequence[Engine]], examples: Sequence[Examples], progress: Progress) -> tuple[
    Speed, ...
]:  # fmt: skip
    """Examples per second of every precision, in batches of 1 and 8. A pass runs all graphs once."""
    found = []
    for number, batch in enumerate(BATCHES):
        progress(number, len(BATCHES), Phase(f"timing {', '.join(loaded)} in batches of {batch}"))
        inputs = [taken(one.inputs, 0, batch) for one in examples]
        times = in_turn({name: list(zip(models, inputs, strict=True)) for name, models in loaded.items()})
        for name, each in times.items():
            rates = [batch / one for one in each]
            around = median_interval(rates)
            found.append(Speed(precision=name, batch=batch, per_second=statistics.median(rates), low=around.low,
                               high=around.high, n=len(rates)))  # fmt: skip
    return tuple(found)


def in_turn(work: Mapping[Precision, Sequence[tuple[Engine, Mapping[str, object]]]]) -> dict[Precision, list[float]]:
    """Seconds of a pass of each, once in every round."""
    draw, repeats = Random("order"), dict.fromkeys(work, 1)
    found: dict[Precision, list[float]] = {name: [] for name in work}
    began = time.perf_counter()
    for number in range(WARM + ROUNDS[1]):
        if number >= WARM + ROUNDS[0] and time.perf_counter() - began > SECONDS:
            break
        for name in sorted(work, key=lambda one: draw.random()):
            start = time.perf_counter()
            for _ in range(repeats[name]):
                for model, inputs in work[name]:
                    model.run(inputs)  # type: ignore[arg-type]
            took = (time.perf_counter() - start) / repeats[name]
            if number >= WARM:
                found[name].append(took)
            else:
                repeats[name] = max(1, math.ceil(SHORTEST / took))
    return found


def fastest(speeds: Sequence[Speed], among: Sequence[Precision]) -> Precision:
    """The precision with the greatest geometric mean of its rates at both batch sizes.

    `among`: the most exact one first; a later one must be clearly faster than those before it.
    """
    best = among[0]
    for one in among[1:]:
        if rate(speeds, one) > CLEARLY * rate(speeds, best):
            best = one
    return best


def rate(speeds: Sequence[Speed], precision: Precision) -> float:
    return statistics.geometric_mean(one.per_second for one in speeds if one.precision == precision)
