"""Reliability diagrams: how often predictions of each confidence are right."""

from typing import Any

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.folder import Facts, dicts


def reliability(
    found: Facts, *, noun: str = "answers", right: str = "match exactly", before: Facts | None = None, how: str = ""
) -> Facts | None:
    """How often test examples of each confidence are right; on the diagonal, confidence matches accuracy.

    `before`: the same of the probabilities before they were calibrated, drawn lighter; `how`: a sentence on it.
    """
    bins = filled(found)
    if not bins or not words.is_number(found.get("ece")):
        return None
    diagonal = {
        "type": "scatter", "mode": "lines", "name": "confidence = accuracy", "x": [0, 100], "y": [0, 100],
        "line": {"color": "@soft", "width": 1, "dash": "dot"}, "hoverinfo": "skip",
    }  # fmt: skip
    drawn = [diagonal]
    if before and filled(before) and words.is_number(before.get("ece")):
        drawn.append(points(before, "before calibration", "@plain1", noun))
        how += f" Orange: before calibration, with an error of {words.percent(100 * before['ece'], 1)}."
    drawn.append(points(found, noun, "@residual2", noun))
    axes = {"xaxis": {"title": {"text": "confidence (%)"}, "range": [0, 100]}, "yaxis": {"range": [0, 100]}}
    plot = charts.plot("right (%)", drawn, height=340, key="confidence", **axes)
    caption = (
        f"How often test {noun} of each confidence {right}. Expected calibration error "
        f"{words.percent(100 * found['ece'], 1)}. On the dotted line, confidence matches accuracy.{how}"
    )
    said = "; ".join(f"{one['n']} {noun} near {100 * one['confidence']:.0f} % are right in "
                     f"{100 * one['accuracy']:.0f} %" for one in bins)  # fmt: skip
    return charts.figure("reliability", [plot], alt=f"Reliability: {said}.", caption=caption, max_width=520)


def filled(found: Facts) -> list[Facts]:
    """The bins of confidence that hold examples."""
    return [one for one in dicts(found.get("bins")) if one.get("n")]


def points(found: Facts, name: str, color: str, noun: str) -> dict[str, Any]:
    """Confidence against accuracy of the bins, with areas by the number of examples."""
    bins = filled(found)
    confidence, accuracy = ([charts.finite(100 * one[key]) for one in bins] for key in ("confidence", "accuracy"))
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": confidence, "y": accuracy,
        "cliponaxis": False,  # room for whole circles at 100 %
        "marker": {"size": [6 + 18 * (one["n"] / (found["n"] or 1)) ** 0.5 for one in bins], "color": color},
        "line": {"color": color, "width": 1.2}, "customdata": [one["n"] for one in bins],
        "hovertemplate": f"confidence %{{x:.1f}} %<br>right %{{y:.1f}} %<br>%{{customdata:,}} {noun}<extra></extra>",
    }  # fmt: skip
