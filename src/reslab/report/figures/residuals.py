"""How far predicted numbers lie from the true ones: one point per test row, and the distribution of errors."""

from typing import Any

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, items
from reslab.report.words import is_number

POINTS = 1000  # of the rows that the run stored
TARGETS = 4  # targets drawn, if there are several
BINS = 41


def residuals(found: Facts, *, columns: list[Any]) -> list[Facts]:
    """A figure for each target."""
    both = zip(items(found.get("true")), items(found.get("predicted")), strict=False)
    rows = [(a, b) for a, b in both if all(map(is_number, [*a, *b]))]  # a prediction may have been infinite
    many = len(rows[0][0]) if rows else 0
    if not many or any(len(side) != many for row in rows for side in row):
        return []
    names = [str(name) for name in columns] if len(columns) == many else [str(k) for k in range(many)]
    figures = []
    for k in range(min(many, TARGETS)):
        pairs = [(a[k], b[k]) for a, b in rows]
        figures.append(of_one(pairs, names[k], "residuals" if many == 1 else f"residuals-{k}"))
    return figures


def of_one(pairs: list[tuple[float, float]], name: str, label: str) -> Facts:
    few = charts.thin(pairs, POINTS)
    a, b = ([charts.finite(pair[k]) for pair in few] for k in (0, 1))
    low, high = min(map(min, pairs)), max(map(max, pairs))
    points = {
        "type": "scatter", "mode": "markers", "name": "test rows", "x": a, "y": b,
        "marker": {"size": 4, "color": "@residual2/45"},
        "hovertemplate": "true %{x:,.4~r}<br>predicted %{y:,.4~r}<extra></extra>",
    }  # fmt: skip
    diagonal = {
        "type": "scatter", "mode": "lines", "name": "exact", "x": [low, high], "y": [low, high],
        "line": {"color": "@soft", "width": 1, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip
    scatter = charts.plot("predicted", [diagonal, points], height=360, key="true", xaxis={"title": {"text": "true"}})
    scatter["rows"] = [["true", "predicted"], *map(list, zip(a, b, strict=True))]
    errors = sorted(predicted - true for true, predicted in pairs)
    middle, inner = errors[len(errors) // 2], sum(e > 0 for e in errors) / len(errors)
    caption = (
        f"{name}, {words.count(len(pairs))} test rows. Left: predicted against true; equal on the dotted line. "
        f"Right: distribution of the errors (predicted minus true); {words.percent(100 * inner, 0)} are above 0. The "
        "outermost bars include everything beyond them."
    )
    alt = f"Predicted against true {name}; the median error is {words.number(float(middle))}."
    return charts.figure(label, [scatter, histogram(errors)], alt=alt, caption=caption)


def histogram(errors: list[float]) -> Facts:
    """Counts of the errors; the outermost 1 % on either side is pooled into the first and last bar."""
    edge = max(abs(errors[len(errors) // 100]), abs(errors[-1 - len(errors) // 100]))
    edge = edge if edge > 1e-200 else 1.0
    width = 2 * edge / BINS
    counts = [0] * BINS
    for error in errors:
        counts[int(min(max((error + edge) / width, 0), BINS - 1))] += 1
    middles = [charts.finite(-edge + (k + 0.5) * width) for k in range(BINS)]
    half = width / 2
    bars = {
        "type": "bar", "name": "rows", "x": middles, "y": counts, "marker": {"color": "@residual2"},
        "customdata": [[charts.finite(m - half), charts.finite(m + half)] for m in middles if m is not None],
        "hovertemplate": "%{customdata[0]:,.3~r} to %{customdata[1]:,.3~r}<br>%{y:,} rows<extra></extra>",
    }  # fmt: skip
    axes: Facts = {"xaxis": {"title": {"text": "predicted − true"}, "zeroline": True, "zerolinecolor": "@soft"}}
    return charts.plot("rows", [bars], height=360, key="error", bargap=0.04, **axes)
