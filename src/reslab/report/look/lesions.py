"""Single lesions: each block disabled alone, and each layer for contrast."""

from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts, facts, items
from reslab.report.look.blocks import Block, blocks, text
from reslab.report.look.charts import bars, level, top_of
from reslab.report.look.folder import Look
from reslab.report.look.papers import section
from reslab.report.look.words import Metric, findings, median, metrics, numbers, several
from reslab.report.words import GAP, is_number, listed, ordinals

NEAR = 5  # points of error: a change that the page counts as small
HARDLY = 0.9  # of the error of guessing: a model with a larger error has little to lose


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
    top = top_of([*values, whole], percent=metric.key == "error")
    title = f"{metric.title} with one {word} disabled"
    title = title if alone else f"{look.label}: {title}"
    plot = bars(title, found, lambda b: metric.value(b.values.get(f"without:{metric.key}")), key=word, unit=unit,
                yaxis={"range": top} if top else {}, **beside)  # fmt: skip
    marks = " ▼ marks blocks that change the shape." if any(block.marked for block in found) else ""
    stages = " Shades mark stages; a stage ends where the shape changes." if len({b.stage for b in found}) > 1 else ""
    line = f" Dashed: the intact model, {metric.text(whole)}." if beside else ""
    what = "disabled alone; its shortcut stays" if word == "block" else "replaced by its input, one at a time"
    caption = f"Each {word} {what}.{line}{marks}{stages}"
    known = [(y, b.index) for b, y in zip(found, values, strict=True) if is_number(y)]
    worst = ", ".join(f"{word} {i} {metric.text(y)}" for y, i in sorted(known, reverse=True)[:3])
    alt = f"Bars of {metric.title} with each of {several(len(found), word)} of {look.label} disabled: intact "
    alt += f"{metric.text(whole)}, median {metric.text(median(values))}; the largest: {worst}."
    return charts.figure(name, [plot], alt=alt, caption=caption)


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


def single_found(look: Look) -> list[str]:
    """What the single lesions show, in sentences."""
    result, measured = look["lesions"], metrics(look["lesions"])
    found = singles(look)
    if not measured or not found:
        return []
    metric, word = measured[0], "block" if look.merges else "layer"
    values = {b.index: metric.value(b.values[f"without:{metric.key}"]) for b in found}
    known = numbers(list(values.values()))
    whole, middle = metric.of(result.get("whole")), median(known)
    first = f"The intact model’s {metric.name} is {metric.text(whole)}; with" if whole else "With"
    noun = "the median" if whole else f"the median {metric.name}"
    sentences = [
        f"{first} one {word} disabled, {noun} is {metric.text(middle)} (range {metric.text(min(known))} to "
        f"{metric.text(max(known))}, {several(len(known), word)})."
    ]
    if metric.key == "error" and whole is not None and whole > HARDLY * (chance(look) or 100):
        return [*sentences, "The intact model is hardly better than chance, so disabling a block can do little harm."]
    if metric.key == "error" and whole is not None:
        near = sum(abs(value - whole) <= NEAR for value in known)
        sentences.append(
            f"For {near} of the {len(known)} {word}s, disabling it changes the error by at most {NEAR} points."
        )
    sentences += [*downsampling(found, values, metric), *inner_found(look, metric, middle, whole)]
    return sentences


def chance(look: Look) -> float | None:
    """The error of guessing in percent, if the number of classes is known."""
    classes = items(look.data.get("classes"))
    return 100 * (1 - 1 / len(classes)) if len(classes) > 1 else None


def downsampling(found: list[Block], values: dict[int, Any], metric: Metric) -> list[str]:
    """Whether the blocks that change the shape hurt most when disabled."""
    ranked = sorted((b for b in found if is_number(values[b.index])), key=lambda b: -values[b.index])
    places = [place for place, block in enumerate(ranked, 1) if block.marked]
    if not places or len(places) == len(ranked):
        return []
    marked = [block for block in ranked if block.marked]
    each = listed([f"block {b.index} ({metric.text(values[b.index])})" for b in marked[:6]])
    if places == list(range(1, len(places) + 1)):
        return [f"The blocks that change the shape hurt most, as in the paper: {each}."]
    are = "they are" if len(places) > 1 else "it is"
    how = "Unlike in the paper, the blocks that change the shape do not stand out"
    if places[-1] <= len(ranked) / 2:
        how = "The blocks that change the shape hurt more than most"
    elif places[0] <= len(places):
        how = "Not all blocks that change the shape stand out"
    return [f"{how}: {each}. Ranked by harm {are} {ordinals(places[:6])} of {len(ranked)}."]


def inner_found(look: Look, metric: Metric, middle: float | None, whole: float | None) -> list[str]:
    """The cost of disabling a layer compared with a block."""
    values = [metric.value(b.values.get(f"without:{metric.key}")) for b in layer_lesions(look)]
    layer = median(values)
    if layer is None or middle is None or whole is None:
        return []
    return [
        f"Disabling a single layer costs {metric.more(layer - whole)} (median of {len(values)}), disabling a block "
        f"{metric.more(middle - whole)}."
    ]
