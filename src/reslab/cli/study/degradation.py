"""reslab study degradation: plain and residual nets of several depths."""

import sys
import time
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import DataFlags, Json, NetFlags, RecipeFlags, data_options, given
from reslab.progress import board
from reslab.run import command_line, slug
from reslab.statistics import plus_minus
from reslab.train.naming import changed, of_several
from reslab.train.recipe import read


def degradation(
    *,
    data: Annotated[str, Parameter(help="Data, as for `reslab train`.")] = "digits",
    depths: Annotated[list[int], Parameter(help="Depths to compare.", consume_multiple=True, negative=())] = [20, 56],  # noqa: B006
    seeds: Annotated[int, Parameter(help="Runs per net; seeds count up from --seed.")] = 3,
    recipe: Annotated[
        str | None, Parameter(help="Name of a recipe or a TOML file (default: the recipe made for the data).")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the study (default: runs/degradation-DATA-OPTIONS).")] = None,
    jobs: Annotated[int, Parameter(help="Trainings in parallel; 0: one per core, or one on an accelerator.")] = 0,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    recipe_flags: RecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train plain and residual nets of several depths: does depth hurt training, and do shortcuts fix it?

    Run the same command again to resume; finished runs are not repeated.
    """
    from reslab.images.defaults import MADE_FOR
    from reslab.images.setup import NEEDED
    from reslab.report import write as write_report
    from reslab.study.degradation import degradation as study

    name = recipe or MADE_FOR.get(data, "paper-cifar")
    chosen = read(name, **given(recipe_flags))
    changes = {**given(net_flags), **changed(given(recipe_flags), name)}
    folder = out or of_several(f"degradation-{slug(Path(data).name)}", changes)
    began = time.perf_counter()
    with board() as row:
        result = study(
            folder,
            data=data,
            depths=tuple(depths),
            seeds=seeds,
            recipe=chosen,
            options={**data_options(data_flags), **NEEDED.get(chosen.augment, {})},
            net_options=given(net_flags),
            jobs=jobs,
            device=device,
            command=command_line(),
            rows=row,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
    page = write_report(folder)
    if json:
        say.as_json(
            {"folder": str(folder), "report": str(page), **{k: result[k] for k in ("table", "verdicts", "caveats")}}
        )
        return
    show(result)
    say.skipped(result["skipped"])
    deepest = folder / next(run["folder"] for run in result["runs"] if run["net"] == f"resnet{max(depths)}")
    print(f"{time.perf_counter() - began:.0f} s. report: {page}\nnext:   reslab report {quote(str(deepest))}")


def show(result: dict[str, Any]) -> None:
    """Print the table and the verdicts."""
    columns = ("net", "n", "training error", "with final weights", "test error")
    cells = [
        (row["net"], row["n"], *(spread(row, k) for k in ("train", "train_eval", "test"))) for row in result["table"]
    ]
    say.table(columns, cells)
    for verdict in result["verdicts"]:
        conclusion = f"{verdict['question']} {verdict['answer'].upper()}. {verdict['sentence']}"
        print(f"{conclusion} {verdict['statistic']['words']}.")


def spread(row: dict[str, Any], key: str) -> str:
    return plus_minus(row[f"{key}_mean"], row[f"{key}_std"], unit="%")
