"""Compare nets or heads over several seeds: one line per name, one point per seed, a bar for the mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, items


@dataclass(frozen=True)
class Score:
    """A score in a comparison's rows (KEY, KEY_std and KEY_each), multiplied by `factor` for display."""

    key: str
    title: str
    factor: float = 1.0
    unit: str = ""
    digits: int = 2

    def text(self, row: Facts) -> str:
        """`8.41 ± 0.12`."""
        value, spread = row.get(self.key), row.get(f"{self.key}_std")
        scaled = [self.factor * one if words.is_number(one) else None for one in (value, spread)]
        return words.plus_minus(*scaled, digits=self.digits)


def table(rows: Sequence[Facts], *, name: str, columns: dict[str, str | Score]) -> Facts | None:
    """One line per row: its name and each column's value, or a score's mean ± standard deviation."""
    body = []
    for row in rows:
        cells = [{"text": str(row.get(name)), "number": False}]
        for key, column in columns.items():
            text = column.text(row) if isinstance(column, Score) else words.plain(row.get(key))
            cells.append({"text": text, "number": True})
        body.append({"cells": cells, "kind": None})
    titles = [column.title if isinstance(column, Score) else column for column in columns.values()]
    heads = [{"text": name, "number": False}, *({"text": title, "number": True} for title in titles)]
    return {"heads": heads, "rows": body} if rows else None


def around(values: list[float], *, share: bool) -> list[float]:
    """An axis around the values, to show small differences; no bar is drawn that would need a zero."""
    if share:
        low, high = min(values, default=0.0), max(values, default=100.0)
        room = max(0.5, 0.2 * (high - low))
        return [max(0.0, round(low - room, 3)), min(101.0, round(high + room, 3))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.2 * (high - low) or abs(high) / 20 or 1.0
    return [low - room, high + room]


def dots(rows: Sequence[Facts], scores: Sequence[Score], *, name: str, id: str, about: str) -> Facts | None:
    """A plot per score with one line per row: a circle for each seed and a bar for their mean."""
    if not rows:
        return None
    names = [str(row.get(name)) for row in rows]
    plots = [_plot(rows, names, score, key=name) for score in scores]
    said = "; ".join(
        f"{each}: {', '.join(f'{score.title} {score.text(row)}' for score in scores)}"
        for each, row in zip(names, rows, strict=True)
    )
    caption = f"{about} Each circle is one seed, each bar a mean. Axes need not start at 0."
    return charts.figure(id, plots, alt=f"Scores by {name}. {said}.", caption=caption)


def _plot(rows: Sequence[Facts], names: list[str], score: Score, *, key: str) -> Any:
    each = [
        (name, score.factor * value)
        for row, name in zip(rows, names, strict=True)
        for value in items(row.get(f"{score.key}_each"))
        if words.is_number(value)
    ]
    shown = f"%{{x:.{score.digits}f}}{score.unit}<extra></extra>"
    means = [(name, score.factor * row[score.key]) for row, name in zip(rows, names, strict=True)
             if words.is_number(row.get(score.key))]  # fmt: skip
    seeds = _marks("one seed", each, shown, size=9, color="@residual2", symbol="circle-open", line={"width": 1.6})
    mean = _marks("mean", means, shown, size=18, color="@residual3", symbol="line-ns-open", line={"width": 2.4})
    axes: Facts = {
        "xaxis": {"range": around([value for _, value in each], share=bool(score.unit))},
        # A fixed margin: plotly finds one by drawing repeatedly, and may give up.
        "yaxis": {"type": "category", "autorange": "reversed", "automargin": False, "dtick": 1},
        "margin": {"l": 16 + 7 * max(map(len, names))},
    }
    return charts.plot(score.title, [seeds, mean], height=90 + 44 * len(rows), key=key, **axes)


def _marks(what: str, points: list[tuple[str, float]], shown: str, **marker: Any) -> Facts:
    """A mark at each (name, value)."""
    return {
        "type": "scatter", "mode": "markers", "name": what, "x": [charts.finite(value) for _, value in points],
        "y": [name for name, _ in points], "marker": marker, "hovertemplate": f"<b>%{{y}}</b>, {what}<br>{shown}",
    }  # fmt: skip
