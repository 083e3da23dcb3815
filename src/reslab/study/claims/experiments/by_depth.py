"""Compare two arms at several depths, paired over seeds; or one number at the greatest depth with that at the least.

Settings, beside those of arms.py:

    depths   in increasing order
    a, b     an arm, as in compare; "{depth}" in its net is replaced by each depth, and a `model` gets it as `depth`
    metric   the name of the number in the values of the last work
    scale    "decades" (log10(a / b)) or "difference" (a - b)
    effect   "least": of the depths' differences of the arms the least, so that it is above a threshold at every depth;
             "greatest", so that it is below; "greatest of a": of arm a's own numbers, beside which b is only shown;
             "growth": of arm a from the least depth to the greatest
    axis     of the figure, with its unit
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import mean
from reslab.study.claims.arms import arm_cell
from reslab.study.claims.experiments import curve
from reslab.study.claims.record import Figure, Measured
from reslab.study.grid import Cell, Found

ARMS = ("a", "b")


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {
        name_of(settings, arm, depth): [arm_cell(settings, at(settings, arm, depth), seed) for seed in seeds]
        for arm in ARMS if arm in settings for depth in settings["depths"]
    }  # fmt: skip


def at(settings: Mapping[str, Any], arm: str, depth: int) -> dict[str, Any]:
    """The arm at one depth."""
    changes = dict(settings[arm])
    if "model" in settings:
        return {**changes, "depth": depth}
    return {**changes, "net": changes["net"].format(depth=depth)}


def name_of(settings: Mapping[str, Any], arm: str, depth: int) -> str:
    return f"{label(settings, arm)}, {depth} layers"


def label(settings: Mapping[str, Any], arm: str) -> str:
    return str(settings[arm].get("label", arm))


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    arms, depths = [arm for arm in ARMS if arm in settings], settings["depths"]
    values = {
        arm: [[curve.number({**settings, **settings[arm]}, one.values) for one in found[name_of(settings, arm, depth)]]
              for depth in depths] for arm in arms
    }  # fmt: skip
    series = [curve.averaged(label(settings, arm), depths, list(zip(*values[arm], strict=True))) for arm in arms]
    figure = Figure(kind="lines", x="layers", y=settings["axis"], series=series, log_x=True,
                    log_y=settings["scale"] == "decades")  # fmt: skip
    numbers = {name_of(settings, arm, depth): f"{mean(each):.4g}"
               for arm in arms for depth, each in zip(depths, values[arm], strict=True)}  # fmt: skip
    by_seed = {arm: list(zip(*values[arm], strict=True)) for arm in arms}
    effects = [effect(settings, {arm: by_seed[arm][i] for arm in arms}) for i in range(len(seeds))]
    return Measured(
        effects=effects,
        cases=[f"seed {seed}" for seed in seeds],
        figure=figure,
        numbers=numbers,
        largest=max(abs(one) for arm in arms for each in values[arm] for one in each),
    )


def effect(settings: Mapping[str, Any], values: Mapping[str, Sequence[float]]) -> float:
    """Of one seed, from each arm's numbers by depth."""
    if settings["effect"] == "growth":
        return difference(values["a"][-1], values["a"][0], scale=settings["scale"])
    if settings["effect"] == "greatest of a":
        return max(values["a"])
    every = [difference(*pair, scale=settings["scale"]) for pair in zip(values["a"], values["b"], strict=True)]
    return min(every) if settings["effect"] == "least" else max(every)


def difference(a: float, b: float, *, scale: str) -> float:
    return a - b if scale == "difference" else math.log10(a) - math.log10(b)
