"""Figures by depth: how each block changes its input, and what the model would answer after it."""

from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts
from reslab.report.look.blocks import Block, blocks
from reslab.report.look.charts import NARROW, Plot, bars, curve, ink, level, top_of
from reslab.report.look.effects import same, with_interval
from reslab.report.look.folder import Look
from reslab.report.look.papers import section
from reslab.report.look.words import Metric, findings, median, metrics, numbers, several
from reslab.report.words import GAP, is_number, number

STEPS = (
    ("influence", "block influence, 1 − cos(x, x + F)"),
    ("ratio", "|F| / |x|"),
    ("cosine", "cos(F, ∇L); negative: downhill"),
)


def influence(looks: list[Look]) -> Facts | None:
    """Block influence, relative size and the cosine with the gradient, each by depth."""
    shown = [look for look in looks if dicts(look["influence"].get("merges"))]
    plots = [plot for key, title in STEPS if (plot := steps(shown, key, title))]
    figure = None
    if plots:
        caption = "Each block’s branch output (F) compared with its skip (x), by depth. "
        if len(shown) == 1 and any(block.marked for block in blocks(shown[0])):
            caption += "▼ marks blocks that change the shape; there x is the output of the projection shortcut. "
        caption += "An influence near zero means that the block hardly changes the direction."
        alt = f"{'; '.join(plot['title'] for plot in plots)}, by block. "
        alt += " ".join(map(str, findings(shown, influence_found)))
        figure = charts.figure("influence", plots, alt=alt, caption=caption, stacked=len(shown) == 1)
    found = findings(looks, influence_found)
    return section("influence", "How much each block changes its input", found=found, figures=[figure])


def steps(shown: list[Look], key: str, title: str) -> Plot | None:
    """One measure by block: bars for one model, lines for several."""
    if len(shown) == 1:
        found = [b for b in blocks(shown[0]) if is_number(b.values.get(f"influence:{key}"))]
        return bars(title, found, lambda b: b.values.get(f"influence:{key}"), height=200, margin=NARROW | {"l": 46},
                    yaxis={"automargin": False}) if found else None  # fmt: skip
    data, rows, ends = [], [], []
    for rank, look in enumerate(shown):
        points = [(b.index, b.values.get(f"influence:{key}")) for b in blocks(look)]
        if not numbers([y for _, y in points]):
            continue
        color = ink(rank, len(shown))
        data.append(curve(look.label, points, color, x="block"))
        ends.append((look.label, points[-1][1], color))
        rows += [[look.label, index, charts.finite(y)] for index, y in points]
    if not data:
        return None
    xaxis = {"title": {"text": "block"}}
    legend = {"showlegend": len(data) > 1, "margin": NARROW | {"b": 80}}
    return charts.plot(title, data, height=320, key="block", xaxis=xaxis, **legend) | {
        "rows": [["model", "block", title], *rows]
    }


def influence_found(look: Look) -> list[str]:
    """What the blocks do, in sentences."""
    found = [b for b in blocks(look) if is_number(b.values.get("influence:influence"))]
    if not found:
        return []
    ranked = sorted(found, key=size("influence:influence"))
    sentences = [ranging(ranked)]
    ratios = [b.values.get("influence:ratio") for b in found]
    half = len(found) // 2
    early, late = median(ratios[:half]), median(ratios[half:])
    if early is not None and late is not None:
        how = "less, as in the paper" if late < early else "more, unlike in the paper"
        if number(float(early)) == number(float(late)):
            how = "about as much"
        sentences.append(f"The median of |F| / |x| is {number(early)} in the first half of the blocks and "
                         f"{number(late)} in the second: later blocks change their input {how}.")  # fmt: skip
    cosines = numbers([b.values.get("influence:cosine") for b in found])
    if cosines:
        down = sum(value < 0 for value in cosines)
        sentences.append(f"{down} of {several(len(cosines), 'block')} move along the negative gradient; the mean "
                         f"cosine is {number(sum(cosines) / len(cosines))}.".replace("-", "−"))  # fmt: skip
    return sentences


def ranging(ranked: list[Block]) -> str:
    """The least and the largest influence, with the blocks that have them."""
    key = "influence:influence"
    low, high = ranked[0].values[key] or 0.0, ranked[-1].values[key] or 0.0
    if same(low, high):
        each = "each block" if len(ranked) > 1 else f"block {ranked[0].index}"
        return f"Block influence is {number(low)} for {each}."
    ends = []
    for value in (low, high):
        who = [block.index for block in ranked if same(block.values[key] or 0.0, value)]
        ends.append(f"block {who[0]}" if len(who) == 1 else f"{len(who)} blocks, such as {who[0]}")
    return (
        f"Block influence ranges from {number(low)} ({ends[0]}, the first to remove by this measure) to "
        f"{number(high)} ({ends[1]})."
    )


def size(key: str) -> Any:
    return lambda block: block.values[key]


def readout(looks: list[Look]) -> Facts | None:
    """The answers at every depth, for the first metric and one more."""
    shown = [look for look in looks if dicts(look["readout"].get("depths"))]
    wanted = list(dict.fromkeys(m.key for look in shown for m in metrics(look["readout"])))[:2]
    plots = [plot for key in wanted if (plot := answers(shown, Metric(key)))]
    figure = None
    if plots:
        caption = "At each depth all later blocks are disabled; their shortcuts carry the value to the model’s head. "
        if any(ahead(look) for look in shown):
            caption += "Outlined: projection shortcuts are still ahead, so read these points with care. "
        if any(look["readout"].get("renorm") for look in shown):
            caption += "Batch normalization statistics were measured again at each depth. "
        alt = " ".join(map(str, findings(shown, read_found))) or "Answers by depth."
        figure = charts.figure("readout", plots, alt=f"Curves by depth. {alt}", caption=caption.strip())
    found = findings(looks, read_found)
    return section("readout", "What the model would answer at each depth", found=found, figures=[figure])


def ahead(look: Look) -> list[Any]:
    """The depths with projection shortcuts still ahead."""
    depths = dicts(look["readout"].get("depths"))
    return [d.get("depth") for d in depths if is_number(d.get("projections")) and d["projections"] > 0]


def answers(shown: list[Look], metric: Metric) -> Plot | None:
    data, rows, values = [], [], []
    for rank, look in enumerate(shown):
        depths = dicts(look["readout"].get("depths"))
        points = [(d.get("depth"), metric.of(d.get("values"))) for d in depths]
        if not numbers([y for _, y in points]):
            continue
        color, hollow = ink(rank, len(shown)), set(ahead(look))
        unit = f"{GAP}%" if metric.key == "error" else ""
        line = curve(look.label, points, color, x="after", unit=unit, marks=len(points) <= 130)
        if "marker" in line:
            kept = [x for x, _ in charts.thin(points)]
            line["marker"] = {"size": 7 if len(points) <= 60 else 5, "line": {"color": color, "width": 1.5},
                              "color": ["@paper" if x in hollow else color for x in kept]}  # fmt: skip
        line["hovertemplate"] = line["hovertemplate"].replace("after %{x}", "after %{x} blocks")
        data.append(line)
        rows += [[look.label, d.get("depth"), d.get("module") or "", charts.finite(y)]
                 for d, (_, y) in zip(depths, points, strict=True)]  # fmt: skip
        values += [y for _, y in points]
    if not data:
        return None
    top = top_of(values, percent=metric.key == "error")
    more: Plot = {"showlegend": len(data) > 1, "margin": NARROW | ({"b": 80} if len(data) > 1 else {})}
    if len(data) == 1:
        last = values[-1]
        more |= level(last, f"intact: {metric.text(last)}") if metric.key != "kl" else {}
    plot = charts.plot(metric.title, data, height=320, key="depth", xaxis={"title": {"text": "blocks passed"}},
                       yaxis={"range": top} if top else {}, **more)  # fmt: skip
    return plot | {"rows": [["model", "blocks passed", "the last", metric.title], *rows]}


def read_found(look: Look) -> list[str]:
    """How early the answer is reached, in sentences."""
    metric = next(iter(metrics(look["readout"])), None)
    depths = dicts(look["readout"].get("depths"))
    values = [metric.of(d.get("values")) for d in depths] if metric else []
    first, last = (values[0], values[-1]) if len(values) > 2 else (None, None)
    if metric is None or not is_number(first) or not is_number(last):
        return []
    text = f"Read out before the first block, the {metric.name} is {metric.text(first)}; after all "
    text += f"{len(values) - 1} it is {with_interval(metric, last, look['readout'].get('n'))}."
    if first > last and not same(first, last):
        half = (first + last) / 2
        # The depth from which on it is at most that, not where it first happens to dip.
        place = 1 + max(i for i, y in enumerate(values) if not is_number(y) or y > half)
        part = round(100 * place / (len(values) - 1))
        text += f" After {several(place, 'block')} ({part} % of the depth) or more it is at most the mean of the two."
    return [text]
