"""Compare two arms, paired over seeds: two nets or recipes, trained, and what one number says of each.

Settings:

    a, b     an arm: what it changes of the settings' `train` (net, options, recipe, changes); b may be missing, then
             the effect is a's number itself
    train    the settings of work "train", with `data` and without the seed
    look     {"work": NAME, ...}: a work that measures the trained net; its settings beside. Without it the number is
             one of the training's own
    metric   the name of the number in the values of the last work
    scale    "difference" (a - b), or "decades" (log10(a / b))
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.statistics import mean
from reslab.study.claims.record import Figure, Measured, Series
from reslab.study.grid import Cell, Found
from reslab.study.grid.cell import cell

ARMS = ("a", "b")


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {arm: [arm_cell(settings, arm, seed) for seed in seeds] for arm in ARMS if arm in settings}


def arm_cell(settings: Mapping[str, Any], arm: str, seed: int) -> Cell:
    """The last work of one arm with one seed."""
    trained = cell("train", {**merged(settings["train"], settings[arm]), "seed": seed})
    if "look" not in settings:
        return trained
    look = dict(settings["look"])
    return cell(look.pop("work"), {**look, "data": settings["train"]["data"], "seed": seed}, trained)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with changes; objects in both are merged, key by key."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = (
            merged(out[key], value) if isinstance(value, Mapping) and isinstance(out.get(key), Mapping) else value
        )
    return out


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    values = {arm: [float(one.values[settings["metric"]]) for one in of_arm] for arm, of_arm in found.items()}
    a, b = values["a"], values.get("b")
    names = [name_of(settings, arm) for arm in values]
    figure = Figure(
        kind="pairs", x="", y=settings.get("axis", settings["metric"]), log_y=settings.get("scale") == "decades",
        series=[Series(name=f"seed {seed}", x=names, y=list(ys))
                for seed, *ys in zip(seeds, *values.values(), strict=True)],
    )  # fmt: skip
    effects = a if b is None else [effect(*pair, scale=settings["scale"]) for pair in zip(a, b, strict=True)]
    numbers = {name: f"{mean(each):.4g}" for name, each in zip(names, values.values(), strict=True)}
    return Measured(effects=effects, cases=[f"seed {seed}" for seed in seeds], figure=figure, numbers=numbers)


def effect(a: float, b: float, *, scale: str) -> float:
    return a - b if scale == "difference" else math.log10(a / b)


def name_of(settings: Mapping[str, Any], arm: str) -> str:
    """What the arm is called on the page: its `label`, or its net."""
    made = merged(settings["train"], settings[arm])
    return str(made.get("label", made["net"]))
