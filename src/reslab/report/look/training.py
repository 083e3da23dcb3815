"""Gradients during training: the norms that the run recorded."""

import math
from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, items
from reslab.report.look.charts import NARROW, Plot, curve, log_axis
from reslab.report.look.folder import Look
from reslab.report.look.words import median, numbers, small
from reslab.report.words import count, is_number

CELLS = 200  # a heatmap with more rows or columns would be finer than the screen


def sampled(look: Look) -> list[tuple[int, list[float | None]]]:
    """(iteration, each layer's |dL/dW| / |W|) of each sample, in order; None if unknown or zero."""
    found = []
    for event in look.events:
        iteration, tops, bottoms = event.get("iteration"), items(event.get("gradients")), items(event.get("weights"))
        if event.get("event") != "gradients" or not is_number(iteration) or len(tops) != len(bottoms):
            continue
        row = [t / b if is_number(t) and is_number(b) and t > 0 and b > 0 else None
               for t, b in zip(tops, bottoms, strict=True)]  # fmt: skip
        if numbers(row):
            found.append((int(iteration), row))
    return found


def layer_names(look: Look, layers: int) -> list[str]:
    """The layers' names, from the first sample."""
    names = next((items(e.get("layers")) for e in look.events if e.get("event") == "gradients" and e.get("layers")), [])
    return [str(name) for name in names] if len(names) == layers else [f"layer {i}" for i in range(layers)]


def along_training(look: Look) -> Facts | None:
    """Median and range over layers by iteration, and a heatmap of all layers."""
    points = sampled(look)
    if len(points) < 2:
        return None
    plots = [spread(points), heat(look, points)]
    first, last = points[0], points[-1]
    caption = "During training: norm of each layer’s weight gradient divided by the norm of its weights, per batch. "
    caption += "Left: the median layer and the range over layers. Right: every layer, from input (bottom) to output; "
    caption += "stronger colors are larger values, on a log scale."
    alt = f"Gradients during training, {len(points)} samples: the median layer's relative gradient goes from "
    alt += f"{small(median(first[1]))} at iteration {count(first[0])} to {small(median(last[1]))} at {count(last[0])}."
    return charts.figure("training", plots, alt=alt, caption=caption)


def spread(points: list[tuple[int, list[float | None]]]) -> Plot:
    """The median layer by iteration, with the range over layers."""
    known = [(i, numbers(row)) for i, row in points]
    band = charts.band("layers", [(i, min(row), max(row)) for i, row in known], "@residual3")
    middle = curve("median layer", [(i, median(row)) for i, row in known], "@residual3", x="iteration", marks=False)
    axis = log_axis([y for _, row in known for y in (min(row), max(row))])
    plot = charts.plot("gradient, |∂L/∂W| / |W|", [*band, middle], height=320, key="iteration",
                       xaxis=charts.ITERATION, yaxis=axis, margin=NARROW)  # fmt: skip
    head = ["iteration", "median layer", "lowest", "highest"]
    rows = [[i, *map(charts.finite, (median(row), min(row), max(row)))] for i, row in known]
    return plot | {"rows": [head, *rows]}


def heat(look: Look, points: list[tuple[int, list[float | None]]]) -> Plot:
    """Every layer's norm by iteration, as a heatmap."""
    layers = len(points[-1][1])
    kept = [(i, row) for i, row in charts.thin(points, CELLS) if len(row) == layers]
    names, each = layer_names(look, layers), -(-layers // CELLS) or 1
    shown = range(0, layers, each)
    logs = [[charts.finite(math.log10(y)) if (y := row[at]) is not None else None for _, row in kept] for at in shown]
    trace: Plot = {
        "type": "heatmap", "x": [i for i, _ in kept], "y": list(shown), "z": logs, "showscale": False,
        "customdata": [[charts.clipped(names[at], 60)] * len(kept) for at in shown],
        "text": [[small(row[at]) for _, row in kept] for at in shown],
        "colorscale": [[0, "@paper"], [0.5, "@residual0"], [1, "@residual5"]],
        "hovertemplate": "<b>%{customdata}</b><br>iteration %{x:,}<br>%{text}<extra></extra>",
    }  # fmt: skip
    plot = charts.plot("by layer", [trace], height=320, key="layer", xaxis=charts.ITERATION,
                       yaxis={"title": {"text": "layer"}, "showgrid": False}, margin=NARROW)  # fmt: skip
    head: list[Any] = ["layer", f"iteration {kept[0][0]}", f"iteration {kept[-1][0]}"]
    return plot | {"rows": [head, *([names[at], charts.finite(kept[0][1][at]), charts.finite(kept[-1][1][at])]
                                    for at in shown)]}  # fmt: skip


def training_found(look: Look) -> list[str]:
    """Whether the layers' norms diverge or converge during training."""
    points = sampled(look)
    if len(points) < 2:
        return []
    ends = [(i, numbers(row)) for i, row in (points[0], points[-1])]
    first, last = (f"{small(max(row) / min(row))} times the smallest at iteration {count(i)}" for i, row in ends)
    middles = [small(median(row)) for _, row in ends]
    return [
        f"During training the median layer’s gradient, relative to its weights, goes from {middles[0]} to {middles[1]}."
        f" The largest is {first} and {last}."
    ]
