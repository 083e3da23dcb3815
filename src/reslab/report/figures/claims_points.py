"""The points of a claim's figure: each series with its color, shape and dash."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, items

SHAPES = ("circle", "square", "diamond", "triangle-up", "x", "circle-open", "square-open", "diamond-open")
DASHES = ("solid", "dash", "dot", "dashdot")
FAMILIES = {"plain": "plain", "resnet": "residual", "residual": "residual"}  # a name's beginning: a ramp of style.css
OTHER = (2, 3, 4, 6, 5)  # hues of style.css that are unlike those ramps
HEIGHT = 300
WIDE = 36  # characters of all names under an axis: more do not fit a phone
LONGEST = 46  # characters of a title: more do not fit a phone
HOVER = "<b>%{fullData.name}</b><br>%{x}: %{y:.4~r}<extra></extra>"


@dataclass(frozen=True, kw_only=True)
class Points:
    """One series, as long as the shortest of its x and y; a value that the axis cannot show is None."""

    name: str
    x: list[Any]  # numbers, or names
    y: list[float | None]
    low: list[float | None]
    high: list[float | None]
    color: str
    shape: str
    dash: str

    @property
    def ends(self) -> bool:
        """Whether any point has an interval that can be seen: where all seeds agree, it has no width."""
        return any(low is not None and high is not None and low < high
                   for low, high in zip(self.low, self.high, strict=True))  # fmt: skip

    @property
    def agree(self) -> bool:
        """Whether there are intervals, none of which has a width."""
        return not self.ends and any(low is not None for low in self.low)


def series(stored: Sequence[Facts], *, log_x: bool, log_y: bool) -> list[Points]:
    """The series that hold a number, each with its color, shape and dash."""
    families = [FAMILIES.get(family(one.get("name")), "") for one in stored]
    found = []
    for k, one in enumerate(stored):
        ramp, rank = families[k], families[:k].count(families[k])
        x, y = items(one.get("x")), [shown(value, log_y) for value in items(one.get("y"))]
        names = any(isinstance(value, str) for value in x)
        kept = [(one_line(a) if names else shown(a, log_x), b,
                 *(shown(at(one.get(key), j), log_y) for key in ("low", "high")))
                for j, (a, b) in enumerate(zip(x, y, strict=False))]  # fmt: skip
        kept = charts.thin([point for point in kept if point[0] is not None])
        if any(point[1] is not None for point in kept):
            columns = [list(column) for column in zip(*kept, strict=True)]
            color = charts.shade(ramp, rank, families.count(ramp)) if ramp else f"@hue{OTHER[rank % len(OTHER)]}"
            found.append(Points(name=one_line(one.get("name") or f"series {k + 1}"), x=columns[0], y=columns[1],
                                low=columns[2], high=columns[3], color=color, shape=SHAPES[k % len(SHAPES)],
                                dash=DASHES[k % len(DASHES)]))  # fmt: skip
    return found


def family(name: object) -> str:
    """The letters that a name begins with: `plain-56, seed 0` -> `plain`."""
    found = re.match(r"[a-z]+", str(name or "").lower())
    return found[0] if found else ""


def at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list) and place < len(values) else None


def shown(value: Any, log: bool) -> float | None:
    return None if log and not (words.is_number(value) and value > 0) else charts.finite(value)


def heading(stored: Facts) -> str:
    """The panel's title, which is that of its values; a long one ends in `...` and stands in the caption in full."""
    return charts.clipped(one_line(stored.get("y") or ""), LONGEST)


def named_axis(stored: Facts) -> Facts:
    """The title of the other axis."""
    return {"title": {"text": charts.clipped(one_line(stored.get("x") or ""), LONGEST)}}


def yaxis(stored: Facts) -> Facts:
    """The axis of the values; on a logarithmic one every tick is a whole number, not a lone digit.

    A logarithmic axis that fits its values makes 5 % fill the figure: of lines and bars, it spans at least a decade.
    """
    if not stored.get("log_y"):
        return {}
    every = [y for one in dicts(stored.get("series")) for key in ("y", "low", "high") for y in items(one.get(key))
             if words.is_number(y) and y > 0]  # fmt: skip
    least, most = min(every, default=1.0), max(every, default=1.0)
    form = "~g" if least >= 1e-3 and most < 1e4 else "~s" if least >= 1 else "~e"  # 0.05, 20 M, 3e-7
    axis: Facts = {"type": "log", "nticks": 6, "tickformat": form} | ({"dtick": 1} if most >= 100 * least else {})
    if most < 8 * least and stored.get("kind") != "pairs":
        middle = (math.log10(least) + math.log10(most)) / 2
        axis["range"] = [round(middle - 0.5, 3), round(middle + 0.5, 3)]
    return axis
