"""reslab claims: run them."""

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.claims.flags import Data, Own, Seed, Seeds
from reslab.cli.options import DataFlags, Json, data_options, whole
from reslab.errors import one_line
from reslab.progress import board
from reslab.run import command_line, slug

CACHE = Path("runs/cells")  # as of `reslab study grid`


def claims(
    *,
    only: Annotated[str, Parameter(help="Names of claims, separated by commas (default: all).")] = "",
    data: Data = "digits",
    budget: Annotated[
        float | None,
        Parameter(help="Minutes that the run may take; seeds, then claims are left out (default: 20 on digits)."),
    ] = None,
    seed: Seed = 0,
    seeds: Seeds = None,
    out: Annotated[Path | None, Parameter(help="Folder of the results (default: runs/claims-DATA).")] = None,
    cache: Annotated[
        Path, Parameter(help="Folder of the trainings and measurements, shared by all runs; none is done twice.")
    ] = CACHE,
    jobs: Annotated[
        int, Parameter(help="Processes in parallel; 0: one per core, or one on an accelerator.", converter=whole)
    ] = 0,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    dry_run: Annotated[bool, Parameter(help="Print the plan, its cost and power; run nothing.", negative=())] = False,
    own: Own = None,
    data_flags: DataFlags | None = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Test claims of papers: run all their experiments (--only: some) and write a page with the verdicts.

    On digits it takes up to 20 minutes; --dry-run tells how long, and runs nothing. The plan and its cost are printed
    first. Run the same command again to resume; nothing that is finished runs twice.
    """
    from reslab.report import write as write_report
    from reslab.study.claims.prepare import prepare
    from reslab.study.claims.run import claims as run
    from reslab.study.claims.words import told
    from reslab.train.signals import Interrupted

    folder = out or Path("runs") / default_name(only, data, seed)
    chosen: dict[str, Any] = {"only": only, "data": data, "options": data_options(data_flags), "budget": budget,
                              "seed": seed, "seeds": seeds, "jobs": jobs, "own": own, "out": folder}  # fmt: skip
    if dry_run:
        show_plan(prepare(**chosen, cache=cache), json=json)
        return
    began = time.perf_counter()
    ready = prepare(**chosen, cache=cache)

    def alone(name: str) -> str:
        return command_of(name, data, data_options(data_flags), seed, seeds, own)

    def note(text: str) -> None:
        print(one_line(text), file=sys.stderr, flush=True)

    for line in told(ready):
        note(line)
    try:
        with board() as row:
            result = run(folder, ready, cache=cache, device=device, command=command_line(), commands=alone, rows=row,
                         say=note)  # fmt: skip
    except Interrupted:
        note(f"report of the claims that are done: {write_report(folder)}")
        raise
    page = write_report(folder)
    if json:
        say.as_json({"folder": str(folder), "report": str(page), **result})
        return
    show(result)
    print(
        f"{time.perf_counter() - began:.0f} s. report: {page}\nnext:   reslab claims table {shlex.quote(str(folder))}"
    )


def command_of(name: str, data: str, options: dict[str, Any], seed: int, seeds: int | None, own: Path | None) -> str:
    """The command that runs one claim alone, on the same data and with the same seeds."""
    words = ["reslab", "claims", "--only", name, *(["--data", data] if data != "digits" else []), *say.flags(options)]
    words += ["--seed", str(seed)] * (seed != 0) + ["--seeds", str(seeds)] * (seeds is not None)
    return shlex.join([*words, *(["--claims", str(own)] if own else [])])


def default_name(only: str, data: str, seed: int) -> str:
    """claims-digits, claims-digits-NAME, claims-digits-s100."""
    parts = ["claims", slug(Path(data).name), *([slug(only)[:60]] if only else []), *([f"s{seed}"] if seed else [])]
    return "-".join(parts)


def show_plan(ready: Any, *, json: bool) -> None:
    """Print the plan of a dry run."""
    from reslab.study.claims.words import plan_of, shown, told

    if json:
        say.as_json(plan_of(ready))
        return
    for line in told(ready):
        print(one_line(line))
    runs = [one for one in ready.runs if one.cells]
    rows = [(one.claim.name, len(one.seeds), len(one.all_cells), f"{ready.costs.seconds([one]):,.0f} s",
             shown(one, family=ready.family)) for one in runs]  # fmt: skip
    say.fitting(["claim", "seeds", "cells", "CPU", "shows"], rows)
    unknown = any(row[-1].endswith(" std") for row in rows)
    std = "; std: standard deviations of the effect, where none is known yet" * unknown
    print("cells: trainings and measurements; claims share them, and each is done once. CPU: seconds of CPU time left\n"
          f"shows: the smallest effect that is shown with probability 80 % (alpha 5 % / {max(1, ready.family)}, Holm's "
          f"first step{std})")  # fmt: skip


def show(result: Any) -> None:
    """Print the verdicts, and how many of each."""
    from reslab.study.claims.words import unsealed

    rows = []
    for one in result["claims"]:
        print(one_line(f"{one['verdict'].upper()}  {one['title']} ({one['name']}){unsealed(one)}"))
        print(one_line(f"  {one['answer'] or one['why_not']}"))
        rows.append(one["verdict"])
    kinds = ("holds", "contradicted", "not shown", "equivalent", "not run")
    print(f"{len(rows)} claims: {', '.join(f'{rows.count(kind)} {kind}' for kind in kinds if kind in rows)}")
