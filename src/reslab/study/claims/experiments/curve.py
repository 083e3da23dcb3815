"""A curve that a work found, such as the error by the number of disabled blocks: numbers that say its form; its figure.

Settings `curve`: `x` and `y`, names of two lists in the work's values; `x_axis` and `y_axis`, their titles with units;
`kind` "lines" (default) or "bars"; `log_x`, `log_y`; `beside`: the name of a second list, which is drawn beside the
first, and its name on the page.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reslab.errors import ReslabError
from reslab.report.look.words import rank_correlation
from reslab.statistics import mean, mean_interval
from reslab.study.claims.record import Figure, Series
from reslab.study.grid import Found

Numbers = Sequence[float]


def rank(x: Numbers, y: Numbers) -> float:
    """Spearman's rank correlation: 1 if y only rises with x, -1 if it only falls; 0 for a y that never changes."""
    return rank_correlation(list(zip(x, y, strict=True))) or 0.0


def slope(x: Numbers, y: Numbers) -> float:
    """Of the least-squares line."""
    return statistics.linear_regression(x, y).slope


def power(x: Numbers, y: Numbers) -> float:
    """k of y = c x^k: the slope of the least-squares line through the logarithms. x and y must be positive."""
    return slope([math.log(one) for one in x], [math.log(one) for one in y])


def largest_step(x: Numbers, y: Numbers) -> float:
    """The largest rise between neighbors as a share of the whole rise, from the first y to the highest.

    1 for a y that never exceeds its first: there is no rise to be smooth.
    """
    whole = max(y) - y[0]
    return max(b - a for a, b in itertools.pairwise(y)) / whole if whole > 0 else 1.0


STATISTICS: dict[str, Callable[[Numbers, Numbers], float]] = {
    "rank": rank,
    "slope": slope,
    "power": power,
    "largest_step": largest_step,
}


def number(settings: Mapping[str, Any], values: Mapping[str, Any]) -> float:
    """What one cell says: its `metric`, which may be "one - another", or the `statistic` of its curve.

    Raises ReslabError for a number that the cell could not measure.
    """
    if "statistic" in settings:
        curve = settings["curve"]
        return STATISTICS[settings["statistic"]](values[curve["x"]], values[curve["y"]])
    names = settings["metric"].split(" - ")
    if unknown := [name for name in names if values[name] is None]:
        raise ReslabError(f"{unknown[0]} could not be measured of one of its nets; what the experiment looks for was "
                          "not there")  # fmt: skip
    first, *rest = (float(values[name]) for name in names)
    return first - sum(rest)


def figure(settings: Mapping[str, Any], seeds: Sequence[int], arms: Mapping[str, Sequence[Found]]) -> Figure:
    """The curves of the arms, by name: the mean over seeds with its interval, or a line a seed if their x differ."""
    curve = settings["curve"]
    series: list[Series] = []
    for name, found in arms.items():
        xs = [one.values[curve["x"]] for one in found]
        ys = [one.values[curve["y"]] for one in found]
        if all(x == xs[0] for x in xs):
            series.append(averaged(name, xs[0], ys))
        else:
            series += [one_seed(f"{name}, seed {seed}", x, y) for seed, x, y in zip(seeds, xs, ys, strict=True)]
    if "beside" in curve:
        key, title = curve["beside"]
        seen = [one for found in arms.values() for one in found]
        series.append(averaged(title, seen[0].values[curve["x"]], [seen[0].values[key]]))
    return Figure(kind=curve.get("kind", "lines"), x=curve["x_axis"], y=curve["y_axis"], series=series,
                  log_x=curve.get("log_x", False), log_y=curve.get("log_y", False))  # fmt: skip


def averaged(name: str, x: Sequence[float], ys: Sequence[Numbers]) -> Series:
    columns = list(zip(*ys, strict=True))
    spans = [span for column in columns if (span := mean_interval(column))]  # none of a single seed
    return Series(name=name, x=x, y=[mean(column) for column in columns], low=[span.low for span in spans] or None,
                  high=[span.high for span in spans] or None)  # fmt: skip


def one_seed(name: str, x: Numbers, y: Numbers) -> Series:
    pairs = sorted(zip(x, y, strict=True))
    return Series(name=name, x=[a for a, _ in pairs], y=[b for _, b in pairs])
