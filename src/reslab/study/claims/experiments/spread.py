"""How far several arms lie apart, at several depths: the range of one number over the arms, at the deepest net.

Settings as of compare, but:

    arms     NAME = an arm, as `a` of compare; in the order of the page
    nets     names of nets, from the shallowest to the deepest
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reslab.nets import spec
from reslab.statistics import mean
from reslab.study.claims.arms import arm_cell, merged
from reslab.study.claims.experiments import curve
from reslab.study.claims.record import Figure, Measured
from reslab.study.grid import Cell, Found


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    return {name_of(net, arm): [arm_cell(settings, {**changes, "net": net}, seed) for seed in seeds]
            for net in settings["nets"] for arm, changes in settings["arms"].items()}  # fmt: skip


def name_of(net: str, arm: str) -> str:
    return f"{net}, {arm}"


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    nets, arms = settings["nets"], settings["arms"]
    values = {name: [curve.number(settings, one.values) for one in of_arm] for name, of_arm in found.items()}
    deepest = [values[name_of(nets[-1], arm)] for arm in arms]
    depths = [depth_of(settings, net) for net in nets]
    figure = Figure(
        kind="lines", x="layers", y=settings["axis"],
        series=[curve.averaged(arm, depths, list(zip(*(values[name_of(net, arm)] for net in nets), strict=True)))
                for arm in arms],
    )  # fmt: skip
    return Measured(
        effects=[max(seed) - min(seed) for seed in zip(*deepest, strict=True)],
        cases=[f"seed {seed}" for seed in seeds], figure=figure,
        numbers={name: f"{mean(each):.4g}" for name, each in values.items()},
    )  # fmt: skip


def depth_of(settings: Mapping[str, Any], net: str) -> int:
    made = merged(settings["train"], {"net": net})
    return int(spec(net, **made.get("options", {})).depth)
