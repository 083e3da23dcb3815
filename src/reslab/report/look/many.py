"""Many lesions: k blocks disabled at random, and blocks in another order."""

import itertools
from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look.charts import NARROW, Plot, curve, ink, level, top_of
from reslab.report.look.effects import ends, of_share, same
from reslab.report.look.folder import Look
from reslab.report.look.harm import chance
from reslab.report.look.papers import section
from reslab.report.look.words import Metric, findings, median, metrics, numbers, rank_correlation, several
from reslab.report.words import GAP, is_number, listed
from reslab.statistics import rank_interval

Panel = tuple[Plot, str, str]  # a plot with its alternative text and its caption
RANDOM = "k blocks disabled at random: median and range over draws"
CLOSELY = 0.5  # a rank correlation above it
ORDER = "pairs of blocks of one shape swapped: each dot is one draw, and disorder grows to the right"


def many(looks: list[Look]) -> Facts | None:
    """k random blocks disabled, and blocks in another order."""
    panels = [panel for panel in (at_random(looks), reordered(looks)) if panel]
    found = findings(looks, lambda look: [*random_found(look), *order_found(look)])
    captions = [caption for _, _, caption in panels]
    caption = f"Left: {captions[0]}. Right: {captions[1]}." if len(panels) == 2 else "".join(captions).capitalize()
    alt = " ".join(alt for _, alt, _ in panels)
    figure = charts.figure("many", [plot for plot, _, _ in panels], alt=alt, caption=caption) if panels else None
    return section("many", "Many blocks disabled, or swapped", found=found, figures=[figure])


def drawn_at_random(look: Look, metric: Metric) -> list[tuple[int, float, float, float]]:
    """(k, median, lowest, highest) over the random draws for each k; k = 0 is the intact model."""
    whole = metric.of(look["lesions"].get("whole"))
    points = [(0, whole, whole, whole)] if whole is not None else []
    for each in dicts(look["lesions"].get("random")):
        known = numbers([metric.value(v) for v in items(facts(each.get("values")).get(metric.key))])
        middle = median(known)
        if middle is not None and is_number(each.get("k")):
            points.append((each["k"], middle, min(known), max(known)))
    return sorted(points) if len(points) > 1 else []


def at_random(looks: list[Look]) -> Panel | None:
    """Error by how many blocks are disabled."""
    data: list[Plot] = []
    said, ends, tops = [], [], []
    metric = next((m for look in looks for m in metrics(look["lesions"])[:1] if drawn_at_random(look, m)), None)
    if metric is None:
        return None
    unit = f"{GAP}%" if metric.key == "error" else ""
    shown = [look for look in looks if drawn_at_random(look, metric)]
    lines = [["k", *(f"{look.label}, {part}" for look in shown for part in ("median", "lowest", "highest"))]]
    table: dict[int, list[Any]] = {}
    for rank, look in enumerate(shown):
        points, color = drawn_at_random(look, metric), ink(rank, len(shown))
        data += charts.band(look.label, [(k, low, high) for k, _, low, high in points], color)
        data.append(
            curve(look.label, [(k, m) for k, m, *_ in points], color, x="blocks disabled:", unit=unit, marks=True)
        )
        ends.append((look.label, points[-1][1], color))
        tops += [high for *_, high in points]
        for k, *rest in points:
            table.setdefault(k, [None] * 3 * len(shown))[3 * rank : 3 * rank + 3] = map(charts.finite, rest)
        said.append(f"{look.label} goes from {metric.text(points[0][1])} to {metric.text(points[-1][1])} with "
                    f"{points[-1][0]} blocks disabled")  # fmt: skip
    top = top_of(tops, percent=metric.key == "error")
    more = named_ends(ends, top, len(shown))
    plot = charts.plot(f"{metric.title} with k blocks disabled", data, height=320, key="k",
                       xaxis={"title": {"text": "blocks disabled"}, "rangemode": "tozero"},
                       yaxis={"range": top} if top else {}, **more, **guessing(looks, metric))  # fmt: skip
    rows = [*lines, *([k, *values] for k, values in sorted(table.items()))]
    alt = f"Curves of {metric.title} by number of blocks disabled at random: {'; '.join(said)}."
    return plot | {"rows": rows}, alt, RANDOM


def guessing(looks: list[Look], metric: Metric) -> Plot:
    """A line at the error of guessing, if it is one model with a known number of classes."""
    return level(chance(looks[0]), "chance") if len(looks) == 1 and metric.key == "error" else {}


def named_ends(ends: list[tuple[str, Any, str]], top: list[float] | None, of: int) -> Plot:
    """Names at the ends of several lines; none for a single line."""
    if of < 2 or top is None:
        return {"margin": NARROW}
    labels = charts.end_labels(ends, top=top[1], height=320)
    return {"annotations": labels, "margin": NARROW | charts.room(labels)}


def random_found(look: Look) -> list[str]:
    metric = next(iter(metrics(look["lesions"])), None)
    points = drawn_at_random(look, metric) if metric else []
    if metric is None or len(points) < 3:
        return []
    pairs = [(a[1], b[1]) for a, b in itertools.pairwise(points)]
    equal = sum(same(a, b) for a, b in pairs)
    rises = sum(b > a and not same(a, b) for a, b in pairs)
    step = -(-(len(points) - 1) // 6)
    each = listed([f"{metric.text(y)} with {k}" for k, y, *_ in [*points[1:-1:step], points[-1]]])
    stays = f" and stays equal in {equal}" if equal else ""
    steps = f"It rises in {rises} of {len(points) - 1} steps{stays}."
    if between := ends(metric, of_share(metric, points[-1][1], look["lesions"].get("n"))):
        steps += f" With {points[-1][0]}, the median’s 95{GAP}% interval over samples is {between}{GAP}%."
    return [f"With blocks disabled at random, the median {metric.name} is {each}. {steps}"]


def order_points(look: Look, metric: Metric) -> list[tuple[float, float, Any]]:
    rows = dicts(look["lesions"].get("reorder"))
    stored = [(each.get("tau"), metric.of(each.get("values")), each.get("swaps")) for each in rows]
    return [(tau, y, swaps) for tau, y, swaps in stored if is_number(tau) and is_number(y)]


def reordered(looks: list[Look]) -> Panel | None:
    """Error by how much of the blocks' order remains."""
    metric = next((m for look in looks for m in metrics(look["lesions"])[:1] if order_points(look, m)), None)
    if metric is None:
        return None
    unit = f"{GAP}%" if metric.key == "error" else ""
    shown = [look for look in looks if order_points(look, metric)]
    data, rows, said, ys, lowest = [], [], [], [], 1.0
    part: Plot = {}
    for rank, look in enumerate(shown):
        points, color = order_points(look, metric), ink(rank, len(shown))
        data.append({
            "type": "scatter", "mode": "markers", "name": look.label, "x": [charts.finite(tau) for tau, *_ in points],
            "y": [charts.finite(y) for _, y, _ in points], "customdata": [[swaps] for *_, swaps in points],
            "marker": {"color": f"{color}/70", "size": 8, "line": {"width": 0}}, "cliponaxis": False,
            "hovertemplate": "<b>%{fullData.name}</b><br>%{customdata[0]} swaps, Kendall’s τ %{x:.2f}<br>"
            f"%{{y:,.4~r}}{unit}<extra></extra>",
        })  # fmt: skip
        rows += [[look.label, swaps, charts.finite(tau), charts.finite(y)] for tau, y, swaps in points]
        ys += [y for _, y, _ in points]
        lowest = min([lowest, *(tau for tau, *_ in points)])
        own = numbers([y for _, y, _ in points])
        said.append(f"{look.label}: from {metric.text(min(own))} to {metric.text(max(own))}")
    if len(shown) == 1:
        whole = metric.of(shown[0]["lesions"].get("whole"))
        part = level(whole, f"intact: {metric.text(whole)}")
        ys += numbers([whole])
    top = top_of(ys, percent=metric.key == "error")
    axis = {"title": {"text": "Kendall’s τ with the model’s own order"}, "range": [1.03, min(lowest, 0.95) - 0.03]}
    plot = charts.plot(f"{metric.title} with blocks in another order", data, height=320, key="tau", xaxis=axis,
                       yaxis={"range": top} if top else {}, margin=NARROW | ({"b": 80} if len(shown) > 1 else {}),
                       showlegend=len(shown) > 1, **part)  # fmt: skip
    alt = f"Dots of {metric.title} by Kendall's tau of the blocks' order, {len(rows)} draws; {'; '.join(said)}."
    return plot | {"rows": [["model", "swaps", "Kendall’s τ", metric.title], *rows]}, alt, ORDER


def order_found(look: Look) -> list[str]:
    metric = next(iter(metrics(look["lesions"])), None)
    points = order_points(look, metric) if metric else []
    along = rank_correlation([(-tau, y) for tau, y, _ in points])
    if metric is None or along is None:
        return []
    mild = [y for tau, y, _ in points if tau >= 0.9]
    near = f"at τ of 0.9 or more the median is {metric.text(median(mild))} ({several(len(mild), 'draw')}); "
    first = near if mild else ""
    span = rank_interval(along, len(points))
    how = f"the {metric.name} is not shown to follow disorder"
    if not span.holds(0):
        how = f"the {metric.name} {'rises' if along > 0 else 'falls'} with disorder"
        how += "" if abs(along) > CLOSELY else ", but not closely"
    shown = ", ".join(f"{text} {value:.2f}" for text, value in (("", along), ("95 % interval", span.low)))
    shown = f"{shown} to {span.high:.2f}".strip().replace("-", "−")
    return [f"With blocks reordered, {first}{how} (rank correlation {shown}, over {several(len(points), 'draw')})."]
