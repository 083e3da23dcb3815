"""The page that compares nets for tables: one point per seed, and the table."""

from pathlib import Path

from reslab.report.figures.comparison import Score, dots, table
from reslab.report.figures.scores import SHARES, name_of
from reslab.report.folder import Facts, dicts, facts, read_json
from reslab.report.words import is_number

SHOWN = {"accuracy": ("accuracy", "auc"), "f1": ("f1", "auc"), "rmse": ("rmse", "mae")}  # title of each main score


def page(folder: Path) -> Facts:
    """What nets.html.j2 shows."""
    found = read_json(folder / "results" / "compare-tables.json")
    main = str(found.get("main"))
    rows = [row for row in dicts(found.get("nets")) if is_number(row.get(main))]
    keys = [key for row in rows[:1] for key in row if f"{key}_each" in row and key not in ("epochs", "seconds")]
    scores = {key: score(key, labels=main == "f1") for key in keys}
    shown = [scores[key] for key in SHOWN.get(main, ()) if key in scores]
    figure = dots(rows, shown, name="net", id="nets", about="Scores on the test rows.")
    seconds = Score("seconds", "seconds", digits=1)
    columns: dict[str, str | Score] = {**scores, "parameters": "parameters", "seconds": seconds, "seeds": "seeds"}
    return {
        "template": "nets.html.j2",
        "title": f"Nets compared on {Path(str(found.get('data'))).name}",
        "found": found,
        "reading": {key: value for key, value in facts(found.get("reading")).items() if value not in (None, {}, ())},
        "main": name_of(main),
        "lower": main == "rmse",
        "unfinished": any(row.get("seeds") != found.get("seeds") for row in dicts(found.get("nets"))),
        "table": table(rows, name="net", columns=columns),
        "figures": {figure["id"]: figure} if figure and shown else {},
        "commands": [found["command"]] if found.get("command") else [],
    }


def score(key: str, *, labels: bool) -> Score:
    title = name_of(key, "labels" if labels else "")
    if key in SHARES:
        return Score(key, f"{title} (%)", factor=100, unit=" %")
    return Score(key, title, digits=4)
