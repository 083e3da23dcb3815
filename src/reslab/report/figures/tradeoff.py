"""Every step of a plan as a point: its measure against the time of a pass and against multiply-adds."""

from collections.abc import Sequence
from typing import Any

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.figures.arms import MARKS, SMALL, Arm, reach
from reslab.report.figures.expected import Expected, expected
from reslab.report.folder import Facts, dicts, facts
from reslab.report.look.words import Metric

Points = list[tuple[float, float]]


def tradeoff(plan: Facts, done: Facts, arms: Sequence[Arm]) -> Facts | None:
    """Two panels, time and MACs. The arms stand in them if they are measured by what the plan is measured by."""
    steps, seen = dicts(plan.get("steps")), expected(plan)
    if seen is None or seen.values[0] is None or len(steps) < 2:
        return None
    metric = seen.metric
    drawn = arms if done.get("measure") == metric.key else []
    whole = steps[0].get("macs")
    axes = [("milliseconds", "milliseconds per pass", 1.0, " ms"), ("macs", "MACs, % of the intact model’s",
             100 / whole if words.is_number(whole) and whole > 0 else 0.0, " % of the MACs")]  # fmt: skip
    plots = []
    for key, title, factor, unit in axes:
        x = [factor * step[key] if words.is_number(step.get(key)) else None for step in steps]
        if factor and sum(each is not None for each in x) > 1:
            plots.append(panel(plan, seen, x, title=title, unit=unit, arms=placed(drawn, done, key, factor, x[0])))
    said = [f"{k} removed: {metric.text(value)}" for k, value in enumerate(seen.values)]
    caption = (
        "Each dot is one step of the plan, from the intact model at the right to the left, measured on "
        f"{plan.get('data') or 'the planning data'} without any healing; bars are 95 % intervals "
        f"{seen.what}. The line joins the frontier: the steps than which no other is both cheaper and better."
    )
    if drawn:
        caption += (
            " The other marks are models on the test part, with the intervals of the next figure; their times are "
            "relative to the intact model’s, measured in turn."
        )
    return charts.figure("tradeoff", plots, alt=f"{metric.title} by number of blocks removed: {'; '.join(said)}.",
                         caption=caption, key=key_of(plan, drawn)) if plots else None  # fmt: skip


def key_of(plan: Facts, arms: Sequence[Arm]) -> list[Facts]:
    """The legend, which HTML draws: plotly's covers the axis on a phone."""
    beyond = len(dicts(plan.get("steps"))) - 1 > plan["chosen"]
    rows = [("residual2", "circle", "a step of the plan"), ("residual3", "ring", "the chosen step")]
    rows += [("residual0", "circle-open", "a step beyond it")] if beyond else []
    rows += [("residual1", "line", "frontier")]
    marks = [(*MARKS.get(arm.what, ("@soft", "circle")), arm.name) for arm in arms]
    return [{"color": color.removeprefix("@"), "shape": shape, "text": text} for color, shape, text in [*rows, *marks]]


def panel(plan: Facts, seen: Expected, x: list[Any], *, title: str, unit: str, arms: list[tuple[Arm, Any]]) -> Facts:
    """One panel: the frontier, the steps, the chosen one, the arms."""
    steps, metric, y = dicts(plan.get("steps")), seen.metric, seen.values
    chosen = min(plan["chosen"], len(steps) - 1)
    names = [f"{k} removed" + (f": {words.plain(step.get('module'))}" if step.get("module") else "")
             for k, step in enumerate(steps)]  # fmt: skip
    up = [reach(high, value) for high, value in zip(seen.high, y, strict=True)]
    down = [reach(value, low) for low, value in zip(seen.low, y, strict=True)]
    hover = (
        f"<b>%{{text}}</b><br>%{{y:.4~r}}{' %' if metric.key == 'error' else ''}<br>%{{x:.4~r}}{unit}<extra></extra>"
    )
    edge = frontier([(a, b) for a, b in zip(x, y, strict=True) if a is not None and b is not None])
    data = [
        {"type": "scatter", "mode": "lines", "name": "frontier", "x": [charts.finite(a) for a, _ in edge],
         "y": [charts.finite(b) for _, b in edge], "line": {"color": "@residual1", "width": 1.5},
         "hoverinfo": "skip"},
        {"type": "scatter", "mode": "markers", "name": "steps of the plan", "x": [charts.finite(a) for a in x],
         "y": [charts.finite(b) for b in y], "text": names, "hovertemplate": hover,
         "marker": {"size": 7, "color": ["@residual2" if k <= chosen else "@residual0" for k in range(len(steps))],
                    "symbol": ["circle" if k <= chosen else "circle-open" for k in range(len(steps))]},
         "error_y": {"type": "data", "symmetric": False, "thickness": 1, "width": 2, "color": "@residual2/45",
                     "array": up, "arrayminus": down}},
        {"type": "scatter", "mode": "markers", "name": "chosen", "x": [charts.finite(x[chosen])],
         "y": [charts.finite(y[chosen])], "hoverinfo": "skip",
         "marker": {"size": 15, "color": "@residual3", "symbol": "circle-open", "line": {"width": 2}}},
        *(mark(arm, at, unit, metric) for arm, at in arms),
    ]  # fmt: skip
    top, beyond = ceiling(y, up, chosen, arms)
    made = charts.plot(metric.title, data, height=360, xaxis={"title": {"text": title}},
                       yaxis={"range": [None, top]} if beyond else {})  # fmt: skip
    made["rows"] = [["step", title, metric.title, "lower end", "upper end"],
                    *([charts.finite(one) if k else one for k, one in enumerate(row)]
                      for row in zip(names, x, y, seen.low, seen.high, strict=True)),
                    *([arm.name, charts.finite(at), charts.finite(arm.value), None, None]
                      for arm, at in arms)]  # fmt: skip
    return made


def mark(arm: Arm, at: Any, unit: str, metric: Metric) -> Facts:
    """A model of the comparison, at its own measured time."""
    color, symbol = MARKS.get(arm.what, ("@soft", "circle"))
    over = " %" if metric.key == "error" else ""
    return {
        "type": "scatter", "mode": "markers", "name": arm.name, "x": [charts.finite(at)],
        "y": [charts.finite(arm.value)],
        "hovertemplate": f"<b>%{{fullData.name}}</b><br>%{{y:.4~r}}{over}<br>%{{x:.4~r}}{unit}<extra></extra>",
        "marker": {"size": 10, "color": color, "symbol": symbol, "line": {"width": 1.6, "color": color}},
        "error_y": {"type": "data", "symmetric": False, "thickness": 1.2, "width": 4, "color": color,
                    "array": [reach(arm.high, arm.value)], "arrayminus": [reach(arm.value, arm.low)]},
    }  # fmt: skip


def placed(arms: Sequence[Arm], done: Facts, key: str, factor: float, whole: Any) -> list[tuple[Arm, Any]]:
    """Each arm with its place on the axis: that of the intact model, or of the model after the removal.

    Times are relative to that of the intact model, measured in turn, and drawn from its time in the plan: `whole`.
    """
    sizes = {name: facts(done.get(name)) for name in ("before", "after")}
    if key == "milliseconds":
        sizes = {name: facts(size.get("timing")) for name, size in sizes.items()}
        first = sizes["before"].get(key)
        factor = whole / first if words.is_number(whole) and words.is_number(first) and first > 0 else 0.0
    places = {name: size[key] for name, size in sizes.items() if words.is_number(size.get(key))}
    each = [(arm, "after" if arm.what in SMALL else "before") for arm in arms]
    return [(arm, factor * places[name]) for arm, name in each if name in places and factor]


def frontier(points: Points) -> Points:
    """The points than which no other is both cheaper and better, the cheapest first."""
    best: Points = []
    for x, y in sorted(points):
        if not best or y < best[-1][1]:
            best.append((x, y))
    return best


def ceiling(y: list[float | None], up: list[Any], chosen: int, arms: list[tuple[Arm, Any]]) -> tuple[float, bool]:
    """(The axis's end, whether steps lie above it): those after the chosen one must not squeeze the rest."""
    near = [b + (u or 0) for b, u in zip(y[: chosen + 1], up, strict=False) if b is not None]
    near += [value for arm, _ in arms for value in (arm.value, arm.high) if words.is_number(value)]
    top, every = max(near, default=1.0), [b for b in y if b is not None]
    least = min([*every, *(arm.value for arm, _ in arms)], default=0.0)
    end = top + 0.35 * (top - least)
    return end, max(every, default=0.0) > end > least
