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

WIDE = 5  # from this ratio of the largest to the smallest count on, the figure's axis is logarithmic
WORDS = {
    "parameters_held": "parameters of all tensors",
    "macs": "multiply-adds", "macs_run": "multiply-adds counted while the net runs",
}  # fmt: skip


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
    places = places_of(settings["pairs"], found)
    heights = {arm: [one.values[metrics[0]] for one in found[arm]] for arm in "ab"}
    every = [*heights["a"], *heights["b"]]
    wide = min(every) > 0 and max(every) > WIDE * min(every)
    series = [
        Series(name=name, x=[place[i] for place in places], y=heights[arm])
        for i, (arm, name) in enumerate(zip("ab", names, strict=True))
    ]
    figure = Figure(kind="bars", x="net", y=settings["axis"], log_y=wide, series=series)
    return Measured(effects=effects, cases=cases, figure=figure, numbers=numbers)


def places_of(pairs: Sequence[Sequence[str]], found: Mapping[str, Sequence[Found]]) -> list[tuple[str, str]]:
    """Where the figure draws the nets of each pair: both at `20 layers`, if that tells all pairs apart."""
    depths = [(a.values["depth"], b.values["depth"]) for a, b in zip(found["a"], found["b"], strict=True)]
    if all(a == b for a, b in depths) and len(set(depths)) == len(depths):
        return [(f"{depth} layers", f"{depth} layers") for depth, _ in depths]
    return [(first, second) for first, second in pairs]


def effect(a: Mapping[str, Any], b: Mapping[str, Any], metric: str, *, scale: str) -> float:
    difference = float(a[metric] - b[metric])
    if scale == "percent":
        return 100 * difference / b[metric]
    return difference / (a["depth"] - b["depth"]) if scale == "per layer" else difference


def in_words(metric: str) -> str:
    return WORDS.get(metric, metric.replace("_", " "))
