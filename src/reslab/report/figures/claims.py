"""The one figure of a claim: lines, bars, or one line per seed between the arms that are compared."""

from collections.abc import Sequence
from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures import charts
from reslab.report.figures.claims_pairs import pairs
from reslab.report.figures.claims_points import (
    FAMILIES,
    HEIGHT,
    HOVER,
    LONGEST,
    SHAPES,
    WIDE,
    Points,
    family,
    heading,
    named_axis,
    series,
    yaxis,
)
from reslab.report.folder import Facts, dicts, items

RINGS = {**dict.fromkeys(SHAPES, "circle-open"), "square": "square-open", "diamond": "diamond-open"}
BARS = 12  # points up to which an interval is a bar, beyond a band
HOVER_FLAT = "<b>%{fullData.name}</b><br>%{y}: %{x:.4~r}<extra></extra>"


def figure(name: str, stored: Facts) -> Facts | None:
    """The figure that a claim stored as {"kind", "x", "y", "series", ...}; None where it holds no number."""
    kind = stored.get("kind")
    log = bool(stored.get("log_y"))
    found = series(dicts(stored.get("series")), log_x=bool(stored.get("log_x")), log_y=log)
    if not found or kind not in DRAW:
        return None
    made, caption, key = DRAW[kind](stored, found)
    title = one_line(stored.get("y") or "")
    lost = sum(not words.is_number(y) or (log and y <= 0) for one in dicts(stored.get("series"))
               for _, y in zip(items(one.get("x")), items(one.get("y")), strict=False))  # fmt: skip
    if lost:
        caption += f" {lost} value{'s' * (lost > 1)} cannot be drawn ({'not above 0' if log else 'not a number'})."
    if len(title) > LONGEST:
        caption = f"Values: {title}. {caption}"
    said = "; ".join(f"{one.name}: {spoken(one.y)}" for one in found[:6])
    return charts.figure(name, [made], alt=f"{title} by {one_line(stored.get('x') or 'case')}. {said}.",
                         caption=caption.strip(), key=key)  # fmt: skip


def spoken(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) <= 4:
        return words.listed(map(words.number, known))
    return f"{words.number(known[0])} at the first of {len(known)} points, {words.number(known[-1])} at the last"


def lines(stored: Facts, found: list[Points]) -> tuple[charts.Plot, str, list[Facts]]:
    """y over x: intervals are bars at a few points and a band over many."""
    data = [trace for one in found for trace in (*band(one), line(one))]
    names = any(isinstance(x, str) for one in found for x in one.x)
    xaxis = named_axis(stored)
    xaxis |= {"type": "category"} if names else {"type": "log" if stored.get("log_x") else "linear"}
    made = charts.plot(heading(stored), data, height=HEIGHT, xaxis=xaxis, yaxis=yaxis(stored))
    made["rows"] = table(stored, found)
    caption = f"{intervals(found)} {logarithmic(stored)}".strip()
    return made, caption, legend(found) if len(found) > 1 else []


def line(one: Points) -> charts.Plot:
    few = len(one.x) <= BARS
    return {
        "type": "scatter", "mode": "lines+markers" if few else "lines", "name": one.name, "x": one.x, "y": one.y,
        "line": {"color": one.color, "width": 2, "dash": one.dash},
        "marker": {"color": one.color, "size": 8, "symbol": one.shape}, "cliponaxis": False,
        "hovertemplate": HOVER, **(reach(one) if few and one.ends else {}),
    }  # fmt: skip


def band(one: Points) -> list[charts.Plot]:
    """The interval at every point, where there are too many points for bars."""
    if len(one.x) <= BARS or not one.ends:
        return []
    edge = {"type": "scatter", "mode": "lines", "x": one.x, "line": {"width": 0, "color": one.color},
            "hoverinfo": "skip"}  # fmt: skip
    return [{**edge, "name": f"{one.name}, low", "y": one.low},
            {**edge, "name": f"{one.name}, high", "y": one.high, "fill": "tonexty",
             "fillcolor": f"{one.color}/20"}]  # fmt: skip


def reach(one: Points, axis: str = "y") -> Facts:
    """plotly's bars from each point to the ends of its interval."""

    def far(high: float | None, low: float | None) -> float | None:
        return charts.finite(max(0.0, high - low)) if high is not None and low is not None else None

    return {f"error_{axis}": {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 4, "color": "@ink",
        "array": [far(high, y) for high, y in zip(one.high, one.y, strict=True)],
        "arrayminus": [far(y, low) for low, y in zip(one.low, one.y, strict=True)],
    }}  # fmt: skip


def bars(stored: Facts, found: list[Points]) -> tuple[charts.Plot, str, list[Facts]]:
    """A bar per x, in a group where there are several series; flat bars where the names are long.

    A logarithmic axis has no zero for a bar to start from: there, each value is a dot.
    """
    names = list(dict.fromkeys(words.plain(x) for one in found for x in one.x))
    flat = sum(map(len, names)) > WIDE or len(names) > 8
    dots, twins = bool(stored.get("log_y")), shared(found)
    data = []
    for k, one in enumerate(found):
        places = [words.plain(x) for x in one.x]
        colors = [tint(name, one.color) for name in places] if len(found) == 1 else one.color
        sides = {"x": one.y, "y": places, "orientation": "h"} if flat else {"x": places, "y": one.y}
        kind = {"type": "scatter", "mode": "markers"} if dots else {"type": "bar"}
        around = twins and k > 0  # a ring around the first series' dot, which shows that both values are the same
        mark = {"size": 15, "symbol": RINGS[one.shape], "line": {"width": 2}} if around else {
            "size": 9 if twins else 12, "symbol": one.shape}  # fmt: skip
        data.append({**kind, "name": one.name, **sides, "cliponaxis": False,
                     "marker": {"color": colors, **(mark if dots else {})},
                     "hovertemplate": HOVER_FLAT if flat else HOVER,
                     **(reach(one, "x" if flat else "y") if one.ends else {})})  # fmt: skip
    ticks = {"type": "category", "tickvals": names, "ticktext": [charts.clipped(name, 28) for name in names],
             **named_axis(stored)}  # fmt: skip
    height = HEIGHT if not flat else 80 + 26 * len(names) * (1 if len(found) == 1 or dots else len(found) * 0.7)
    axes: Facts = {"xaxis": yaxis(stored), "yaxis": ticks | {"autorange": "reversed"}} if flat else {
        "xaxis": ticks | {"tickangle": 0}, "yaxis": yaxis(stored)}  # fmt: skip
    made = charts.plot(heading(stored), data, height=round(height), bargap=0.35,
                       barmode="group" if twins else "overlay", **axes)  # fmt: skip
    made["rows"] = table(stored, found)
    caption = "Thin lines are intervals." if any(one.ends for one in found) else ""
    caption += " The axis is logarithmic." if dots else ""
    caption += " Marks of one place that lie on one another have the same value." if dots and twins else ""
    keys = [one | ({} if dots else {"shape": "square"}) | {"dash": ""} for one in legend(found)]
    if dots and twins:
        keys = [one | ({"shape": RINGS[one["shape"]]} if k else {}) for k, one in enumerate(keys)]
    return made, caption, keys if len(found) > 1 else []


def shared(found: Sequence[Points]) -> bool:
    """Whether any x has values of two series."""
    every = [x for one in found for x, y in zip(one.x, one.y, strict=True) if y is not None]
    return len(set(every)) < len(every)


def tint(name: str, other: str) -> str:
    """The color of a bar named after a net."""
    ramp = FAMILIES.get(family(name))
    return f"@{ramp}2" if ramp else other


def intervals(found: Sequence[Points]) -> str:
    """What the intervals look like."""
    kinds = {len(one.x) <= BARS for one in found if one.ends}
    same = "All seeds give the same curve." if any(one.agree for one in found) else ""
    return {frozenset({True}): "Bars at the points are intervals.",
            frozenset({False}): "Bands are intervals.",
            frozenset({True, False}): "Bars and bands are intervals."}.get(frozenset(kinds), same)  # fmt: skip


def logarithmic(stored: Facts) -> str:
    both = [side for side, key in (("horizontal", "log_x"), ("vertical", "log_y")) if stored.get(key)]
    return {0: "", 1: f"The {both[0] if both else ''} axis is logarithmic.", 2: "Both axes are logarithmic."}[len(both)]


def legend(found: Sequence[Points]) -> list[Facts]:
    return [{"text": one.name, "color": one.color.removeprefix("@"), "shape": one.shape, "dash": one.dash}
            for one in found]  # fmt: skip


def table(stored: Facts, found: Sequence[Points]) -> list[list[Any]]:
    """The numbers behind the figure: a row per x, a column per series, and its interval's ends."""
    keys = list(dict.fromkeys(x for one in found for x in one.x))
    head, columns = [one_line(stored.get("x") or "")], []
    for one in found:
        for name, of in ((one.name, one.y), *(((f"{one.name}, low", one.low), (f"{one.name}, high", one.high))
                                              if one.ends else ())):  # fmt: skip
            head.append(name)
            columns.append(dict(zip(one.x, of, strict=True)))
    return [head, *([key, *(column.get(key) for column in columns)] for key in keys)]


DRAW = {"lines": lines, "bars": bars, "pairs": pairs}
