"""Compare what is counted of pairs of nets, without training: parameters, multiply-adds, receptive fields.

Settings:

    pairs    [["plain34", "resnet34"], ...]: the two nets of each case
    options  {"a": {...}, "b": {...}}: options of the first and the second nets; each may be missing
    metrics  names of numbers of work "count": all are effects, in the order of the pairs
    names    of the two arms, for the figure
    scale    "difference" (a - b), "percent" (100 (a / b - 1)) or "per layer" ((a - b) / (layers of a - layers of b))
    field    true: the receptive field is measured, too
    axis     of the figure: what is counted, with its unit
"""

from collections.abc import Mapping, Sequence
from typing import Any

from reslab.study.claims.record import Figure, Measured, Series
from reslab.study.grid import Cell, Found
from reslab.study.grid.cell import cell


def cells(settings: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, list[Cell]]:
    """One cell a net: counts need no seed."""
    field, options = {"field": True} if settings.get("field") else {}, settings.get("options", {})
    return {
        arm: [cell("count", {"net": pair[i], "options": options.get(arm, {}), **field}) for pair in settings["pairs"]]
        for i, arm in enumerate("ab")
    }


def measure(settings: Mapping[str, Any], seeds: Sequence[int], found: Mapping[str, Sequence[Found]]) -> Measured:
    metrics, effects, cases, numbers = settings["metrics"], [], [], {}
    for pair, a, b in zip(settings["pairs"], found["a"], found["b"], strict=True):
        for metric in metrics:
            effects.append(effect(a.values, b.values, metric, scale=settings["scale"]))
            cases.append(f"{' and '.join(pair)}: {in_words(metric)}")
        numbers[" and ".join(pair)] = "; ".join(
            f"{in_words(metric)} {a.values[metric]:,} and {b.values[metric]:,}" for metric in metrics[::2] or metrics
        )
    names = settings.get("names", ("first", "second"))  # of the two arms
    series = [
        Series(name=name, x=[pair[i] for pair in settings["pairs"]], y=[one.values[metrics[0]] for one in found[arm]])
        for i, (arm, name) in enumerate(zip("ab", names, strict=True))
    ]
    figure = Figure(kind="bars", x="net", y=settings["axis"], log_y=True, series=series)
    return Measured(effects=effects, cases=cases, figure=figure, numbers=numbers)


def effect(a: Mapping[str, Any], b: Mapping[str, Any], metric: str, *, scale: str) -> float:
    difference = float(a[metric] - b[metric])
    if scale == "percent":
        return 100 * difference / b[metric]
    return difference / (a["depth"] - b["depth"]) if scale == "per layer" else difference


def in_words(metric: str) -> str:
    return metric.replace("_", " ").replace("macs", "multiply-adds")
