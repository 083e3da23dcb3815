"""The page of a study: verdicts, curves by kind and depth, the final table.

The keys are those of the degradation study. A section whose keys are missing is omitted, so a study with other keys
still gets a page.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reslab.errors import one_line
from reslab.report import words
from reslab.report.figures import charts, claims, grid
from reslab.report.folder import Facts, dicts, facts, items, read_json
from reslab.report.look.study import look_inside
from reslab.stored.files import present

RAMPS = {"plain": "plain", "residual": "residual"}  # any other kind is drawn green
FOUND = {
    "degradation": {
        "text": "Plain nets of 20, 32, 44 and 56 layers train worse the deeper they are, on CIFAR-10; residual nets "
        "of the same depths train better the deeper they are (section 4.2, Figure 6).",
        "source": "He, Zhang, Ren and Sun, “Deep Residual Learning for Image Recognition”, 2015",
        "link": "https://arxiv.org/abs/1512.03385",
    },
    "identity": {
        "text": "It measured no such fits. It argues from the degradation problem that solvers may find it hard to "
        "approximate the identity by several nonlinear layers, and that with a shortcut they need only push the "
        "layers' weights to zero (section 3.1).",
        "source": "He, Zhang, Ren and Sun, “Deep Residual Learning for Image Recognition”, 2015",
        "link": "https://arxiv.org/abs/1512.03385",
    },
}


def page(folder: Path) -> Facts:
    """What study.html.j2 shows."""
    study = read_json(folder / "study.json")
    curves, rows = dicts(study.get("curves")), dicts(study.get("table"))
    runs = dicts(study.get("runs"))
    look = look_inside(folder, runs, classes=len(items(facts(study.get("data")).get("classes"))))
    inside = [figure for section in look["sections"] for figure in section["figures"]] if look else []
    own = [f for k, one in enumerate(dicts(study.get("figures"))) if (f := claims.figure(f"own{k}", one))]
    figures = [f for f in (_curves(curves, items(study.get("drops"))), _by_depth(rows), *own, *inside) if f]
    return {
        "template": "study.html.j2",
        "title": study.get("title") or study.get("study") or folder.resolve().name,
        "study": study,
        "found": FOUND.get(str(study.get("study"))),
        "look": look,
        "verdicts": dicts(study.get("verdicts")),
        "caveats": [c for c in items(study.get("caveats")) if isinstance(c, str)],
        "figures": {f["id"]: f for f in figures},
        "own": own,
        "table": grid.of(rows),
        "runs": grid.of(runs),
        "seeds": len({r["seed"] for r in runs if "seed" in r}) or len(items(study.get("seeds"))),
        "commands": [study["command"]] if study.get("command") else [],
        "claims": claims_beside(folder),
    }


def claims_beside(folder: Path) -> list[Facts]:
    """The drawn pages of `reslab claims` in folders beside this one, each with its address from the study's page."""
    found = sorted(folder.resolve().parent.glob("claims*/results/claims.json"))
    homes = [path.parents[1] for path in found if present(path.parents[1] / "report.html")]
    return [{"name": one_line(home.name), "href": f"../{quote(os.fsencode(home.name))}/report.html"} for home in homes]


def _curves(curves: list[Facts], drops: list[Any]) -> Facts | None:
    """Figures 4 and 6 of He et al. 2015: one panel per kind, one shade per depth, training thin, test bold."""
    curves = [c for c in curves if c.get("train") or c.get("test")]
    if not curves:
        return None
    every = [c[part] for c in curves for part in ("train", "test") if c.get(part)]
    top = charts.ceiling(every)
    kinds: dict[str, dict[str, list[Facts]]] = {}  # kind -> net -> one curve per seed
    for curve in sorted(curves, key=lambda c: c.get("depth") or 0):
        kinds.setdefault(str(curve.get("kind", "all")), {}).setdefault(str(curve.get("net")), []).append(curve)
    ordered = sorted(kinds.items(), key=lambda item: item[0] != "plain")
    plots = [_panel(kind, nets, top=top, drops=drops) for kind, nets in ordered]
    seeds = max(len(c) for nets in kinds.values() for c in nets.values())
    caption = "Error by iteration; each shade is one net. Thin: training error; bold: test error. "
    if seeds > 1:
        caption += f"Lines are means over up to {seeds} seeds; bands span the lowest to the highest seed. "
    if drops:
        caption += f"Dotted: the learning rate drops, at iteration {words.listed(drops)}. "
    if any(words.is_number(y) and y > top for points in every for _, y in points):
        caption += f"The axis ends at {top:g}{words.GAP}%; the first iterations lie above it."
    alt = " ".join(_alt(kind, nets) for kind, nets in ordered)
    return charts.figure("curves", plots, alt=f"Curves of error by iteration. {alt}", caption=caption)


def _panel(kind: str, nets: dict[str, list[Facts]], *, top: float, drops: list[Any]) -> charts.Plot:
    lines: list[charts.Plot] = []
    bands: list[charts.Plot] = []
    ends = []
    for rank, (net, curves) in enumerate(nets.items()):
        color = charts.shade(RAMPS.get(kind, "other"), rank, len(nets))
        last: Any = None
        for part, width in (("train", 1.1), ("test", 2.6)):
            name = f"{net}, {part}"
            mean, spread = _over_seeds([c[part] for c in curves if c.get(part)])
            if spread:
                bands += charts.band(name, spread, color)
            if mean:
                lines.append(charts.line(name, mean, color, width=width))
                last = mean[-1][1]
        ends.append((str(curves[0].get("depth") or net), last, color))
    title = f"{kind} nets, error (%)" if kind != "all" else "error (%)"
    labels = charts.end_labels(ends, top=top, height=360)
    axes = {"xaxis": charts.ITERATION, "yaxis": {"range": [0, top]}}
    more = {"shapes": charts.drops(drops), "annotations": labels, "margin": charts.room(labels)}
    return charts.plot(title, bands + lines, height=360, key="iteration", **axes, **more)


def _over_seeds(seeds: list[list[Any]]) -> tuple[list[Any], list[Any]]:
    """(iteration, mean) and, for two seeds or more, (iteration, lowest, highest), where every seed has a value."""
    seen = [{x: y for x, y in points if words.is_number(y)} for points in seeds]
    shared = sorted(set.intersection(*map(set, seen))) if seen else []
    values = [(x, [s[x] for s in seen]) for x in shared]
    mean = [(x, sum(v) / len(v)) for x, v in values]
    return mean, [(x, min(v), max(v)) for x, v in values] if len(seen) > 1 else []


def _alt(kind: str, nets: dict[str, list[Facts]]) -> str:
    said = []
    for net, curves in nets.items():
        ends = [
            f"{part} error {words.percent(mean[-1][1])}"
            for part in ("train", "test")
            if (mean := _over_seeds([c[part] for c in curves if c.get(part)])[0])
        ]
        said.append(f"{net} ends at {' and '.join(ends)}")
    return f"{kind.capitalize()} nets: {'; '.join(said)}."


def _by_depth(rows: list[Facts]) -> Facts | None:
    """Final error by depth, one line per kind: the degradation problem in two small panels."""
    columns = [("train_eval", "training error, final weights (%)"), ("test", "test error (%)")]
    if not any(words.is_number(r.get("train_eval_mean")) for r in rows):
        columns[0] = ("train", "training error, last epoch (%)")
    plots = [p for key, title in columns if (p := _dots(rows, key, title))]
    if not plots:
        return None
    depths = sorted({r["depth"] for r in rows if words.is_number(r.get("depth"))})
    said = [
        f"{r.get('net')}: {title.removesuffix(' (%)')} {words.plus_minus(r[f'{key}_mean'], r.get(f'{key}_std'))} %"
        for key, title in columns
        for r in rows
        if words.is_number(r.get(f"{key}_mean"))
    ]
    caption = f"Final error by depth ({words.listed(depths)} layers)."
    if any(words.is_number(r.get(f"{key}_std")) for key, _ in columns for r in rows):
        caption += " Bars: one standard deviation over seeds."
    return charts.figure("depth", plots, alt=f"Final error by depth. {'; '.join(said)}.", caption=caption)


def _dots(rows: list[Facts], key: str, title: str) -> charts.Plot | None:
    rows = [r for r in rows if words.is_number(r.get("depth")) and words.is_number(r.get(f"{key}_mean"))]
    if not rows:
        return None
    kinds = sorted({str(r.get("kind", "all")) for r in rows}, key=lambda k: k != "plain")
    top = charts.rounded(max(r[f"{key}_mean"] + (r.get(f"{key}_std") or 0) for r in rows) * 1.04)
    data, ends = [], []
    for kind in kinds:
        own = sorted((r for r in rows if str(r.get("kind", "all")) == kind), key=lambda r: r["depth"])
        color = f"@{RAMPS.get(kind, 'other')}2"
        trace = charts.line(kind, [(r["depth"], r[f"{key}_mean"]) for r in own], color, width=1.5)
        trace |= {
            "mode": "lines+markers",
            "cliponaxis": False,
            "marker": {"size": 8, "color": color, "symbol": "square" if kind == "plain" else "circle"},
            "error_y": {"array": [charts.finite(r.get(f"{key}_std")) for r in own], "color": color, "width": 0},
            "hovertemplate": "<b>%{fullData.name}</b>, %{x} layers<br>%{y:.2f} %<extra></extra>",
        }
        data.append(trace)
        ends.append((kind, own[-1][f"{key}_mean"], color))
    depths = sorted({r["depth"] for r in rows})
    wide = depths[-1] > 8 * depths[0]  # 20 to 1202 layers: only a log axis separates the shallow ones
    xaxis = {"tickvals": depths, "title": {"text": "layers"}, "type": "log" if wide else "linear", "showgrid": False}
    labels = charts.end_labels(ends, top=top, height=280)
    more = {"annotations": labels, "margin": charts.room(labels), "yaxis": {"range": [0, top]}}
    return charts.plot(title, data, height=280, key="layers", xaxis=xaxis, **more)
