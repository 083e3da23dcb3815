"""Figures as plain dicts in plotly's format.

A color is a name of the style sheet (`@plain3`, `@ink`), so one figure serves light, dark and print. User text
goes only where templates/figures.js escapes it: name, text, ticktext, and the x and y of categories.
"""

import math
from collections.abc import Sequence
from typing import Any

from reslab.errors import one_line
from reslab.report.words import is_number, number, plain

Plot = dict[str, Any]
SHADES = 6  # a ramp in style.css: @plain0 .. @plain5
HUES = 7  # colors for unordered things: @hue0 .. @hue6
ITERATION: Plot = {"title": {"text": "iteration"}, "rangemode": "tozero"}  # the x axis of every curve
STEPS = (0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)
SPIKE = 4  # times the largest other value
POINTS = 600  # a figure 700 pixels wide shows no more points per line; 80 such lines stay under 1 MB


def shade(ramp: str, rank: int, of: int) -> str:
    """The color of the rank-th of `of` ordered things, shallow to deep."""
    return f"@{ramp}{round(rank * (SHADES - 1) / (of - 1)) if of > 1 else SHADES // 2}"


def finite(value: Any) -> float | int | None:
    """A number rounded for a page, or None: a browser's JSON has no NaN."""
    if not is_number(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.5g}")


def thin(points: Sequence[Any], most: int = POINTS) -> list[Any]:
    """Every k-th point, counted back from the last, which is always kept; values are not averaged."""
    step = -(-len(points) // most) or 1
    return list(points[::-1][::step][::-1])


def line(name: str, points: Sequence[Any], color: str, *, width: float = 2, unit: str = " %", **more: Any) -> Plot:
    """One curve over iterations; hovering shows name, iteration and value."""
    kept = thin(points)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [x for x, _ in kept],
        "y": [finite(y) for _, y in kept],
        "line": {"color": color, "width": width, **more},
        "hovertemplate": f"<b>%{{fullData.name}}</b><br>iteration %{{x:,}}<br>%{{y:,.4~r}}{unit}<extra></extra>",
    }


def band(name: str, points: Sequence[Any], color: str) -> list[Plot]:
    """The range from the lowest to the highest seed; points are (x, low, high)."""
    low = line(f"{name}, lowest seed", [(x, a) for x, a, _ in points], color, width=0)
    high = line(f"{name}, highest seed", [(x, b) for x, _, b in points], color, width=0)
    for edge in (low, high):
        edge["hoverinfo"] = "skip"
        del edge["hovertemplate"]
    return [low, high | {"fill": "tonexty", "fillcolor": color + "/20"}]


def drops(iterations: Sequence[Any]) -> list[Plot]:
    """Dotted vertical lines where the learning rate falls."""
    look = {"color": "@soft", "width": 1, "dash": "dot"}
    return [
        {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "layer": "below", "line": look}
        for x in iterations
        if is_number(x)
    ]


def ceiling(lines: Sequence[Sequence[Any]]) -> float:
    """The top of an axis from 0; as in the paper, only the first fall from chance level is cut off."""
    late = []
    for points in lines:
        start = points[-1][0] * 0.25 if points else 0
        late += [y for x, y in points if x >= start and is_number(y)]
    return rounded(without_spikes(late) * 1.06) if late else 100


def without_spikes(values: Sequence[float]) -> float:
    """The largest value but for spikes: at most a twentieth of the values (or one), far above all others."""
    ordered = sorted(values)
    far = SPIKE if len(ordered) >= 20 else 8 * SPIKE  # few values say little about what is usual
    for spikes in range(len(ordered) // 20 + 1, 0, -1):
        rest = ordered[: len(ordered) - spikes]
        if rest and 0 < far * rest[-1] < ordered[-spikes]:
            return rest[-1]
    return ordered[-1]


def cut_off(lines: Sequence[Sequence[Any]], top: float) -> str:
    """A sentence on what lies above an axis that ends at `top`; "" if nothing does."""
    above = [(y, x) for points in lines for x, y in points if is_number(y) and y > top]
    if not above:
        return ""
    y, x = max(above)
    how = "1 point lies above it," if len(above) == 1 else f"{len(above):,} points lie above it, the largest"
    return f" The axis ends at {number(float(top))}; {how} at iteration {plain(x)} ({number(float(y))})."


def rounded(top: float) -> float:
    """The next round number at or above `top`."""
    if top <= STEPS[-1] or not math.isfinite(top):
        return next((step for step in STEPS if top <= step), top)
    power = 10.0 ** math.floor(math.log10(top))
    return next((step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if top <= step * power), top)


def end_labels(ends: Sequence[tuple[str, Any, str]], *, top: float, height: int) -> list[Plot]:
    """Each line's name at its right end, (text, value, color), moved apart just enough to be legible."""
    gap = 15 * top / max(height - 80, 1)
    known = sorted((e for e in ends if is_number(e[1])), key=lambda e: e[1])
    piles: list[tuple[float, int]] = []  # (middle, labels) of neighbors that overlap
    for _, value, _ in known:
        middle, size = min(value, top), 1
        while piles and piles[-1][0] + piles[-1][1] * gap / 2 > middle - size * gap / 2:
            below, count = piles.pop()
            middle, size = (below * count + middle * size) / (count + size), count + size
            middle = max(min(middle, top - (size - 1) * gap / 2), (size - 1) * gap / 2)
        piles.append((middle, size))
    heights = [middle + (i - (size - 1) / 2) * gap for middle, size in piles for i in range(size)]
    fixed = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 5, "showarrow": False}
    return [
        {"text": clipped(text, 16), "y": y, "font": {"color": color, "size": 12, "weight": 600}, **fixed}
        for (text, _, color), y in zip(known, heights, strict=True)
    ]


def room(labels: Sequence[Plot]) -> dict[str, int]:
    """The right margin for the end labels."""
    return {"r": 18 + 8 * max((len(label["text"]) for label in labels), default=0)}


def clipped(text: str, most: int = 22) -> str:
    """A name shortened in the middle to fit an axis; hover texts and tables show it in full."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 + most // 2 - most :]}"


def plot(title: str, data: list[Plot], *, key: str = "", height: int = 340, **layout: Any) -> Plot:
    """One panel. The title names the quantity and its unit, so the y axis has no title.

    `key`: what the x axis counts, the heading of the first column of the numbers behind the figure.
    """
    return {"title": title, "key": key, "data": data, "layout": {"height": height, **layout}}


def figure(name: str, plots: list[Plot], *, alt: str, caption: str, **more: Any) -> dict[str, Any]:
    """Panels with a sentence for screen readers (`alt`) and one below them (`caption`)."""
    return {"id": name, "plots": plots, "alt": one_line(alt), "caption": caption, **more}
