"""The page of `reslab study grid`: a table with one row a combination, error by each varied key, every training."""

from pathlib import Path

from reslab.report import words
from reslab.report.figures import grid, varied
from reslab.report.folder import Facts, dicts, facts, items, read_json

MEASURES = (("test", "test error (%)"), ("train_eval", "training error, final weights (%)"))
FEW = ("family", "train_loss_eval", "test_loss", "row")  # left out of the table of trainings; grid.csv has them


def page(folder: Path) -> Facts:
    """What combinations.html.j2 shows."""
    found = read_json(folder / "results" / "grid.json")
    rows = dicts(found.get("table"))
    names = [str(one.get("key")) for one in dicts(found.get("varied"))]
    keys = ["family" if "depth" in names else "net", *names]
    figures = [one for key, title in MEASURES if (one := varied.panels(rows, keys, measure=key, title=title))]
    runs = [{key: value for key, value in run.items() if key not in FEW} for run in dicts(found.get("runs"))]
    seeds = items(found.get("seeds"))
    table = grid.of([{key: value for key, value in row.items() if key != "family"} for row in rows])
    means = [(row["test_mean"], k) for k, row in enumerate(rows) if words.is_number(row.get("test_mean"))]
    if table and len(means) > 1:
        table["rows"][min(means)[1]]["best"] = True
    return {
        "template": "combinations.html.j2",
        "title": found.get("title") or folder.resolve().name,
        "found": found,
        "seeds": len(seeds),
        "trained": len(runs),
        "cpu": words.duration(found.get("cpu_seconds")),
        "table": table,
        "several": len(means) > 1,
        "figures": {one["id"]: one for one in figures},
        "runs": grid.of(runs),
        "skipped": dicts(found.get("skipped")),
        "failed": dicts(found.get("failed")),
        "data": facts(found.get("data")),
        "commands": [found["command"]] if found.get("command") else [],
    }
