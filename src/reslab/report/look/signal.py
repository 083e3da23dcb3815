"""Figures by layer: its response and its gradient, also during training."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, items
from reslab.report.look.charts import NARROW, Plot, curve, ink, log_axis
from reslab.report.look.contrast import contrasts
from reslab.report.look.folder import Look
from reslab.report.look.papers import section
from reslab.report.look.training import along_training, training_found
from reslab.report.look.words import Finding, findings, median, numbers, power, small
from reslab.report.words import is_number, listed, number

Value = Callable[[Facts], Any]
OUTLYING = 12  # times the median: a linear axis up to such a layer would hide the others


def colors(looks: Sequence[Look]) -> dict[str, str]:
    """One color per model: plain nets in one ramp, residual ones in another, from shallow to deep."""
    kinds: dict[bool, list[Look]] = {}
    for look in sorted(looks, key=lambda look: len(look.layers)):
        kinds.setdefault(not look.merges, []).append(look)
    return {
        look.label: ink(rank, len(own), plain=plain) for plain, own in kinds.items() for rank, look in enumerate(own)
    }


def shown(look: Look, verb: str) -> list[Facts]:
    """The layers in the figures: all but shortcuts and the output layer."""
    return [each for each in dicts(look[verb].get("layers")) if not (each.get("shortcut") or each.get("head"))]


def lines(
    looks: Sequence[Look], verb: str, title: str, value: Value, *, log: bool = False, ranked: bool = False,
    fits: bool = False, height: int = 320,
) -> Plot | None:  # fmt: skip
    """One panel, one line per model, by layer in order or sorted from the largest."""
    data, rows, palette = [], [], colors(looks)
    first = 1 if ranked else 0  # layers count from 0, as everywhere; ranks from 1
    for look in looks:
        points = [(value(each), each.get("module") or "") for each in shown(look, verb)]
        points = [(y if is_number(y) and (y > 0 or not log) else None, module) for y, module in points]
        if ranked:
            points = sorted((p for p in points if p[0] is not None), key=lambda p: -p[0])
        if not numbers([y for y, _ in points]):
            continue
        dash = "dash" if not look.merges and len(looks) > 1 else "solid"
        drawn = curve(look.label, [(i, y) for i, (y, _) in enumerate(points, first)], palette[look.label], x="layer",
                      marks=len(points) <= 60 and len(looks) == 1, width=1.8)  # fmt: skip
        drawn["line"]["dash"] = dash
        if drawn["mode"] == "lines+markers":
            drawn["marker"]["size"] = 5
        data.append(drawn)
        rows += [[look.label, i, module, charts.finite(y)] for i, (y, module) in enumerate(points, first)]
        if fits and len(looks) == 1:
            data += fitted(look, verb, title, len(points))
    if not data:
        return None
    scale: Plot = log_axis([y for trace in data for y in trace["y"]]) if log else {"rangemode": "tozero"}
    most = max(len(trace["x"]) and trace["x"][-1] for trace in data)
    axis = {"title": {"text": "layers, sorted" if ranked else "layer"}, "range": [first - most / 50, most * 1.02]}
    named = len(looks) > 1
    plot = charts.plot(title, data, height=height + 40 * named, key="layer", xaxis=axis, yaxis=scale,
                       showlegend=named, margin=NARROW | ({"b": 90} if named else {}))  # fmt: skip
    return plot | {"rows": [["model", "layer", "module", title], *rows]}


def responses(looks: list[Look]) -> Facts | None:
    """Figure 7 of He et al.: standard deviations in layer order and sorted; then those of skip, branch and sum."""
    found = [look for look in looks if shown(look, "responses")]
    std: Value = lambda each: each.get("std")  # noqa: E731
    all_of_them = numbers([std(each) for look in found for each in shown(look, "responses")])
    log = bool(all_of_them) and max(all_of_them) > OUTLYING * statistics.median(all_of_them) > 0
    plots = [lines(found, "responses", "standard deviation, in layer order", std, log=log),
             lines(found, "responses", "standard deviation, sorted", std, log=log, ranked=True)]  # fmt: skip
    figures = []
    if drawn := [plot for plot in plots if plot]:
        caption = "Standard deviation of each layer’s response, after its normalization and before the nonlinearity or "
        caption += "the addition. Left: in the order of the net; right: sorted. Shortcuts and the last layer are "
        caption += "not shown."
        caption += " The axes are logarithmic because a few layers lie far above the rest." if log else ""
        if any(not look.merges for look in found) and len(found) > 1:
            caption += " Dashed: nets without shortcuts."
        alt = f"Curves of the layers' standard deviations. {' '.join(response_found(found))}"
        figures.append(charts.figure("responses", drawn, alt=alt, caption=caption))
    if len(found) == 1 and (sums := merge_figure(found[0])):
        figures.append(sums)
    notes = findings(looks, lambda look: list(map(str, items(look["responses"].get("notes")))))
    sentences = [Finding(sentence) for sentence in response_found(found)]
    return section("responses", "How strongly each layer responds", found=sentences, figures=figures,
                   notes=notes)  # fmt: skip


def response_found(found: Sequence[Look]) -> list[str]:
    """The medians, and whether plain nets have larger and deeper nets smaller responses."""
    medians = {look.label: median([each.get("std") for each in shown(look, "responses")]) for look in found}
    each = [f"{number(value)} in {label}" if len(found) > 1 else number(value) for label, value in medians.items()
            if value is not None]  # fmt: skip
    sentences = [f"The median standard deviation of the layers shown is {listed(each)}."] if each else []
    if len(found) == 1:
        pairs = [(row.get("branch"), row.get("skip")) for row in dicts(found[0]["responses"].get("merges"))]
        ratio = median([branch / skip for branch, skip in pairs if is_number(branch) and is_number(skip) and skip > 0])
        if ratio is not None:
            sentences.append(f"A branch’s output has {number(ratio)} times the standard deviation of the skip it is "
                             "added to (median).")  # fmt: skip
    return [*sentences, *contrasts([(look, value) for look in found if (value := medians[look.label]) is not None])]


def merge_figure(look: Look) -> Facts | None:
    """Standard deviations of the skip, the branch and their sum, by block."""
    rows = dicts(look["responses"].get("merges"))
    parts = {"skip": "@hue6", "branch": "@hue1", "sum": "@hue0"}
    data = []
    for name, color in parts.items():
        points = [(r.get("index"), r.get("out" if name == "sum" else name)) for r in rows]
        if numbers([y for _, y in points]):
            dash = {"skip": "dot", "branch": "solid", "sum": "dash"}[name]
            line = {"color": color, "width": 2, "dash": dash}
            data.append(curve(name, points, color, x="block", marks=False) | {"line": line})
    if not data:
        return None
    axes: Plot = {"xaxis": {"title": {"text": "block"}}, "yaxis": {"rangemode": "tozero"}}
    plot = charts.plot("standard deviation at each residual connection", data, height=300, key="block", showlegend=True,
                       margin=NARROW | {"b": 80}, **axes)  # fmt: skip
    caption = "Standard deviation of the skip (dotted), the branch (solid) and their sum (dashed), by block."
    ends = ", ".join(f"{trace['name']} {number(trace['y'][-1])}" for trace in data)
    alt = f"Standard deviations by block; at the last: {ends}."
    return charts.figure("additions", [plot], alt=alt, caption=caption)


HEALTH = (
    ("activations", "gradient, |∂L/∂a|", lambda each: each.get("activation")),
    ("weights", "gradient, |∂L/∂W| / |W|", lambda each: relative(each)),
    ("signal", "signal, root mean square", lambda each: each.get("signal")),
)


JUDGED = {"activations": "Response gradient", "weights": "Weight gradient", "signal": "Forward signal"}


def relative(each: Facts) -> float | None:
    """Norm of the weights' gradient relative to that of the weights."""
    top, bottom = each.get("weight"), each.get("weight_size")
    return top / bottom if is_number(top) and is_number(bottom) and bottom > 0 else None


def gradients(looks: list[Look]) -> Facts | None:
    """Norms by layer on log axes with verdicts, and during training if those were recorded."""
    found = [look for look in looks if shown(look, "gradients")]
    plots = [plot for _, title, value in HEALTH
             if (plot := lines(found, "gradients", title, value, log=True, fits=True, height=280))]  # fmt: skip
    figures = []
    if plots:
        caption = "By layer, on log axes, in the order of the net: gradients flow from right to left, the signal from "
        caption += "left to right."
        caption += " Dotted: the line fitted for the verdict." if len(found) == 1 else ""
        caption += " Dashed: nets without shortcuts." if len(found) > 1 and any(not k.merges for k in found) else ""
        alt = f"Curves by layer. {' '.join(map(str, findings(found, gradient_found)))}"
        figures.append(charts.figure("gradients", plots, alt=alt, caption=caption))
    if len(looks) == 1 and (along := along_training(looks[0])):
        figures.append(along)
    notes = findings(looks, lambda look: list(map(str, items(look["gradients"].get("notes")))))
    sentences = findings(looks, lambda look: [*gradient_found(look, brief=len(looks) > 1), *training_found(look)])
    return section("gradients", "Gradients and the forward signal", found=sentences, figures=figures, notes=notes)


def fitted(look: Look, verb: str, title: str, layers: int) -> list[Plot]:
    """The line that health.py fitted to the logarithms."""
    key = next(key for key, name, _ in HEALTH if name == title)
    health = look[verb].get(key)
    if not isinstance(health, dict) or not is_number(health.get("slope")) or not is_number(health.get("start")):
        return []
    ends = [(0, health["start"]), (layers - 1, health["start"] + health["slope"] * (layers - 1))]
    if any(abs(y) > 300 for _, y in ends):
        return []
    trace = curve("fitted line", [(x, 10**y) for x, y in ends], "@soft", x="layer", marks=False, width=1.4)
    trace["line"]["dash"] = "dot"
    return [trace | {"hoverinfo": "skip"}]


def gradient_found(look: Look, *, brief: bool = False) -> list[str]:
    """The verdicts on the stored trends, in sentences."""
    result = look["gradients"]
    mode = "training" if result.get("training") else "eval"
    loss = f", where the loss is {small(result['loss'])}" if is_number(result.get("loss")) else ""
    layers = len(shown(look, "gradients"))
    sentences = [
        healthy(what, result[key], layers, brief=brief)
        for key, what in JUDGED.items()
        if isinstance(result.get(key), dict)
    ]
    return [f"Measured in {mode} mode{loss}.", *sentences] if sentences else []


def healthy(what: str, health: Facts, layers: int, *, brief: bool = False) -> str:
    """A trend over the layers as a sentence."""
    verdict, flow = health.get("verdict"), "output" if what == JUDGED["signal"] else "input"
    if verdict == "nothing" or not is_number(health.get("change")):
        return f"{what}: {health.get('words') or 'nothing to judge'}."
    change, ratio, zeros = health["change"], health.get("ratio"), health.get("zeros")
    if brief:
        return f"{what}: {verdict}, a factor of {power(change)} over {layers} layers."
    text = f"{what}: {verdict}. The fitted line changes by a factor of {power(change)} over "
    text += f"{layers} layers towards the {flow}"
    text += f"; the largest is {small(float(ratio))} times the smallest" if is_number(ratio) else ""
    return f"{text}{f'; {zeros} layers have exactly zero' if zeros else ''}."
