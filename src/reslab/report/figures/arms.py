"""The models of slimming's comparison: the same budget for the intact, the slim and the newly trained net."""

from collections.abc import Sequence
from dataclasses import dataclass

from reslab import statistics
from reslab.report import words
from reslab.report.figures import charts
from reslab.report.figures.comparison import around
from reslab.report.folder import Facts, dicts, facts

NAMES = {
    "intact": "intact",
    "cut": "blocks removed",
    "norms": "BatchNorm averaged",
    "healed": "healed",
    "intact-longer": "intact-longer",
    "scratch": "scratch",
}  # in the order in which they stand; those of the verdict keep their own names
ABOUT = {
    "intact": "the model as it was", "cut": "without the blocks, nothing else",
    "norms": "the same, its BatchNorm statistics averaged anew", "healed": "then trained, the intact model its teacher",
    "intact-longer": "the intact model with the same extra training",
    "scratch": "the small net from random weights, as long as all trainings of healed together",
}  # fmt: skip
MARKS = {  # what: (color, plotly's symbol)
    "intact": ("@ink", "circle"), "cut": ("@plain1", "x"), "norms": ("@plain3", "diamond"),
    "healed": ("@other2", "circle"), "intact-longer": ("@ink", "square-open"), "scratch": ("@hue3", "triangle-up"),
}  # fmt: skip
SMALL = ("cut", "norms", "healed", "scratch")  # of the size after the removal
TITLES = {"error": "test error (%)", "f1": "test F1 (%)", "loss": "test loss (nats)", "exact": "test exact match (%)"}
PERCENT = ("error", "f1", "exact")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One model, or the nets of several seeds: the mean and its 95 % interval."""

    what: str
    values: tuple[float, ...]  # one per seed
    value: float
    low: float | None
    high: float | None
    over: str  # what the interval is over: "3 seeds", "4,000 examples"
    epochs: float
    seconds: float
    more: dict[str, float]

    @property
    def name(self) -> str:
        return NAMES.get(self.what, self.what)


def arms(stored: Facts) -> list[Arm]:
    """The models of results/slim.json, in the order of NAMES."""
    grouped: dict[str, list[Facts]] = {}
    for one in dicts(stored.get("arms")):
        if words.is_number(facts(one.get("score")).get("value")):
            grouped.setdefault(str(one["what"]), []).append(one)
    order = [*NAMES, *(what for what in grouped if what not in NAMES)]
    measure = str(stored.get("measure"))
    return [arm(what, grouped[what], measure) for what in order if what in grouped]


def arm(what: str, rows: list[Facts], measure: str) -> Arm:
    scores = [row["score"] for row in rows]
    values = [score["value"] for score in scores]
    found = statistics.mean_interval(values)
    low, high, n = (scores[0].get(key) for key in ("low", "high", "n"))
    of = f"{len(values)} seeds" if found else f"{words.count(n)} test examples"
    if found:
        low, high = max(found.low, 0.0), min(found.high, 100.0) if measure in PERCENT else found.high
    keys = [key for key in facts(scores[0].get("more")) if all(words.is_number(facts(s.get("more")).get(key))
                                                               for s in scores)]  # fmt: skip
    return Arm(
        what=what, values=tuple(values), value=statistics.mean(values), low=low if words.is_number(low) else None,
        high=high if words.is_number(high) else None, over=of,
        epochs=max((row["epochs"] for row in rows if words.is_number(row.get("epochs"))), default=0.0),
        seconds=sum(row["seconds"] for row in rows if words.is_number(row.get("seconds"))),
        more={key: statistics.mean([score["more"][key] for score in scores]) for key in keys},
    )  # fmt: skip


def digits(measure: str) -> int:
    return 2 if measure in PERCENT else 3


def text(measure: str, value: float | None) -> str:
    """A value of the family's measure, with its unit."""
    if not words.is_number(value):
        return words.NONE
    return words.percent(value) if measure in PERCENT else f"{value:.3f}"


def between(measure: str, low: float | None, high: float | None) -> str:
    """`13.5 to 14.7`, or "" where there is no interval."""
    if not words.is_number(low) or not words.is_number(high):
        return ""
    return f"{low:.{digits(measure)}f} to {high:.{digits(measure)}f}".replace("-", "−")


def dots(found: Sequence[Arm], measure: str) -> Facts | None:
    """A line per model: a ring for every seed, and the mean with its interval.

    Models that were not trained since the removal are far worse, often: they then have a panel to themselves.
    """
    if not found:
        return None
    far = [arm for arm in found if arm.what in ("cut", "norms")]
    near = [arm for arm in found if arm not in far]
    groups = [near, [*(arm for arm in near if arm.what == "intact"), *far]] if apart(near, far) else [list(found)]
    said = "; ".join(f"{arm.name}: {text(measure, arm.value)}" for arm in found)
    many = any(len(arm.values) > 1 for arm in found)
    caption = ("Every ring is one seed, every dot a mean; the bars are 95 % intervals, over seeds where there are "
               "several, else over the test examples." if many
               else "The bars are 95 % intervals over the test examples.")  # fmt: skip
    caption += " The second panel has another scale: it shows what the removal alone does." if len(groups) > 1 else ""
    title = TITLES.get(measure, measure)
    return charts.figure(
        "arms", [panel(group, measure) for group in groups], alt=f"{title} by model. {said}.",
        caption=f"{caption} The axis need not start at 0.", stacked=True,
    )  # fmt: skip


def apart(near: Sequence[Arm], far: Sequence[Arm]) -> bool:
    """Whether one axis would squeeze the trained models."""
    if len(near) < 2 or not far:
        return False
    each = [value for arm in near for value in ends(arm)]
    every = [*each, *(value for arm in far for value in ends(arm))]
    return max(every) - min(every) > 2 * (max(each) - min(each))


def ends(arm: Arm) -> list[float]:
    return [value for value in (*arm.values, arm.value, arm.low, arm.high) if words.is_number(value)]


def panel(found: Sequence[Arm], measure: str) -> Facts:
    """One panel, a line per model."""
    title, unit = TITLES.get(measure, measure), " %" if measure in PERCENT else ""
    rings = [(arm.name, value) for arm in found for value in arm.values if len(arm.values) > 1]
    shown = f"<b>%{{y}}</b><br>%{{x:.{digits(measure)}f}}{unit}<extra></extra>"
    means = {
        "type": "scatter", "mode": "markers", "name": "mean", "x": [charts.finite(arm.value) for arm in found],
        "y": [arm.name for arm in found], "hovertemplate": shown,
        "marker": {"size": 9, "color": [MARKS.get(arm.what, ("@ink", ""))[0] for arm in found]},
        "error_x": {"type": "data", "symmetric": False, "thickness": 1.4, "width": 4, "color": "@soft",
                    "array": [reach(arm.high, arm.value) for arm in found],
                    "arrayminus": [reach(arm.value, arm.low) for arm in found]},
    }  # fmt: skip
    seeds = {
        "type": "scatter", "mode": "markers", "name": "one seed", "x": [charts.finite(value) for _, value in rings],
        "y": [name for name, _ in rings], "hovertemplate": shown,
        "marker": {"size": 8, "color": "@ink", "symbol": "circle-open", "line": {"width": 1.2}},
    }  # fmt: skip
    one = charts.plot(
        title, [means, seeds], key="model", height=90 + 34 * len(found),
        xaxis={"range": around([value for arm in found for value in ends(arm)], share=measure in PERCENT)},
        yaxis={"type": "category", "autorange": "reversed", "automargin": False, "dtick": 1},
        margin={"l": 18 + 7 * max(len(arm.name) for arm in found)},
    )  # fmt: skip
    one["rows"] = [["model", title, "95 % interval", "of"],
                   *([arm.name, charts.finite(arm.value), between(measure, arm.low, arm.high), arm.over]
                     for arm in found)]  # fmt: skip
    return one


def reach(high: float | None, low: float | None) -> float | None:
    """How far a bar goes from one to the other."""
    return charts.finite(max(0.0, high - low)) if words.is_number(high) and words.is_number(low) else None
