"""Format the scores of tables: which are shares, how numbers are written, which columns matter."""

from typing import Any

from reslab.report import words
from reslab.report.folder import Facts, dicts, facts, items

NAMES = {
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "F1", "auc": "AUC", "log_loss": "log loss",
    "rmse": "RMSE", "mae": "mean absolute error", "r2": "R²",
}  # fmt: skip
SHARES = ("accuracy", "balanced_accuracy", "f1")  # written in percent


def name_of(score: Any, kind: Any = "") -> str:
    if (score, kind) == ("accuracy", "labels"):
        return "all labels right"
    return NAMES.get(str(score), str(score))


def text(score: Any, value: Any) -> str:
    """0.8534 -> `85.34 %` for a share; any other score with four digits, or all digits before the point."""
    if not words.is_number(value):
        return words.NONE
    if score in SHARES:
        return words.percent(100 * value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def interval(score: Any, edges: Any) -> str:
    """[0.84, 0.86] -> `84.00 % to 86.00 %`."""
    low_high = [text(score, edge) for edge in items(edges)]
    return " to ".join(low_high) if len(low_high) == 2 else ""


def main_line(found: Facts, score: str) -> str:
    """`accuracy 85.34 % (95 % interval 84.61 % to 86.02 %; n = 9,769)`, for a terminal."""
    between = interval(score, facts(found.get("intervals")).get(score))
    inside = [f"95 % interval {between}"] if between else []
    said = "; ".join([*inside, f"n = {words.count(found.get('n'))}"])
    return f"{name_of(score)} {text(score, found.get(score))} ({said})".replace(words.GAP, " ")


def loss_text(score: Any, value: Any) -> str:
    """How much a score loses without a column: `4.93 points`, or in the target's unit."""
    if not words.is_number(value):
        return words.NONE
    return f"{100 * value:.2f} points" if score in SHARES else f"{value:,.3g}"


def ranked(importance: Facts) -> list[Facts]:
    """The columns, the most important first."""
    known = [one for one in dicts(importance.get("columns")) if words.is_number(one.get("permutation"))]
    return sorted(known, key=lambda one: -one["permutation"])


def columns(encoder: Facts, spec: Facts) -> list[Facts]:
    """Each column of the table with its kind and how it is read, from encoder.json and spec.json."""
    sizes = {"bag": items(spec.get("bags"))[::-1], "category": items(spec.get("categories"))[::-1]}
    became: dict[str, list[str]] = {}
    for one in dicts(encoder.get("columns")):
        code = str(one.get("code"))
        size = None
        if code != "number":
            left = sizes["category" if code == "category" else "bag"]
            size = left.pop() if left else None
        became.setdefault(str(one.get("owner")), []).append(became_of(one, code, size))
    rows = []
    for name, kind in facts(encoder.get("kinds")).items():
        rows.append({"name": name, "kind": kind, "became": ", ".join(became.get(name, ["left out"]))})
    return rows


def became_of(one: Facts, code: str, size: Any) -> str:
    if one.get("part"):
        return "days" if one["part"] == "day" else str(one["part"])
    if code == "number":
        return "rank and z-score"
    if code == "text":
        return f"bag of {words.count(size - 1) if words.is_number(size) else 'its'} n-grams"
    known = len(items(one.get("values")))
    many = "several of" if code == "categories" else "one of"
    return f"{many} {known:,} values{', or missing' if one.get('missing') else ''}"
