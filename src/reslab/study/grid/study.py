"""The grid as a study: every combination trained from every seed, one table, one page."""

import csv
import datetime
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, Sentence, UsageError, arg
from reslab.images.data import ImageData
from reslab.progress import Rows, quiet
from reslab.run import Run, environment
from reslab.statistics import mean, std
from reslab.study.grid.cell import Cell, Found
from reslab.study.grid.combine import Asked, Combination, combinations
from reslab.study.grid.keys import DEPTH
from reslab.study.grid.plan import Plan, plan
from reslab.study.grid.run import run
from reslab.study.work.train import RUN, recipe_of
from reslab.train.folder import pick_device

RESULT = "results/grid.json"
TABLE = "results/grid.csv"
BEFORE = (
    "results",
    "cells",
    ".grid",
    "grid-plan.json",
    "grid.sbatch",
    "slurm-",
)  # what a grid's folder holds before its table
MEASURED = ("train_error", "train_error_eval", "train_loss_eval", "test_error", "test_loss")
SUMMED_UP = {"train_error": "train", "train_error_eval": "train_eval", "test_error": "test"}  # as in study.json


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is to be trained, before anything is."""

    asked: Asked
    rows: Sequence[Combination]
    data: ImageData
    plan: Plan

    @property
    def trained(self) -> list[Combination]:
        return [row for row in self.rows if not row.why_not]

    @property
    def cells(self) -> list[Cell]:
        return [one for row in self.trained for one in row.cells(self.asked.seeds)]


def planned(
    asked: Asked, cache: Path, *, jobs: int = 0, say: Callable[[str], None] = lambda text: None
) -> Grid:  # fmt: skip
    """The grid that is asked for, checked. Raises UsageError before anything is trained."""
    rows, data = combinations(asked)
    cells = [one for row in rows if not row.why_not for one in row.cells(asked.seeds)]
    return Grid(asked=asked, rows=rows, data=data, plan=plan(cells, cache, jobs=jobs, say=say))


def refuse_another(out: Run) -> None:
    """Raise UsageError if the folder holds something other than a grid."""
    if out.folder.is_dir() and not out.has(RESULT):
        others = [path.name for path in out.folder.iterdir() if not path.name.startswith(BEFORE)]
        if others:
            raise UsageError(f"{out.folder} is not empty and not the folder of a grid (it holds {others[0]}); choose "
                             "another ", arg("folder"))  # fmt: skip


def grid(
    out: Path, made: Grid, cache: Path, *, jobs: int = 0, device: str = "auto", on: str = "local", command: str = "",
    rows: Rows = quiet, say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Train what is not in the cache; the content of results/grid.json, written to `out` with a CSV beside it.

    Raises Interrupted after a signal; the same call resumes. A training that fails is named in the result's `failed`.
    """
    folder = Run(out)
    refuse_another(folder)
    folder.make()
    failures: dict[Cell, Sentence] = {}
    found = run(made.cells, cache, jobs=jobs, device=device, rows=rows, say=say, failures=failures,
                on="local" if on == "slurm" else on)  # fmt: skip
    result = gathered(made, found, failures, command=command, device=device, on=on)
    folder.write_json(RESULT, result)
    folder.write_text(TABLE, as_csv(result["runs"]))
    return result


def gathered(
    made: Grid, found: Mapping[Cell, Found], failures: Mapping[Cell, Sentence], *, command: str, device: str, on: str
) -> dict[str, Any]:  # fmt: skip
    """What the trainings ended with: a row for each combination, and one for each training."""
    table, runs = [], []
    for k, row in enumerate(made.trained):
        who = {"net": row.net, **({"family": row.family} if DEPTH in row.values else {}),
               **{key: plain(value) for key, value in row.values.items()}}  # fmt: skip
        own = []
        for seed, one in zip(made.asked.seeds, row.cells(made.asked.seeds), strict=True):
            if one in found:
                each = found[one]
                own.append({"row": k, **who, "seed": seed, **{key: each.values.get(key) for key in MEASURED},
                            "iterations": each.values["iterations"], "parameters": each.values["parameters"],
                            "cpu_seconds": round(each.seconds, 2), "cell": one.key,
                            "folder": str(each.folder / RUN)})  # fmt: skip
        runs += own
        table.append({**who, "n": len(own), **summed_up(own)})
    return {
        "title": f"{len(table)} combinations on {made.data.name}",
        "created": datetime.date.today().isoformat(), "command": command, "data": made.data.describe(),
        "recipe": {"name": made.asked.recipe, **asdict(recipe_of({**made.trained[0].settings,
                                                                  "seed": made.asked.seeds[0]}))},
        "varied": [{"key": key.name, "kind": key.kind, "values": [plain(one) for one in key.values]}
                   for key in made.asked.keys],
        "nets": list(made.asked.nets), "seeds": list(made.asked.seeds), "table": table, "runs": runs,
        "skipped": [{"combination": row.label, "reason": row.why_not} for row in made.rows if row.why_not],
        "failed": [{"cell": one.name, "reason": str(why)} for one, why in failures.items()],
        "cpu_seconds": round(sum(each.seconds for each in found.values()), 1), "on": on,
        "env": environment(str(pick_device(device)), 1),
    }  # fmt: skip


def summed_up(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds (n - 1; None of one)."""
    out: dict[str, Any] = {"parameters": runs[0]["parameters"] if runs else None}
    for key, short in SUMMED_UP.items():
        values = [run[key] for run in runs if run[key] is not None]
        out[f"{short}_mean"] = mean(values) if values else None
        out[f"{short}_std"] = std(values) if values else None
    return out


def plain(value: Any) -> Any:
    """A value in a table: several numbers are one text, as they were given."""
    return "+".join(f"{one:g}" for one in value) if isinstance(value, tuple) else value


def as_csv(runs: Sequence[Mapping[str, Any]]) -> str:
    """One line a training; numbers as they are, nothing for what is not known."""
    file = io.StringIO()
    columns = [key for key in (runs[0] if runs else {"net": ""}) if key != "row"]
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    return file.getvalue()


def failure(result: Mapping[str, Any]) -> ReslabError | None:
    """The error for trainings that failed, None if all are done."""
    failed = result["failed"]
    if not failed:
        return None
    more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
    return ReslabError(f"{failed[0]['reason']}{more}; the others are done")
