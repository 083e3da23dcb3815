"""One line per seed between the arms that a claim compares."""

import math
from collections.abc import Sequence

from reslab import statistics
from reslab.report import words
from reslab.report.figures import charts
from reslab.report.figures.claims_points import HEIGHT, HOVER, WIDE, Points, heading, named_axis, yaxis
from reslab.report.folder import Facts


def pairs(stored: Facts, found: list[Points]) -> tuple[charts.Plot, str, list[Facts]]:
    """A thin line per seed from arm to arm, and their mean; on a logarithmic axis the geometric mean."""
    arms = list(dict.fromkeys(words.plain(x) for one in found for x in one.x))
    log = bool(stored.get("log_y"))
    middle = means(found, arms, log=log)
    thin = [{
        "type": "scatter", "mode": "lines+markers", "name": one.name, "x": [words.plain(x) for x in one.x], "y": one.y,
        "line": {"color": "@soft", "width": 1.2},
        "marker": {"color": "@soft", "size": 7, "symbol": "circle-open", "line": {"width": 1.4}},
        "hovertemplate": HOVER, "cliponaxis": False,
    } for one in found]  # fmt: skip
    bold = {
        "type": "scatter", "mode": "lines+markers", "name": "mean", "x": arms, "y": middle,
        "line": {"color": "@ink", "width": 2.4}, "marker": {"color": "@ink", "size": 10, "symbol": "diamond"},
        "hovertemplate": HOVER, "cliponaxis": False,
    }  # fmt: skip
    xaxis = {"type": "category", "tickvals": arms, "ticktext": [charts.clipped(arm, 20) for arm in arms],
             "range": [-0.4, len(arms) - 0.6], **named_axis(stored)}  # fmt: skip
    if sum(min(len(arm), 20) for arm in arms) <= WIDE:
        xaxis["tickangle"] = 0
    several = [bold] if len(found) > 1 else []
    made = charts.plot(heading(stored), [*thin, *several], height=HEIGHT, xaxis=xaxis,
                       yaxis=yaxis(stored) | {"rangemode": "normal"})  # fmt: skip
    rows = [[one.name, *(values(one, arm) for arm in arms)] for one in found]
    made["rows"] = [["", *arms], *rows, *([["mean", *middle]] if several else [])]
    many = "Each thin line is one seed" if len(arms) > 1 else "Each ring is one seed"
    mean = f"the bold one with diamonds is their {'geometric ' if log else ''}mean" if len(arms) > 1 else (
        f"the diamond is their {'geometric ' if log else ''}mean")  # fmt: skip
    caption = (f"{many}; {mean}." if several else f"{many}.") + (" The axis is logarithmic." if log else "")
    return made, f"{caption} The axis need not start at 0.", []


def values(one: Points, arm: str) -> float | None:
    return next((y for x, y in zip(one.x, one.y, strict=True) if words.plain(x) == arm), None)


def means(found: Sequence[Points], arms: Sequence[str], *, log: bool) -> list[float | None]:
    """The mean over the series at each arm; `log`: the geometric one, whose ratio is the mean effect in decades."""
    made: list[float | None] = []
    for arm in arms:
        known = [y for one in found if (y := values(one, arm)) is not None]
        if log:
            known = [math.log10(y) for y in known]
        mean = statistics.mean(known) if known else None
        made.append(charts.finite(10**mean if log and mean is not None else mean))
    return made
