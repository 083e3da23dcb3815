"""Single lesions: each block disabled alone, and each layer for contrast."""

from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, facts
from reslab.report.look.blocks import Block, blocks, text
from reslab.report.look.charts import bars, level, top_of
from reslab.report.look.effects import effects
from reslab.report.look.folder import Look
from reslab.report.look.harm import single_found
from reslab.report.look.papers import section
from reslab.report.look.words import Metric, findings, median, metrics, several
from reslab.report.words import GAP, is_number
from reslab.statistics import Interval


def lesions(looks: list[Look]) -> Facts | None:
    """Every block, and every layer that keeps the shape, disabled alone."""
    found = findings(looks, single_found)
    figures = [figure for look in looks for figure in single_figures(look, alone=len(looks) == 1)]
    drawn = figures if len(looks) == 1 else [beside(figures)]
    return section("lesions", "One block disabled", found=found, figures=drawn)


def singles(look: Look) -> list[Block]:
    """The blocks that were disabled alone, or the layers of a model without merges."""
    metric = metrics(look["lesions"])[:1]
    return [block for block in blocks(look) if metric and is_number(block.values.get(f"without:{metric[0].key}"))]


def layer_lesions(look: Look) -> list[Block]:
    """Layers disabled in a model that has merges, for contrast."""
    if not look.merges:
        return []
    found = []
    for each in dicts(look["lesions"].get("layers")):
        stored = {f"without:{name}": value for name, value in facts(each.get("values")).items()}
        stored |= {f"spread:{name}": value for name, value in facts(each.get("spread")).items()}
        found.append(Block(index=int(each.get("layer") or 0), module=text(each.get("module")), stage=0, shape=(),
                           kind=text(each.get("kind")), depth=0, facts=each, values=stored))  # fmt: skip
    return found


def single_figures(look: Look, *, alone: bool) -> list[Facts]:
    """One panel of bars for the first metric, one for KL, one for layers."""
    measured, figures = metrics(look["lesions"]), []
    if not measured:
        return []
    main, found = measured[0], singles(look)
    word = "block" if look.merges else "layer"
    if found:
        figures.append(bar_figure(look, found, main, f"lesions-{word}s", word, alone=alone))
    if alone and found and main.key == "error" and any(metric.key == "kl" for metric in measured):
        figures.append(bar_figure(look, found, Metric("kl"), f"lesions-{word}s-kl", word, alone=alone))
    if alone and (inner := layer_lesions(look)):
        figures.append(bar_figure(look, inner, main, "lesions-inner", "layer", alone=alone))
    return figures


def bar_figure(look: Look, found: list[Block], metric: Metric, name: str, word: str, *, alone: bool) -> Facts:
    whole = metric.of(look["lesions"].get("whole"))
    values = [metric.value(block.values.get(f"without:{metric.key}")) for block in found]
    unit = f"{GAP}%" if metric.key == "error" else ""
    beside = level(whole, f"intact: {metric.text(whole)}") if metric.key in ("error", "loss") else {}
    spans = {effect.block.index: effect.span for effect in effects(look, found, metric) if effect.span}
    highest = [span.high for span in spans.values()]
    top = top_of([*values, whole, *highest], percent=metric.key == "error")
    title = f"{metric.title} with one {word} disabled"
    title = title if alone else f"{look.label}: {title}"
    plot = bars(title, found, lambda b: metric.value(b.values.get(f"without:{metric.key}")), key=word, unit=unit,
                yaxis={"range": top} if top else {}, **beside)  # fmt: skip
    if spans:
        whiskers(plot, found, values, spans)
    marks = " ▼ marks blocks that change the shape." if any(block.marked for block in found) else ""
    stages = " Shades mark stages; a stage ends where the shape changes." if len({b.stage for b in found}) > 1 else ""
    line = f" Dashed: the intact model, {metric.text(whole)}." if beside else ""
    what = "disabled alone; its shortcut stays" if word == "block" else "replaced by its input, one at a time"
    thin = f" Thin lines: 95{GAP}% intervals of the difference from the intact model." if spans else ""
    caption = f"Each {word} {what}.{line}{thin}{marks}{stages}"
    known = [(y, b.index) for b, y in zip(found, values, strict=True) if is_number(y)]
    worst = ", ".join(f"{word} {i} {metric.text(y)}" for y, i in sorted(known, reverse=True)[:3])
    alt = f"Bars of {metric.title} with each of {several(len(found), word)} of {look.label} disabled: intact "
    alt += f"{metric.text(whole)}, median {metric.text(median(values))}; the largest: {worst}."
    return charts.figure(name, [plot], alt=alt, caption=caption)


def whiskers(plot: Facts, found: list[Block], values: list[Any], spans: dict[int, Interval]) -> None:
    """Add each bar's interval to the bars and to the numbers behind them."""
    known = [(y, spans.get(block.index)) for block, y in zip(found, values, strict=True)]
    sides = [(span.high - y, y - span.low) if span and is_number(y) else (None, None) for y, span in known]
    plot["data"][0]["error_y"] = {
        "type": "data", "symmetric": False, "array": [charts.finite(up) for up, _ in sides],
        "arrayminus": [charts.finite(down) for _, down in sides], "color": "@ink", "thickness": 1, "width": 0,
    }  # fmt: skip
    plot["rows"][0] += ["lower end", "upper end"]
    for row, (_, span) in zip(plot["rows"][1:], known, strict=True):
        row += [charts.finite(span.low), charts.finite(span.high)] if span else [None, None]


def beside(figures: list[Facts]) -> Facts | None:
    """Several models' bars as panels of one figure, on one axis."""
    if not figures:
        return None
    plots = [figure["plots"][0] for figure in figures]
    tops = [plot["layout"]["yaxis"]["range"][1] for plot in plots if "range" in plot["layout"]["yaxis"]]
    for plot in plots:
        plot["layout"]["yaxis"] = {"range": [0, max(tops)]} if tops else {}
    alt = " ".join(figure["alt"] for figure in figures)
    caption = "Each block disabled alone; in nets without shortcuts, each layer that keeps the shape is replaced by "
    caption += "its input. Dashed: the intact model. ▼ marks blocks that change the shape."
    return charts.figure("lesions", plots, alt=alt, caption=caption)
