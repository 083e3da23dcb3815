"""Which classes are hard and what they are mistaken for, from the confusion counts of results/eval.json."""

from typing import Any

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, Run, facts, items
from reslab.statistics import wilson

LISTED = 50  # with more classes, bars for each would be illegible: the worst are listed instead
WORST = 20
CELLS = 200  # a heatmap with more cells per side would be finer than the screen, and mostly zeros


def counts_of(run: Run) -> tuple[list[str], list[list[int]]]:
    """Class names and square counts (rows true, columns predicted), or two empty lists.

    From an evaluation, or from what training stored of the test images.
    """
    rows = run.evaluation.get("confusion") or dense(run.pictures)
    names = run.evaluation.get("classes") or run.data.get("classes") or range(len(rows))
    square = isinstance(rows, list) and all(isinstance(r, list) and len(r) == len(rows) for r in rows)
    return ([str(n) for n in names], rows) if square and rows and len(names) == len(rows) else ([], [])


def dense(pictures: Facts) -> list[list[int]]:
    """The confusion matrix of results/pictures.json, which holds the cells that are not zero; [] if it has none."""
    cells, K = facts(pictures.get("confusion")), len(items(pictures.get("classes")))
    places = list(zip(*(items(cells.get(key)) for key in ("true", "predicted", "n")), strict=False))
    if not places or max(max(a, b) for a, b, _ in places) >= K:
        return []
    rows = [[0] * K for _ in range(K)]
    for true, predicted, n in places:
        rows[true][predicted] = n
    return rows


def taken(names: list[str], row: list[int], i: int) -> str:
    """The class that images of class i are most often mistaken for, "" if none is."""
    other = max((j for j in range(len(row)) if j != i), key=lambda j: row[j], default=i)
    return names[other] if other != i and row[other] else ""


def _by_error(run: Run) -> list[Facts]:
    """One entry per class that occurs, the hardest first."""
    names, rows = counts_of(run)
    found = []
    for i, row in enumerate(rows):
        n = sum(row)
        wrong = n - row[i]
        if n:
            found.append({"name": names[i], "n": n, "wrong": wrong, "error": 100 * wrong / n,
                          "taken": taken(names, row, i)})  # fmt: skip
    return sorted(found, key=lambda c: -c["error"])


def worst(run: Run) -> list[Facts]:
    """The hardest classes, if there are too many to draw them all."""
    found = _by_error(run)
    return found[:WORST] if len(found) > LISTED else []


def mistakes(run: Run) -> list[Facts]:
    """The ten most frequent confusions."""
    names, rows = counts_of(run)
    pairs = [(n, i, j) for i, row in enumerate(rows) for j, n in enumerate(row) if i != j and n]
    top = sorted(pairs, key=lambda p: -p[0])[:10]
    told = [one_line(name) for name in names]
    return [{"true": told[i], "predicted": told[j], "n": n, "of": sum(rows[i]), "cell": f"{i}-{j}"}
            for n, i, j in top]  # fmt: skip


def by_class(run: Run) -> Facts | None:
    """Error of each class, as bars, the hardest on top."""
    found = _by_error(run)[::-1]  # plotly stacks categories upward
    if not found or len(found) > LISTED:
        return None
    spans = [wilson(c["wrong"], c["n"]) for c in found]
    bars = {
        "type": "bar", "orientation": "h", "name": "error (%)", "y": list(range(len(found))),
        "x": [charts.finite(c["error"]) for c in found], "names": [c["name"] for c in found],
        "customdata": [[c["name"], c["wrong"], c["n"], f"{100 * s.low:.1f}", f"{100 * s.high:.1f}"]
                       for c, s in zip(found, spans, strict=True)],
        "error_x": {"type": "data", "symmetric": False, "color": "@ink", "thickness": 1, "width": 0,
                    "array": [charts.finite(100 * s.high - c["error"]) for c, s in zip(found, spans, strict=True)],
                    "arrayminus": [charts.finite(c["error"] - 100 * s.low) for c, s in zip(found, spans, strict=True)]},
        "marker": {"color": "@residual2"}, "texttemplate": "%{x:.1f}", "textposition": "outside", "cliponaxis": False,
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{x:.2f} % (%{customdata[1]} of %{customdata[2]})<br>"
        "95 % interval %{customdata[3]} to %{customdata[4]}<extra></extra>",
    }  # fmt: skip
    size: Facts = {"height": 70 + 24 * len(found), "margin": {"l": 8, "r": 40, "b": 8}}
    # Positions, not categories: plotly reads a class named "3" as the third, and merges two of one name.
    ticks = {"tickvals": list(range(len(found))), "ticktext": [charts.clipped(c["name"]) for c in found]}
    axes: Facts = {
        "yaxis": {"showgrid": False, "range": [-0.6, len(found) - 0.4], **ticks},
        "xaxis": {"visible": False},
    }
    plot = charts.plot("error of each class (%)", [bars], key="class", bargap=0.3, **size, **axes)
    said = ", ".join(f"{c['name']} {words.percent(c['error'], 1)}" for c in found[::-1])
    return charts.figure(
        "classes",
        [plot],
        alt=f"Error of each class: {said}.",
        caption="Error of each class. Thin lines: 95 % intervals.",
    )


def confusion(run: Run) -> Facts | None:
    """Rows true, columns predicted; the diagonal has another color, so that rare mistakes stay visible."""
    names, rows = counts_of(run)
    if not rows:
        return None
    pool = pooled_by(len(rows))
    small = len(rows) <= LISTED
    names = _pooled_names(names, pool)
    cells: Facts = {"type": "heatmap", "names": names, "counts": _pooled(rows, pool), "showscale": False}
    axis: Facts = {"showgrid": False, "showticklabels": small}
    if small:
        cells |= {"texttemplate": "%{text}", "xgap": 1, "ygap": 1}
        axis |= {"tickvals": list(range(len(rows))), "ticktext": [charts.clipped(name) for name in names]}
    longest = max(map(len, names))
    cell = 26 if len(rows) > 8 else min(72, 240 // len(rows))  # larger cells for few classes
    wide = max(40, 3 * cell // 2)
    upright = longest > 2 and (len(rows) > 8 or 8 * min(longest, 22) > wide)
    axes: Facts = {
        "xaxis": axis | {"side": "top", "title": {"text": "predicted"}, "tickangle": -90 if upright else 0},
        "yaxis": axis | {"autorange": "reversed", "title": {"text": "true"}},
    }
    margin = 50 + 7 * min(longest, 20)  # room for the class names
    side = cell * len(rows) if small else 560
    size: Facts = {"height": max(side + margin, 320 if len(rows) > 8 else 0), "margin": {"l": 8, "t": 8, "b": 8}}
    plot = charts.plot("", [cells], key="true \\ predicted", **size, **axes)
    if not small:
        plot["rows"] = _class_rows(run)
    right, n = sum(row[i] for i, row in enumerate(rows)), sum(map(sum, rows))
    caption = "Confusion matrix: rows are true classes, columns are predicted ones. Blue: right; orange: mistakes; the "
    caption += "stronger, the larger the share of the row (one scale for both, by the root of the share)." + (
        f" Each cell pools {pool} × {pool} classes." if pool > 1 else ""
    )
    said = [f"{m['true']} predicted as {m['predicted']} {m['n']} times" for m in mistakes(run)[:3]]
    alt = f"Confusion matrix of {len(rows)} classes: {right:,} of {n:,} right. {'; '.join(said)}."
    limits = {"min_width": 21 * len(rows) + margin, "max_width": wide * len(rows) + margin}
    return charts.figure("confusion", [plot], alt=alt, caption=caption, **(limits if small else {"max_width": 720}))


def pooled_by(classes: int) -> int:
    """How many classes a cell of the drawn matrix pools, in each direction."""
    return -(-classes // CELLS)


def _pooled(rows: list[list[int]], pool: int) -> list[list[int]]:
    if pool == 1:
        return rows
    cuts = range(0, len(rows), pool)
    return [[sum(sum(row[j : j + pool]) for row in rows[i : i + pool]) for j in cuts] for i in cuts]


def _pooled_names(names: list[str], pool: int) -> list[str]:
    cuts = [names[i : i + pool] for i in range(0, len(names), pool)]
    return [cut[0] if len(cut) == 1 else f"{cut[0]} … {cut[-1]}" for cut in cuts]


def _class_rows(run: Run) -> list[list[Any]]:
    """One row per class, for a matrix too large to be shown as a table."""
    head = ["class", "images", "wrong", "error (%)", "most often mistaken for"]
    return [head, *([c["name"], c["n"], c["wrong"], charts.finite(c["error"]), c["taken"]] for c in _by_error(run))]
