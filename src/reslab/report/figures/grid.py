"""A list of flat dicts as a table, whatever its keys: the study decides what it reports."""

from reslab.report import words
from reslab.report.folder import Facts

# On a phone, results come before costs; a net's name and color show its kind and depth.
LAST = ("kind", "depth", "train_n", "test_n", "parameters", "seconds", "examples_per_second", "iterations", "folder")
HEADS = {
    "train_mean": "train, last epoch (%)",
    "train_eval_mean": "train, final weights (%)",
    "test_mean": "test (%)",
    "train_error": "train, last epoch (%)",
    "train_error_eval": "train, final weights (%)",
    "test_error": "test (%)",
    "seconds": "time",
    "examples_per_second": "images/s",
}


def of(rows: list[Facts]) -> Facts | None:
    """Any list of flat dicts as a table; `x_mean` and `x_std` become one column `x`, mean ± std."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    pairs = {key.removesuffix("_mean") for key in keys if key.endswith("_mean")}
    keys = [k for k in keys if not (k.endswith("_std") and k.removesuffix("_std") in pairs)]
    keys.sort(key=lambda k: k in LAST)
    body = []
    for row in rows:
        cells = []
        for key in keys:
            name = key.removesuffix("_mean")
            if key.endswith("_mean"):
                text = words.plus_minus(row.get(key), row.get(f"{name}_std"))
            else:
                text = words.cell(key, row.get(key))
            cells.append({"text": text, "number": words.is_number(row.get(key))})
        body.append({"cells": cells, "kind": row.get("kind")})
    heads = [
        {
            "text": HEADS.get(key, key.removesuffix("_mean").replace("_", " ")),
            "number": words.is_number(rows[0].get(key)),
        }
        for key in keys
    ]
    return {"heads": heads, "rows": body} if rows else None
