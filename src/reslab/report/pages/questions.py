"""The page of a net that answers questions: its scores, its calibration, and its training."""

from pathlib import Path

from reslab.report import words
from reslab.report.figures import charts
from reslab.report.figures.reliability import reliability
from reslab.report.folder import Facts, Run, facts, read_json, read_run
from reslab.report.pages import images

SCORES = {"exact": ("exact match", "@residual3"), "f1": ("F1", "@other2")}


def page(folder: Path) -> Facts:
    """What questions.html.j2 shows."""
    run = read_run(folder)
    judged = [read_json(path) for path in sorted((folder / "results").glob("qa-eval-*.json"))]
    figures = [scores(run), images.losses(run), reliability(facts(run.train.get("reliability"))), images.choice(run)]
    return {
        "template": "questions.html.j2",
        "title": run.train.get("net") or run.spec.get("name") or run.label,
        "run": run,
        "test": facts(run.train.get("test")) or so_far(run),
        "done": bool(run.train),
        "choice": {key: value for key, value in images.chosen(run).items() if value not in (None, {})},
        "figures": {f["id"]: f for f in figures if f},
        "problems": facts(run.train.get("problems")) or facts(run.data.get("problems")),
        "judged": judged,
        "resumed": [e.get("iteration") for e in run.named("resume")],
        "commands": [f["command"] for f in (run.train, *judged) if f.get("command")],
    }


def so_far(run: Run) -> Facts:
    """The last evaluation of an unfinished training."""
    found = [event for event in run.named("eval") if event.get("part") == "test"]
    return found[-1] if found else {}


def scores(run: Run) -> Facts | None:
    """Exact match and F1 of the dev (dashed) and the test part along training."""
    data, ends, last = [], [], 1.0
    for key, (name, color) in SCORES.items():
        for part, look in (("validation", {"width": 1.4, "dash": "dash"}), ("test", {"width": 2.6})):
            points = run.points("eval", key, part=part)
            if not points:
                continue
            label = f"{name}, {'dev' if part == 'validation' else part}"
            trace = charts.line(label, points, color, **look)
            marker = {"size": 5, "color": color}
            data.append(trace | {"mode": "lines+markers", "marker": marker, "cliponaxis": False})
            last = max(last, *(iteration for iteration, _ in points))
            if part == "test":
                ends.append((name, points[-1][1], color))
    if not data:
        return None
    labels = charts.end_labels(ends, top=100, height=340)
    plot = charts.plot(
        "%", data, height=340, key="iteration", xaxis={**charts.ITERATION, "range": [0, last]},
        yaxis={"range": [0, 100]}, annotations=labels, margin=charts.room(labels),
    )  # fmt: skip
    said = "; ".join(f"{name} ends at {words.percent(value)}" for name, value, _ in ends)
    caption = "Exact match and F1 by iteration. Bold: test questions; dashed: dev questions."
    return charts.figure("scores", [plot], alt=f"Curves of exact match and F1 by iteration: {said}.", caption=caption)
