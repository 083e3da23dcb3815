"""The page that compares heads: one point per seed, and the table."""

from pathlib import Path

from reslab.report import words
from reslab.report.figures.comparison import Score, dots, table
from reslab.report.folder import Facts, dicts, facts, read_json

SCORES = (Score("exact", "exact match (%)", unit=" %"), Score("f1", "F1 (%)", unit=" %"))
COLUMNS: dict[str, str | Score] = {
    "head_parameters": "head parameters", **{score.key: score for score in SCORES},
    "ece": Score("ece", "calibration error (%)", factor=100), "step_milliseconds": "ms/step", "lr": "learning rate",
    "seeds": "seeds",
}  # fmt: skip


def page(folder: Path) -> Facts:
    """What heads.html.j2 shows."""
    found = read_json(folder / "results" / "compare.json")
    rows = [row for row in dicts(found.get("heads")) if words.is_number(row.get("f1"))]
    about = "Exact match and F1 on the test questions."
    figure = dots(rows, SCORES, name="head", id="heads", about=about)
    frozen = found.get("train_last") == 0
    return {
        "template": "heads.html.j2",
        "title": f"Heads compared ({'frozen' if frozen else 'fine-tuned'} encoder)",
        "found": found,
        "encoder": "/".join(Path(str(found.get("encoder"))).parts[-2:]),  # the last alone is often "model"
        "net": {key: found[key] for key in ("encoder", "length", "train_last") if key in found},
        "seeds": found.get("seeds"),
        "unfinished": any(row.get("seeds") != found.get("seeds") for row in dicts(found.get("heads"))),
        "table": table(rows, name="head", columns=COLUMNS),
        "figures": {figure["id"]: figure} if figure else {},
        "data": facts(found.get("data")),
        "commands": [found["command"]] if found.get("command") else [],
    }
