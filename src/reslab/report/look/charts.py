"""Parts of the figures of `look`: bars by block, curves by depth, levels and shaded ranges."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from reslab.report.figures import charts
from reslab.report.figures.charts import Plot
from reslab.report.look.blocks import Block, color, stages_of
from reslab.report.look.words import power_of_ten, small
from reslab.report.words import is_number

STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7))  # ticks within each power of ten, ever finer
TICKS = 7
NARROW = {"l": 8, "b": 36}
Value = Callable[[Block], float | None]


def bars(
    title: str, found: Sequence[Block], value: Value, *, unit: str = "", height: int = 300, key: str = "block",
    **layout: Any,
) -> Plot:  # fmt: skip
    """One bar per block, shaded by stage; blocks that change the shape are marked with a triangle."""
    of = stages_of(list(found))
    known = [(block, value(block)) for block in found]
    trace: Plot = {
        "type": "bar",
        "name": title,
        "x": [block.index for block, _ in known],
        "y": [charts.finite(y) for _, y in known],
        "customdata": [[charts.clipped(block.module, 60), block.kind, small(y)] for block, y in known],
        "marker": {"color": [color(block, of) for block, _ in known], "line": {"width": 0}},
        "hovertemplate": f"<b>{key} %{{x}}</b>, %{{customdata[1]}}<br>%{{customdata[0]}}<br>"
        f"%{{customdata[2]}}{unit}<extra></extra>",
    }
    data = [trace, *triangles(known)]
    room = max(0.7, (8 - len(known)) / 2)  # few bars stay narrow
    axis: Plot = {"title": {"text": key}, "range": [known[0][0].index - room, known[-1][0].index + room]}
    axis |= {"tickformat": "d"} | ({"dtick": 1} if len(known) < 12 else {})
    gap = 0.25 if len(known) < 90 else 0
    plot = charts.plot(title, data, height=height, key=key, bargap=gap, xaxis=axis, **{"margin": NARROW, **layout})
    return plot | {"rows": [[key, "module", "kind", title], *rows(known)]}


def rows(known: Sequence[tuple[Block, Any]]) -> list[list[Any]]:
    return [[block.index, block.module, block.kind, charts.finite(y)] for block, y in known]


def triangles(known: Sequence[tuple[Block, Any]]) -> list[Plot]:
    """A mark above the bars of the blocks that change the shape, visible without color."""
    marked = [(block.index, max(y, 0)) for block, y in known if block.marked and is_number(y)]
    if not marked:
        return []
    return [
        {"type": "scatter", "mode": "text", "name": "changes the shape", "x": [x for x, _ in marked],
         "y": [charts.finite(y) for _, y in marked], "text": ["▼"] * len(marked), "textposition": "top center",
         "textfont": {"color": "@plain1", "size": 11}, "cliponaxis": False, "hoverinfo": "skip"}
    ]  # fmt: skip


def level(value: Any, text: str) -> Plot:
    """A dashed line across, named above the frame: {"shapes": ..., "annotations": ...}."""
    if not is_number(value):
        return {}
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
    line |= {"line": {"color": "@plain1", "width": 1.7, "dash": "dash"}}
    label = {"text": f"– – {text}", "xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 1}
    label |= {"yanchor": "bottom", "showarrow": False, "font": {"color": "@plain2", "size": 12, "weight": 600}}
    return {"shapes": [line], "annotations": [label]}


def joined(*parts: Plot) -> Plot:
    """Levels and ranges together: their shapes and annotations one after another."""
    found: Plot = {}
    for part in parts:
        for key, value in part.items():
            found[key] = [*found.get(key, []), *value]
    return found


def shaded(span: Sequence[Any] | None, text: str) -> Plot:
    """A range of the x axis, shaded and named."""
    if not span or not all(map(is_number, span)):
        return {}
    box = {"type": "rect", "yref": "paper", "x0": span[0] - 0.5, "x1": span[1] + 0.5, "y0": 0, "y1": 1}
    box |= {"fillcolor": "@other0/18", "line": {"width": 0}, "layer": "below"}
    label = {"text": text, "x": span[0] - 0.5, "xanchor": "left", "xshift": 3, "yref": "paper", "y": 1}
    label |= {"yanchor": "top", "showarrow": False, "font": {"color": "@other2", "size": 12, "weight": 600}}
    return {"shapes": [box], "annotations": [label]}


def curve(
    name: str, points: Sequence[tuple[Any, Any]], ink: str, *, x: str, unit: str = "", marks: bool | None = None,
    width: float = 2, **more: Any,
) -> Plot:  # fmt: skip
    """A line by depth, length or number; hovering names it; `x`: what the x axis counts."""
    line = charts.line(name, points, ink, width=width, unit=unit)
    line["hovertemplate"] = f"<b>%{{fullData.name}}</b><br>{x} %{{x}}<br>%{{customdata[0]}}{unit}<extra></extra>"
    line["customdata"] = [[small(y)] for y in line["y"]]
    if marks if marks is not None else len(points) <= 60:
        line |= {"mode": "lines+markers", "marker": {"size": 6, "color": ink}, "cliponaxis": False}
    return line | more


def ink(rank: int, of: int, *, plain: bool = False) -> str:
    """The color of one of several models: plain nets in one ramp, residual ones in another, shallow to deep."""
    return charts.shade("plain" if plain else "residual", rank, of)


def log_axis(values: Sequence[Any]) -> Plot:
    """A log axis with legible ticks: powers of ten over a wide range, plain numbers over a narrow one."""
    known = [value for value in values if is_number(value) and value > 0]
    decades = math.log10(max(known) / min(known)) if known else 0
    low, high = (math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))) if known else (0, 1)
    if decades > 3:
        powers = range(low, high + 1, math.ceil((high - low) / 5))
        return {"type": "log", "tickvals": [10.0**p for p in powers], "ticktext": [power_of_ten(p) for p in powers]}
    ticks: list[float] = []
    for steps in STEPS:
        finer = [float(f"{step * 10.0**p:.2g}") for p in range(low, high + 1) for step in steps]
        finer = [tick for tick in finer if not known or 0.8 * min(known) <= tick <= 1.25 * max(known)]
        ticks = finer if len(finer) <= TICKS else ticks
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def top_of(values: Sequence[Any], *, percent: bool) -> list[float] | None:
    """A y axis from zero that holds all values: errors end at a round number, at most 100 %."""
    known = [value for value in values if is_number(value)]
    if not known or max(known) <= 0:
        return None
    return [min(0.0, *known), charts.rounded(max(known) * 1.06) if percent else max(known) * 1.08]
