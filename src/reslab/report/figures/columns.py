"""Column importance: how much shuffling each column costs, and the net's mean masks."""

from collections.abc import Sequence
from typing import Any

from reslab.report import words
from reslab.report.figures import charts, scores
from reslab.report.folder import Facts

LISTED = 30  # columns drawn; the numbers under the figure list them all


def importance(found: Facts, main: str) -> Facts | None:
    """Bars of the permutation drop with its spread, the most important on top, and the masks beside them."""
    ranked = scores.ranked(found)
    if not ranked:
        return None
    share, name = main in scores.SHARES, scores.name_of(main)
    factor, unit = (100, " points") if share else (1, "")
    shown = ranked[:LISTED][::-1]  # plotly stacks upward
    title = f"{name} lost by shuffling (points)" if share else f"{name} added by shuffling"
    spread = [factor * sd if words.is_number(sd := one.get("permutation_std")) else None for one in ranked]
    plots = [bars(title, shown, [factor * one["permutation"] for one in shown], "@residual2", unit,
                  spread=spread[:LISTED][::-1] if any(spread) else None)]  # fmt: skip
    masked = any(words.is_number(one.get("mask")) for one in ranked)
    if masked:
        plots.append(bars("mean mask", shown, [one.get("mask") for one in shown], "@other1", ""))
    plots[0]["rows"] = [["column", title, "±"], *(
        [one["column"], charts.finite(factor * one["permutation"]), charts.finite(sd)]
        for one, sd in zip(ranked, spread, strict=True)
    )]  # fmt: skip
    if masked:
        plots[1]["rows"] = [
            ["column", "mean mask"],
            *([one["column"], charts.finite(one.get("mask"))] for one in ranked),
        ]
    repeats = found.get("repeats")
    shuffles = "one shuffle" if repeats == 1 else f"mean and standard deviation of {repeats} shuffles"
    caption = (
        f"How much the test rows' {name} {'falls' if share else 'rises'} when a column's values are shuffled among "
        f"{words.count(found.get('rows'))} rows: {shuffles}. "
        "If two columns carry the same information, neither looks important."
    )
    if masked:
        caption += " Mean mask: how much of each column the net lets in, from 0 to 1, averaged over rows and layers."
    if len(ranked) > LISTED:
        caption += f" Shown: the first {LISTED} of {len(ranked)} columns; the numbers below list them all."
    top = "; ".join(f"{one['column']} {scores.loss_text(main, one['permutation'])}" for one in ranked[:5])
    return charts.figure("importance", plots, alt=f"Which columns mattered. The first: {top}.", caption=caption)


def bars(
    title: str, shown: list[Facts], values: list[Any], color: str, unit: str, *,
    spread: Sequence[float | None] | None = None,
) -> Facts:  # fmt: skip
    """One panel, with positions instead of categories: plotly reads a column named 3 as the third."""
    names = [str(one["column"]) for one in shown]
    trace: Facts = {
        "type": "bar", "orientation": "h", "name": title, "y": list(range(len(shown))),
        "x": [charts.finite(value) for value in values], "marker": {"color": color}, "names": names,
        "customdata": [[name, charts.finite(sd)] for name, sd in zip(names, spread or [0] * len(names), strict=True)],
        "hovertemplate": f"<b>%{{customdata[0]}}</b><br>%{{x:,.3~r}}{unit}<extra></extra>",
    }  # fmt: skip
    if spread is not None:
        trace["error_x"] = {"type": "data", "array": [charts.finite(sd) for sd in spread], "color": "@ink",
                            "thickness": 1.2, "width": 3}  # fmt: skip
        trace["hovertemplate"] = (
            f"<b>%{{customdata[0]}}</b><br>%{{x:,.3~r}} ± %{{customdata[1]:,.2~r}}{unit}<extra></extra>"
        )
    ticks: Facts = {"tickvals": list(range(len(names))), "ticktext": [charts.clipped(name) for name in names]}
    axes: Facts = {
        "yaxis": {"showgrid": False, "range": [-0.6, len(names) - 0.4], **ticks},
        "xaxis": {"showgrid": True, "rangemode": "tozero", "nticks": 5},
    }
    size: Facts = {"height": 84 + 24 * len(names), "margin": {"l": 8, "r": 16, "b": 36}}
    return charts.plot(title, [trace], key="column", bargap=0.3, **size, **axes)
