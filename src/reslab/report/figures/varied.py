"""Error by a varied key: one panel a key, one line for each combination of everything else."""

from collections.abc import Sequence
from typing import Any

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts

WIDE = 8  # from this ratio of the largest to the smallest value on, the axis is logarithmic


def panels(table: Sequence[Facts], keys: Sequence[str], *, measure: str, title: str) -> Facts | None:
    """`measure`_mean of the rows by each key that has several values, with one standard deviation as a bar."""
    rows = [row for row in table if words.is_number(row.get(f"{measure}_mean"))]
    several = [key for key in keys if len({str(row.get(key)) for row in rows}) > 1]
    plots = [panel(rows, key, [one for one in keys if one != key], measure=measure, title=title) for key in several]
    if not plots:
        return None
    said = [f"{name_of(row, keys)}: {words.plus_minus(row[f'{measure}_mean'], row.get(f'{measure}_std'))} %"
            for row in rows]  # fmt: skip
    caption = (
        f"{title.removesuffix(' (%)').capitalize()} by each varied key; a line joins trainings that differ in it alone."
    )
    if any(words.is_number(row.get(f"{measure}_std")) for row in rows):
        caption += " Bars: one standard deviation over seeds."
    return charts.figure(
        measure, plots, alt=f"{title}. {'; '.join(said)}.", caption=f"{caption} Axes need not start at 0."
    )


def panel(rows: Sequence[Facts], key: str, others: Sequence[str], *, measure: str, title: str) -> Facts:
    lines: dict[str, list[Facts]] = {}
    for row in rows:
        if row.get(key) is not None:
            lines.setdefault(name_of(row, others) or "all", []).append(row)
    values = list(dict.fromkeys(row[key] for own in lines.values() for row in own))
    numeric = all(words.is_number(value) for value in values)
    data, ends = [], []
    for k, (name, own) in enumerate(lines.items()):
        color = f"@hue{k}" if len(lines) <= charts.HUES else "@soft"
        own = sorted(own, key=lambda row: row[key]) if numeric else own
        data.append(trace(name, own, key, color, measure=measure))
        ends.append((", ".join(words.plain(own[0][one]) for one in others if own[0].get(one) is not None),
                     own[-1][f"{measure}_mean"], color))  # fmt: skip
    low = min(row[f"{measure}_mean"] - (row.get(f"{measure}_std") or 0) for row in rows)
    high = max(row[f"{measure}_mean"] + (row.get(f"{measure}_std") or 0) for row in rows)
    room = 0.08 * (high - low) or 0.5
    low, high = max(0.0, round(low - room, 3)), round(high + room, 3)
    axes: Facts = {"xaxis": axis(values, numeric=numeric, key=key), "yaxis": {"range": [low, high]}}
    if 1 < len(lines) <= charts.HUES:
        labels = charts.end_labels([(text, y - low, color) for text, y, color in ends], top=high - low, height=300)
        axes["annotations"] = [{**label, "y": label["y"] + low} for label in labels]
        axes["margin"] = charts.room(labels)
    return charts.plot(f"{title}, by {key.replace('_', ' ')}", data, height=300, key=key, **axes)


def trace(name: str, rows: Sequence[Facts], key: str, color: str, *, measure: str) -> Facts:
    points = [
        (row[key] if words.is_number(row[key]) else words.plain(row[key]), row[f"{measure}_mean"]) for row in rows
    ]
    return charts.line(name, points, color, width=1.5) | {
        "mode": "lines+markers", "cliponaxis": False, "marker": {"size": 8, "color": color},
        "error_y": {"array": [charts.finite(row.get(f"{measure}_std")) for row in rows], "color": color, "width": 3},
        "hovertemplate": f"<b>%{{fullData.name}}</b><br>{key} %{{x}}: %{{y:.2f}} %<extra></extra>",
    }  # fmt: skip


def axis(values: Sequence[Any], *, numeric: bool, key: str) -> Facts:
    title: Facts = {"title": {"text": key.replace("_", " ")}}
    if not numeric:
        return {**title, "type": "category"}
    wide = min(values) > 0 and max(values) > WIDE * min(values)
    return {**title, "tickvals": sorted(values), "ticktext": [f"{one:g}" for one in sorted(values)],
            "type": "log" if wide else "linear", "showgrid": False}  # fmt: skip


def name_of(row: Facts, keys: Sequence[str]) -> str:
    """resnet20, shortcut B, lr 0.1."""
    return ", ".join(str(row[key]) if key in ("net", "family") else f"{key} {words.plain(row[key])}"
                     for key in keys if row.get(key) is not None)  # fmt: skip
