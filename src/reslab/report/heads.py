"""The page of heads compared: a point a seed, and the table."""

from pathlib import Path

from reslab.report import charts, words
from reslab.report.folder import Facts, dicts, facts, items, read_json

COLUMNS = {
    "head_parameters": "its parameters", "exact": "exact match (%)", "f1": "F1 (%)", "ece": "calibration error (%)",
    "step_milliseconds": "ms a step", "lr": "learning rate", "seeds": "seeds",
}  # fmt: skip


def page(folder: Path) -> Facts:
    """What heads.html.j2 shows."""
    found = read_json(folder / "results" / "compare.json")
    rows = [row for row in dicts(found.get("heads")) if words.is_number(row.get("f1"))]
    figure = dots(rows)
    frozen = found.get("train_last") == 0
    return {
        "template": "heads.html.j2",
        "title": f"Heads compared, the encoder {'frozen' if frozen else 'trained too'}",
        "found": found,
        "encoder": "/".join(Path(str(found.get("encoder"))).parts[-2:]),  # the last alone is often "model"
        "net": {key: found[key] for key in ("encoder", "length", "train_last") if key in found},
        "seeds": found.get("seeds"),
        "unfinished": any(row.get("seeds") != found.get("seeds") for row in dicts(found.get("heads"))),
        "table": table(rows),
        "figures": {figure["id"]: figure} if figure else {},
        "data": facts(found.get("data")),
        "commands": [found["command"]] if found.get("command") else [],
    }


def table(rows: list[Facts]) -> Facts | None:
    """Mean ± standard deviation over the seeds."""
    body = []
    for row in rows:
        cells = [{"text": str(row.get("head")), "number": False}]
        for key in COLUMNS:
            factor = 100 if key == "ece" else 1
            value, spread = row.get(key), row.get(f"{key}_std")
            if key in ("exact", "f1", "ece") and words.is_number(value):
                text = words.plus_minus(factor * value, factor * spread if words.is_number(spread) else None)
            else:
                text = words.plain(value)
            cells.append({"text": text, "number": True})
        body.append({"cells": cells, "kind": None})
    heads = [{"text": "head", "number": False}, *({"text": name, "number": True} for name in COLUMNS.values())]
    return {"heads": heads, "rows": body} if rows else None


def around(values: list[float]) -> list[float]:
    """An axis around the values, in percent: heads a point apart are told apart; no bar is drawn that needs a zero."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    room = max(0.5, 0.2 * (high - low))
    return [max(0.0, round(low - room, 3)), min(101.0, round(high + room, 3))]


def dots(rows: list[Facts]) -> Facts | None:
    """Exact match and F1 of every seed, and their mean, a line a head."""
    if not rows:
        return None
    plots, names = [], [str(row.get("head")) for row in rows]
    for key, title in (("exact", "exact match (%)"), ("f1", "F1 (%)")):
        each = [(name, value) for row, name in zip(rows, names, strict=True) for value in items(row.get(f"{key}_each"))]
        seeds = {
            "type": "scatter", "mode": "markers", "name": "a seed", "x": [charts.finite(v) for _, v in each],
            "y": [name for name, _ in each],
            "marker": {"size": 9, "color": "@residual2", "symbol": "circle-open", "line": {"width": 1.6}},
            "hovertemplate": "<b>%{y}</b>, a seed<br>%{x:.2f} %<extra></extra>",
        }  # fmt: skip
        mean = {
            "type": "scatter", "mode": "markers", "name": "mean", "x": [charts.finite(row[key]) for row in rows],
            "y": names, "marker": {"size": 18, "color": "@residual3", "symbol": "line-ns-open", "line": {"width": 2.4}},
            "hovertemplate": "<b>%{y}</b>, mean<br>%{x:.2f} %<extra></extra>",
        }  # fmt: skip
        axes: Facts = {
            "xaxis": {"range": around([value for _, value in each if words.is_number(value)])},
            # A margin of its own: what plotly finds by drawing again and again it gives up on.
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": False},
            "margin": {"l": 16 + 7 * max(map(len, names))},
        }
        plots.append(charts.plot(title, [seeds, mean], height=90 + 44 * len(rows), key="head", **axes))
    both = [(words.plus_minus(row[key], row.get(f"{key}_std")) for key in ("exact", "f1")) for row in rows]
    said = "; ".join(f"{name}: {' and '.join(each)} %" for name, each in zip(names, both, strict=True))
    caption = (
        "Exact match and F1 on the test questions. Circles: a seed each; bars: their mean; axes need not begin at 0."
    )
    return charts.figure("heads", plots, alt=f"Exact match and F1 by head. {said}.", caption=caption)
