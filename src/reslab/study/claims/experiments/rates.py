"""How the best learning rate moves with depth: trainings of two nets at several rates.

Settings:

    train    settings of work "train", without net and lr
    nets     the shallower net and the deeper
    rates    learning rates, rising by one factor
    guess    the loss of guessing: log of the number of classes
    axis     of the figure

The effect of a seed is log2 of the deeper net's best rate over the shallower's. The best rate is that of the lowest
training loss, found between the rates by the parabola through the lowest point and its neighbors (log10 of the loss by
log2 of the rate); at an end of the rates it is the end. A training that diverged, or ended above the loss of guessing,
counts as one that guesses. If both best rates lie at the same end of the rates, the shift between them is not known,
and no verdict rests on that seed's effect of 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import mean
from reslab.study.claims.arms import trained
from reslab.study.claims.experiments import curve
from reslab.study.claims.record import Figure, Measured
from reslab.study.grid import Cell, Found


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {name_of(net, rate): [trained(settings, {"net": net, "changes": {"lr": rate}}, seed) for seed in seeds]
            for net in settings["nets"] for rate in settings["rates"]}  # fmt: skip


def name_of(net: str, rate: float) -> str:
    return f"{net} at {rate:g}"


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    nets, rates = settings["nets"], settings["rates"]
    losses = {
        net: [[loss(found[name_of(net, rate)][i], settings) for rate in rates] for i in range(len(seeds))]
        for net in nets
    }
    bests = {net: [best(rates, each) for each in losses[net]] for net in nets}
    ends = sum(one in (math.log2(rates[0]), math.log2(rates[-1])) for net in nets for one in bests[net])
    edge = f"{ends} of {2 * len(seeds)} best rates lie at an end of the rates tried: they may lie beyond it"
    figure = Figure(
        kind="lines", x="learning rate", y=settings["axis"], log_x=True, log_y=True,
        series=[curve.averaged(net, rates, [[10**one for one in each] for each in losses[net]]) for net in nets],
    )  # fmt: skip
    shallow, deep = (bests[net] for net in nets)
    outer = (math.log2(rates[0]), math.log2(rates[-1]))
    return Measured(
        effects=[b - a for a, b in zip(shallow, deep, strict=True)],
        blank=[a == b and a in outer for a, b in zip(shallow, deep, strict=True)],
        cases=[f"seed {seed}" for seed in seeds],
        figure=figure, numbers={f"best rate of {net}": f"{2 ** mean(bests[net]):.3g}" for net in nets},
        deviations=[edge] if ends else [],
    )  # fmt: skip


def loss(found: Found, settings: Mapping[str, Any]) -> float:
    """log10 of the training loss, at most that of guessing."""
    return math.log10(max(1e-12, min(found.values["train_loss_eval"], settings["guess"])))


def best(rates: Sequence[float], losses: Sequence[float]) -> float:
    """log2 of the rate at the lowest point of the curve."""
    i = min(range(len(losses)), key=losses.__getitem__)
    at = math.log2(rates[i])
    if i in (0, len(rates) - 1):
        return at
    before, here, after = losses[i - 1 : i + 2]
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend else 0.0) * math.log2(rates[i + 1] / rates[i])
