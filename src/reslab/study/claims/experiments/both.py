"""Compare two arms in several numbers at once, paired over seeds: the effect of a seed is the least of the differences,
so that it is above a threshold only if all of them are.

Settings, beside those of arms.py:

    a, b     an arm, as in compare
    metrics  NAME = what it is called on the page, of numbers in the values of the last work
    axis     of the figure, with its unit
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import mean
from reslab.study.claims.arms import arm_cell
from reslab.study.claims.experiments import compare, curve
from reslab.study.claims.record import Figure, Measured
from reslab.study.grid import Cell, Found


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {arm: [arm_cell(settings, settings[arm], seed) for seed in seeds] for arm in "ab"}


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    metrics = settings["metrics"]
    values = {arm: [[float(one.values[name]) for name in metrics] for one in found[arm]] for arm in "ab"}
    names = {arm: compare.name_of(settings, arm) for arm in "ab"}
    words = list(metrics.values())
    return Measured(
        effects=[least(a, b) for a, b in zip(values["a"], values["b"], strict=True)],
        cases=[f"seed {seed}" for seed in seeds],
        figure=Figure(kind="bars", x="", y=settings["axis"],
                      series=[curve.averaged(names[arm], words, values[arm]) for arm in "ab"]),
        numbers={f"{names[arm]}, {words[i]}": f"{mean([one[i] for one in values[arm]]):.4g}"
                 for arm in "ab" for i in range(len(words))},
        noise=max(sum(compare.counting({**settings, "metric": name}, arm, found[arm]) for arm in "ab")
                  for name in metrics),
    )  # fmt: skip


def least(a: Sequence[float], b: Sequence[float]) -> float:
    """Of the differences a - b of one seed."""
    return min(one - other for one, other in zip(a, b, strict=True))
