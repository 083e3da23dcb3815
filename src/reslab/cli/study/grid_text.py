"""What `reslab study grid` prints: the plan before, the table after."""

import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from reslab.cli import say
from reslab.errors import one_line
from reslab.statistics import plus_minus

COLUMNS = {"train": "training error", "train_eval": "with final weights", "test": "test error"}


def plan(made: Any, *, dry_run: bool) -> None:
    """The combinations with what is in the cache, and those that cannot be trained."""
    seeds, done = made.asked.seeds, made.plan.found
    trained = made.trained
    print(f"{len(trained)} combination{'s' * (len(trained) != 1)} x {len(seeds)} seed{'s' * (len(seeds) != 1)}, on "
          f"{one_line(made.data.name)} with recipe {one_line(made.asked.recipe)}")  # fmt: skip
    left: dict[tuple[str, str], list[str]] = {}
    for row in made.rows:
        if row.why_not:
            left.setdefault((row.family, row.why_not), []).append(row.label)
    for (_, why), labels in left.items():
        what = labels[0] if len(labels) == 1 else f"{len(labels)} combinations such as {labels[0]}"
        print(one_line(f"not trained: {what}: {why}"))
    if dry_run:
        keys = [key.name for key in made.asked.keys]
        cells = [[row.net, *(text(row.values.get(key)) for key in keys),
                  f"{sum(one in done for one in row.cells(seeds))} of {len(seeds)}"] for row in trained]  # fmt: skip
        say.table(("net", *keys, "cached"), cells, left=1 + len(keys), whole=True)
        print(made.plan)


def results(result: Mapping[str, Any]) -> None:
    """The table: mean ± standard deviation over seeds, in the order given; the lowest test error is marked."""
    keys = [one["key"] for one in result["varied"]]
    cells = [[row["net"], *(text(row.get(key)) for key in keys), row["n"],
              *(plus_minus(row[f"{key}_mean"], row[f"{key}_std"], unit="%") for key in COLUMNS),
              "lowest" if k == lowest(result) else ""]
             for k, row in enumerate(result["table"])]  # fmt: skip
    say.table(("net", *keys, "n", *COLUMNS.values(), ""), cells, left=1 + len(keys), whole=True)
    spread = any(row["test_std"] is not None for row in result["table"])
    print("mean ± standard deviation over n seeds" if spread else "one seed: no spread is known")
    print("training error: over the last epoch, during training; with final weights: on the training images in\n"
          "evaluation mode, where BatchNorm takes its running averages, which lag behind after few iterations\n"
          "(--precise-bn measures them anew)")  # fmt: skip


def lowest(result: Mapping[str, Any]) -> int | None:
    """The place of the combination with the lowest mean test error."""
    rows = [(row["test_mean"], k) for k, row in enumerate(result["table"]) if row["test_mean"] is not None]
    return min(rows)[1] if rows else None


def following(result: Mapping[str, Any]) -> str:
    """What to do next: look at the first seed of the combination with the lowest mean test error."""
    k = lowest(result)
    run = next((run for run in result["runs"] if run["row"] == k), result["runs"][0])
    varied = [f"{one['key']} {text(run.get(one['key']))}" for one in result["varied"]]
    what = one_line(", ".join([run["net"], *varied, f"seed {run['seed']}"]))
    return f"next:   reslab look all {quote(run['folder'])}\n        ({what}: the first seed of the lowest test error)"


def submitted(script: Path, trainings: int, *, json: bool) -> None:
    """What to do with the script for Slurm."""
    plan = script.parent / "grid-plan.json"
    if json:
        say.as_json({"script": str(script), "plan": str(plan), "trainings": trainings})
        return
    print(f"script: {script} ({trainings} training{'s' * (trainings != 1)})")
    print(f"next:   sbatch {quote(str(script))}\nthen:   reslab study grid --plan {quote(str(plan))} --gather")


def text(value: Any) -> str:
    """A varied value as it was given: 0.1, A, 8+16+32, true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "+".join(map(text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def to_stderr(sentence: object) -> None:
    print(one_line(say.words(sentence)), file=sys.stderr, flush=True)
