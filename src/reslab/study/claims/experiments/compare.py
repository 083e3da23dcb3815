"""Compare two arms, paired over seeds: two nets or recipes, trained, and what one number says of each.

Settings, beside those of arms.py (`train` or `model`, `look`):

    a, b     an arm: what it changes of the settings' `train` (net, options, recipe, changes) or `model`; its `label` on
             the page and its own `metric` and `look`, if it has them. b may be missing: then the effect is a's number
             itself
    metric   the name of the number in the values of the last work; without a look, one of the training's own.
             "test_error - train_error_eval" is the difference of two. Or, instead of it,
    statistic  a number that says the form of the `curve`: "rank", "slope", "largest_step" (curve.py)
    curve    what the figure shows (curve.py); without it, it shows the number of each arm by seed
    scale    "difference" (a - b), or "decades" (log10(a / b))

No verdict rests on the errors of a seed with which no net does better than guessing (guessing.py).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import counting_variance, mean
from reslab.study.claims.arms import arm_cell, merged
from reslab.study.claims.experiments import curve
from reslab.study.claims.experiments.guessing import COUNTED, seeds_of_guesses, told
from reslab.study.claims.record import Figure, Measured, Series
from reslab.study.grid import Cell, Found

ARMS = ("a", "b")
MEASURES = {  # what a metric is, and its unit, where the settings have no `axis`
    "activation_change": "gradient of the first layer over that of the last, decades",
    "median": "median over the layers",
}


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {arm: [arm_cell(settings, settings[arm], seed) for seed in seeds] for arm in ARMS if arm in settings}


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    values = {arm: [curve.number({**settings, **settings[arm]}, one.values) for one in of_arm]
              for arm, of_arm in found.items()}  # fmt: skip
    a, b = values["a"], values.get("b")
    names = {arm: name_of(settings, arm) for arm in values}
    order = sorted(values, reverse=True)  # b first: from control to treatment, from shallow to deep
    scale = settings.get("scale", "difference")
    figure = Figure(
        kind="pairs", x="", y=settings.get("axis", settings.get("metric", "")), log_y=scale == "decades",
        series=[Series(name=f"seed {seed}", x=[names[arm] for arm in order], y=list(ys))
                for seed, *ys in zip(seeds, *(values[arm] for arm in order), strict=True)],
    )  # fmt: skip
    if "curve" in settings:
        figure = curve.figure(settings, seeds, {names[arm]: found[arm] for arm in order})
    effects = a if b is None else [effect(*pair, scale=scale) for pair in zip(a, b, strict=True)]
    own = {arm: {**settings, **settings[arm]} for arm in order}
    blank = seeds_of_guesses([(own[arm], found[arm]) for arm in order])
    diverged = {names[arm]: sum(bool(one.values.get("diverged")) for one in found[arm]) for arm in order}
    numbers = {} if b is None else dict(averaged(own[arm], names[arm], values[arm]) for arm in order)
    noise = sum(counting(settings, arm, of_arm) for arm, of_arm in found.items()) if scale == "difference" else 0.0
    return Measured(effects=effects, cases=[f"seed {seed}" for seed in seeds], figure=figure, numbers=numbers,
                    deviations=told(seeds, blank, diverged), noise=noise, blank=blank,
                    largest=max(abs(one) for each in values.values() for one in each))  # fmt: skip


def counting(settings: Mapping[str, Any], arm: str, found: Sequence[Found]) -> float:
    """The variance of an arm's number if it is an error counted over images; 0 for any other number."""
    metric = {**settings, **settings[arm]}.get("metric", "")
    sizes = [one.values.get(COUNTED.get(metric, ""), 0) for one in found]
    if "look" in settings or not all(sizes):
        return 0.0
    return counting_variance(mean([one.values[metric] for one in found]), min(sizes))


def effect(a: float, b: float, *, scale: str) -> float:
    return a - b if scale == "difference" else math.log10(a / b)


def averaged(settings: Mapping[str, Any], name: str, values: Sequence[float]) -> tuple[str, str]:
    """`training error, plain20` and `3.4 % (mean over 5 seeds)`; geometric where effects are ratios, as the figure's.

    What is measured and its unit are the parts of `axis` before and after its last comma.
    """
    metric = str(settings.get("metric", settings.get("statistic", "")))
    known = str(settings.get("axis") or MEASURES.get(metric) or metric.replace("_", " "))
    what, _, unit = known.rpartition(", ") if ", " in known else (known, "", "")
    kind, size = "mean", mean(values)
    if settings.get("scale") == "decades" and min(values) > 0:
        kind, size = "geometric mean", 10 ** mean([math.log10(one) for one in values])
    many = f" ({kind} over {len(values)} seeds)" if len(values) > 1 else ""
    return f"{what}, {name}", f"{size:.4g}{f' {unit}' if unit else ''}{many}"


def name_of(settings: Mapping[str, Any], arm: str) -> str:
    """What the arm is called on the page: its `label`, or its net."""
    made = merged(settings.get("train") or settings["model"], settings[arm])
    return str(made.get("label") or made.get("net") or arm)
