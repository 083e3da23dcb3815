"""Path lengths: how many paths, the gradient of one path, and the exact gradient of all paths of a length."""

from typing import Any

from reslab.report.figures import charts
from reslab.report.folder import Facts, items
from reslab.report.look.charts import NARROW, Plot, curve, ink, log_axis, shaded
from reslab.report.look.effects import same
from reslab.report.look.folder import Look
from reslab.report.look.papers import ADDITIVE, section
from reslab.report.look.words import findings, large, numbers, power, small, trend
from reslab.report.words import GAP, is_number, listed, percent

BARS = 80  # more lengths than these are drawn as a filled line
FEW = 20  # sampled paths per length: below, the estimate is rough
COMMON = (0.025, 0.975)  # between these quantiles lie the lengths of 95 % of all paths


def paths(looks: list[Look]) -> Facts | None:
    """As published: count, norm, product; and exact: the gradient of all paths of each length."""
    shown = [look for look in looks if counts(look)]
    found = findings(looks, lambda look: paths_found(look) if look in shown else [])
    figures = [draw(look, alone=len(looks) == 1) for look in shown for draw in (published, exact)]
    return section("paths", "Paths, by length", found=found, figures=figures, remark=ADDITIVE)


def counts(look: Look) -> list[int]:
    """Number of paths of each length; these integers may be too large for a float."""
    found = items(look["paths"].get("counts"))
    return found if found and all(isinstance(n, int) and n >= 0 for n in found) and sum(found) else []


def shares(look: Look) -> list[float]:
    """In percent of all paths."""
    found = counts(look)
    return [100 * (count / sum(found)) for count in found]


def panel(title: str, values: list[Any], color: str, *, unit: str = "", log: bool = False, **more: Any) -> Plot:
    """One measure by path length."""
    points = [(k, y if not log or (is_number(y) and y > 0) else None) for k, y in enumerate(values)]
    if log or len(values) > BARS:
        trace = curve(title, points, color, x="length", unit=unit) | ({} if log else {"fill": "tozeroy"})
    else:
        hover = f"<b>length %{{x}}</b><br>%{{y:,.4~r}}{unit}<extra></extra>"
        trace = {"type": "bar", "name": title, "x": [k for k, _ in points], "y": [charts.finite(y) for _, y in points],
                 "marker": {"color": color}, "hovertemplate": hover}  # fmt: skip
    axis = {"title": {"text": "blocks on the path"}, "range": [-0.7, len(values) - 0.3]}
    scale = log_axis(values) if log else {}
    return charts.plot(title, [trace], height=250, key="length", bargap=0.15, xaxis=axis, yaxis=scale, margin=NARROW,
                       **more)  # fmt: skip


def published(look: Look, *, alone: bool) -> Facts | None:
    """Figure 6 of Veit et al.: the number of paths, the gradient of one path, and their product."""
    result, color = look["paths"], ink(0, 1)
    sampled, product = numbers(items(result.get("sampled"))), items(result.get("product"))
    span = shaded(result.get("effective"), "95 %")
    plots = [panel("share of all paths (%)", shares(look), color, unit=f"{GAP}%", **span)]
    if sampled:
        plots.append(panel("norm of one path’s gradient", items(result["sampled"]), color, log=True))
        total = sum(numbers(product))
        part = [100 * (y / total) if is_number(y) and total > 0 else None for y in product]
        plots.append(panel("count × norm (% of its sum)", part, color, unit=f"{GAP}%", **span))
    caption = "Number of paths of each length" if alone else f"{look.label}: paths of each length"
    if sampled:
        few = result.get("sampled_paths")
        caption += "; the norm of the gradient through one path (log axis), estimated from "
        caption += f"{few} sampled paths per length"
        caption += " (so few that its steps and spikes are mostly noise)" if is_number(few) and few < FEW else ""
        caption += "; and their product. Shaded: the "
        caption += "shortest range of lengths that holds 95 % of the product"
    alt = f"{look.label} has {large(sum(counts(look)))} paths of lengths 0 to {len(counts(look)) - 1}."
    if sampled and is_number((result.get("effective") or [None])[0]):
        low, high = result["effective"]
        alt += f" 95 % of count times norm lies at lengths {low} to {high}."
    name = "paths-published" if alone else f"paths-published-{slug(look)}"
    return charts.figure(name, plots, alt=alt, caption=f"{caption}.")


def exact(look: Look, *, alone: bool) -> Facts | None:
    """|G_k|, cancellation included, and its share of the gradient."""
    result, color = look["paths"], "@other2"
    norms, share = items(result.get("exact")), items(result.get("share"))
    span = result.get("effective_exact")
    plots = []
    if numbers(norms):
        plots.append(panel("|G|: sum over all paths of a length", norms, color, **shaded(span, "95 %")))
    if numbers(share):
        percents = [100 * y if is_number(y) else None for y in share]
        plots.append(panel("share of the gradient (%)", percents, color, unit=f"{GAP}%", **shaded(span, "")))
    if not plots:
        return None
    caption = "Exact, including cancellation" if alone else f"{look.label}, exact, including cancellation"
    caption += ": norm of the summed gradient over all paths of each length, "
    caption += "and its share of the full gradient, ⟨G_k, G⟩ / ⟨G, G⟩. The shares of all lengths sum to 100 %. "
    caption += "Shaded: the shortest range of lengths that holds 95 % of the norms."
    most = max(range(len(norms)), key=lambda k: norms[k] if is_number(norms[k]) else -1) if numbers(norms) else 0
    alt = f"Exact path spectrum of {look.label}: the norm is largest at length {most}; "
    alt += f"all lengths sum to the gradient with a relative deviation of {small(result.get('deviation'))}."
    name = "paths-exact" if alone else f"paths-exact-{slug(look)}"
    return charts.figure(name, plots, alt=alt, caption=caption)


def slug(look: Look) -> str:
    """A valid HTML id from any model's name."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in look.label)[:40]


def quantile(parts: list[float], level: float) -> int:
    """The length that this share of all paths does not exceed."""
    held = 0.0
    for k, part in enumerate(parts):
        held += part
        if held >= 100 * level:
            return k
    return len(parts) - 1


def paths_found(look: Look) -> list[str]:
    """What the paths show, in sentences."""
    result, parts = look["paths"], shares(look)
    n = len(parts) - 1
    low, high = (quantile(parts, level) for level in COMMON)
    sentences = [f"{large(sum(counts(look)))} paths of 0 to {n} blocks; 95 % of them have {low} to {high} blocks."]
    slope = trend(list(enumerate(items(result.get("sampled")))))
    if slope:
        way = f"{'falls' if slope[0] < 0 else 'grows'} by a factor of {power(abs(slope[0]))}"
        if abs(slope[0]) <= slope[2]:
            way = f"is not shown to fall or to grow (a factor of {power(abs(slope[0]))}, within its 95{GAP}% interval)"
        sentences.append(f"With each additional block the gradient of one path {way} (fitted over all lengths).")
    for key, what in (("effective_exact", "the exact norms |G|"), ("effective", "count × norm")):
        span, share = items(result.get(key)), result.get(f"{key}_share")
        if len(span) == 2 and is_number(share):
            sentences.append(f"95 % of {what} comes from lengths {span[0]} to {span[1]} ({rare(100 * share)} of all "
                        "paths).")  # fmt: skip
    share = items(result.get("share"))
    if top := largest(share):
        each = listed([f"{k} ({percent(100 * y, 0)})" for y, k in sorted(top, key=lambda pair: pair[1])])
        flow = "shares of the gradient flow" if len(top) > 1 else "share of the gradient flows"
        sentences.append(f"The largest {flow} through paths of length {each}.")
        if any(value < -0.005 for value in numbers(share)):
            sentences.append("Some lengths work against the gradient: their share is negative.")
    if is_number(flat := result.get("flat")) and flat:
        sentences.append(f"{flat} of {result.get('n')} samples have no gradient and are not counted in the shares.")
    if is_number(result.get("deviation")):
        sentences.append(
            f"The gradients of all lengths add up to the full gradient with a relative deviation of "
            f"{small(result['deviation'])}, over {result.get('n')} samples."
        )
    return sentences


def largest(share: list[Any]) -> list[tuple[float, int]]:
    """The three largest shares with their lengths; fewer if others equal the third, none if all are equal."""
    ranked = sorted(((y, k) for k, y in enumerate(share) if is_number(y)), reverse=True)
    rest = ranked[3:4]
    return [(y, k) for y, k in ranked[:3] if not rest or (y > rest[0][0] and not same(y, rest[0][0]))]


def rare(value: float) -> str:
    """A percentage with enough digits not to show as zero."""
    return percent(value, 2) if value >= 0.01 or value == 0 else f"{value:.2g}{GAP}%"
