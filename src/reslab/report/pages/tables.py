"""The page of a net for tables: how good its predictions are, which columns matter, how it was trained."""

from dataclasses import replace
from pathlib import Path

from reslab.report import words
from reslab.report.figures import charts, classes, scores
from reslab.report.figures.columns import importance
from reslab.report.figures.reliability import reliability
from reslab.report.figures.residuals import residuals
from reslab.report.folder import Facts, Run, dicts, facts, items, read_json, read_run
from reslab.report.pages import images

SIZES = ("columns", "categories", "bags", "vectors", "numbers")
CURVES = {
    "classes": "error (%)",
    "labels": "rows with a wrong label (%)",
    "numbers": "variance unexplained (%)",
}


def page(folder: Path) -> Facts:
    """What tabular.html.j2 shows; for an ensemble, with the curves of its first member."""
    members = [folder / str(name) for name in items(read_json(folder / "members.json").get("members"))]
    run = replace(read_run(members[0] if members else folder), folder=folder, label=folder.resolve().name)
    result = read_json(folder / "results" / "train.json")
    stored = sorted((folder / "results").glob("eval-*.json"))
    judged = [one for one in map(read_json, stored) if one.get("main")]
    target = facts(run.data.get("target"))
    kind, main = str(target.get("kind")), str(result.get("main"))
    test = facts(result.get("test"))
    reading = facts(run.data.get("reading"))
    targets = items(reading.get("target"))
    seen = replace(run, train=result, evaluation=confused(result, target))
    figures = [
        errors(run, kind),
        losses(run),
        importance(facts(result.get("importance")), main),
        reliability(facts(test.get("reliability")), noun="rows", right="are right"),
        classes.by_class(seen),
        classes.confusion(seen),
        *residuals(facts(result.get("residuals")), columns=targets),
        images.choice(seen),
    ]
    return {
        "template": "tabular.html.j2",
        "title": f"Predicting {words.listed(targets) if targets else 'a column'}",
        "run": seen,
        "spec": {key: value for key, value in run.spec.items() if key not in SIZES},  # shown in the table of columns
        "net": f"{len(members)} × {run.spec.get('name')}" if members else run.spec.get("name"),
        "kind": kind,
        "main": main,
        "test": test,
        "names": [name for name in scores.NAMES if name in test],
        "most": most_frequent(result),
        "columns": scores.columns(read_json(run_folder(folder, members) / "encoder.json"), run.spec),
        "reading": how_read(reading, facts(result.get("calibration"))),
        "figures": {f["id"]: f for f in figures if f},
        "worst": classes.worst(seen),
        "mistakes": classes.mistakes(seen),
        "members": dicts(result.get("members")),
        "judged": judged,
        "problems": items(result.get("problems")),
        "choice": {key: value for key, value in images.chosen(seen).items() if value not in (None, {}, "")},
        "resumed": [e.get("iteration") for e in run.named("resume")],
        "commands": [f["command"] for f in (result, *judged) if f.get("command")],
    }


def how_read(reading: Facts, calibration: Facts) -> Facts:
    """The source of the test rows, the settings that were given instead of guessed, and how predictions are calibrated.

    Strength: docs/tables.md, "Small tables".
    """
    drawn = f"{words.percent(100 * (reading.get('test') or 0), 0)}, sampled at random (seed {reading.get('split')})"
    known = {
        "test rows": reading.get("test_word") or drawn,
        "kind of target": reading.get("kind"),
        "class weights": reading.get("class_weight"),
        "given column kinds": reading.get("kinds"),
        "given sizes": reading.get("sizes"),
        "text": reading.get("text"),
        "calibrated": f"on {calibration.get('n')} held-out rows, strength {calibration['strength']:.2f}"
        if calibration
        else None,
    }
    return {key: value for key, value in known.items() if value} if reading else {}


def run_folder(folder: Path, members: list[Path]) -> Path:
    return members[0] if members else folder


def confused(result: Facts, target: Facts) -> Facts:
    """What classes.py draws."""
    names = items(facts(target.get("classes")).get("values"))
    return {"confusion": result.get("confusion") or [], "classes": names}


def most_frequent(result: Facts) -> float | None:
    """The accuracy, in percent of the test rows, of always predicting the most frequent class."""
    sums = [sum(row) for row in items(result.get("confusion"))]
    return 100 * max(sums) / sum(sums) if sum(sums) else None


def best(run: Run) -> list[int]:
    """The iteration of the best net, in a list; empty if it is the last one."""
    found = run.train.get("best")
    return [found] if isinstance(found, int) and found != run.train.get("iterations") else []


def errors(run: Run, kind: str) -> Facts | None:
    """Curves of the error: training thin, validation bold."""
    parts = {
        "training": (run.points("train", "error"), "@residual0", 1.1),
        "validation": (run.points("eval", "error", part="validation"), "@residual3", 2.6),
    }
    return curves(run, "errors", CURVES.get(kind, "error (%)"), parts, " %", 340)


def losses(run: Run) -> Facts | None:
    parts = {
        "training": (run.points("train", "loss"), "@residual0", 1.1),
        "validation": (run.points("eval", "loss", part="validation"), "@residual3", 2.6),
    }
    found = curves(run, "losses", "loss", parts, "", 280)
    rates = run.points("train", "lr")
    if found and rates:
        line = charts.line("learning rate", rates, "@ink", width=1.6, unit="")
        plot = charts.plot("learning rate", [line], height=280, key="iteration", xaxis=charts.ITERATION,
                           yaxis={"rangemode": "tozero", "exponentformat": "none"})  # fmt: skip
        found["plots"].append(plot)
        found["caption"] = found["caption"].replace("Loss by", "Loss and learning rate by")
    return found


def curves(run: Run, name: str, title: str, parts: Facts, unit: str, height: int) -> Facts | None:
    """One panel of curves by iteration; a dotted line marks the best net, which was kept."""
    known = {part: found for part, found in parts.items() if found[0]}
    if not known:
        return None
    top = charts.ceiling([points for points, _, _ in known.values()])
    data = [charts.line(part, points, color, width=width, unit=unit) for part, (points, color, width) in known.items()]
    labels = charts.end_labels(
        [(part, p[-1][1], color) for part, (p, color, _) in known.items()], top=top, height=height
    )
    plot = charts.plot(
        title, data, height=height, key="iteration", xaxis=charts.ITERATION, yaxis={"range": [0, top]},
        annotations=labels, margin=charts.room(labels), shapes=charts.drops(best(run)),
    )  # fmt: skip
    said = "; ".join(f"{part} ends at {words.number(float(p[-1][1]))}{unit}" for part, (p, _, _) in known.items())
    noun = title.removesuffix(" (%)").capitalize()
    caption = f"{noun} by iteration. Thin: training (batches as trained); bold: validation rows."
    caption += (
        f" Dotted: best validation error, at iteration {words.count(best(run)[0])}; that net was kept."
        if best(run)
        else ""
    )
    caption += charts.cut_off([points for points, _, _ in known.values()], top)
    return charts.figure(name, [plot], alt=f"Curves of {title} by iteration: {said}.", caption=caption)
