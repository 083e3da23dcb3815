"""The cells of a grid as a Slurm job array: a plan file, a script for sbatch, and what each task does.

Assumed: every node sees the folder of the plan, the cache and the data under the same paths.
"""

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from reslab.errors import ReslabError, UsageError, arg
from reslab.images.data.words import WORDS
from reslab.progress import Progress, silent
from reslab.run import Run, absolute
from reslab.stored.files import MissingFile, named
from reslab.stored.read import read_json
from reslab.stored.write import explained
from reslab.study.grid.cell import Cell, from_plain, plain, widest
from reslab.study.grid.combine import Asked
from reslab.study.grid.keys import Key
from reslab.study.grid.one import sound, wait_for
from reslab.study.grid.study import Grid, planned, refuse_another
from reslab.train.recipe import names
from reslab.version import __version__

PLAN = "grid-plan.json"  # in the grid's folder
SCRIPT = "grid.sbatch"
MOST = 1000  # tasks of an array: Slurm's default limit (MaxArraySize = 1001); each then does several cells
SLACK = 6  # times the expected seconds, as the time limit of a task
LEAST = 1800  # seconds of it
WARNING = 120  # seconds before the limit at which a training is asked to save


def write(out: Path, made: Grid, cache: Path, *, device: str, jobs: int, command: str) -> Path:
    """Write plan and script into `out`; returns the script. Raises UsageError if nothing is to be done."""
    todo = made.plan.todo
    if not todo:
        raise UsageError("every training of this grid is in the cache: run the command with ", arg("on", "local"),
                         " to write its table")  # fmt: skip
    folder = Run(out.resolve())
    refuse_another(folder)
    folder.make()
    cells = list(todo)
    tasks = min(len(cells), MOST)
    each = [cells[k::tasks] for k in range(tasks)]
    longest = max(sum(todo[one] for one in own) for own in each)
    path = folder.write_json(PLAN, {
        "reslab": __version__, "command": command, "cache": str(cache.resolve()), "device": device, "tasks": tasks,
        "cells": [plain(one) for one in cells], "asked": stored(made.asked),
    })  # fmt: skip
    script = folder.path(SCRIPT)
    folder.write_text(SCRIPT, job(path, tasks=tasks, at_once=jobs, seconds=longest, gpu=device.startswith("cuda"),
                                cores=widest(cells)))  # fmt: skip
    with explained(script):
        script.chmod(script.stat().st_mode | 0o111)
    return script


def job(plan: Path, *, tasks: int, at_once: int, seconds: float, gpu: bool, cores: int = 1) -> str:
    """The script: one task of the array does one part of the plan; `at_once`: the most that run together, 0: all.

    `cores`: how many of them, or of GPUs, a cell takes.
    """
    limit = max(LEAST, math.ceil(SLACK * seconds / 60) * 60)
    log = str(plan.parent / "slurm-%A_%a.log")
    log = log.replace("%", "%%").replace("%%A_%%a", "%A_%a").replace('"', '\\"')
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=reslab-grid",
        f"#SBATCH --array=0-{tasks - 1}{f'%{at_once}' if at_once else ''}",
        f"#SBATCH --cpus-per-task={cores}",
        *([f"#SBATCH --gres=gpu:{cores}"] if gpu else []),
        f"#SBATCH --time={limit // 3600}:{limit // 60 % 60:02d}:00",
        f"#SBATCH --signal=B:USR1@{WARNING}",  # a training saves; the same script resumes it
        f'#SBATCH --output="{log}"',
        "set -eu",
        "export OMP_NUM_THREADS=1",
        f"cd {quote(str(Path.cwd()))}",
        f'exec {quote(sys.executable)} -m reslab study grid --plan {quote(str(plan))} --task "$SLURM_ARRAY_TASK_ID"',
    ]
    return "\n".join(lines) + "\n"


def read(path: Path) -> dict[str, Any]:
    """The plan. Raises UsageError for another file, ReslabError for one of another version or a damaged one."""
    keys = ("reslab", "cache", "device", "tasks", "cells", "asked", "command")
    try:
        found: dict[str, Any] = read_json(path, needs=keys)
    except MissingFile as error:
        raise UsageError(f"there is no plan {named(path)}; write one with ", arg("on", "slurm")) from error
    if found["reslab"] != __version__:
        raise ReslabError(f"{named(path)} was written by reslab {found['reslab']}, this is {__version__}; write the "
                          "plan again")  # fmt: skip
    return found


def cells_of(plan: Mapping[str, Any]) -> list[Cell]:
    return [from_plain(one) for one in plan["cells"]]


def do_task(path: Path, k: int, *, progress: Callable[[str], Progress] = lambda name: silent) -> list[Cell]:
    """Do the cells of one task, each with what it needs, unless they are done; returns them.

    A cell that another task does is waited for. Raises UsageError for a number that is no task of the plan.
    """
    plan = read(path)
    if not 0 <= k < plan["tasks"]:
        raise UsageError(f"{named(path)} has tasks 0 to {plan['tasks'] - 1}, got {k}")
    own = cells_of(plan)[k :: plan["tasks"]]
    for one in own:
        wait_for(one, Path(plan["cache"]), device=plan["device"], progress=progress(one.name))
    return own


def gathering(path: Path, *, say: Callable[[str], None] = lambda text: None) -> tuple[Grid, Path, dict[str, Any]]:
    """(the grid, its cache, the plan), all of whose cells are done.

    Raises ReslabError if tasks are missing, naming them, or if recipe or data have changed since the plan.
    """
    plan = read(path)
    cache, cells = Path(plan["cache"]), cells_of(plan)
    missing = [k % plan["tasks"] for k, one in enumerate(cells) if not sound(one, cache)]
    if missing:
        numbers = ",".join(map(str, sorted(set(missing))))
        raise ReslabError(f"{len(missing)} of {len(cells)} trainings are not done: sbatch --array={numbers} "
                          f"{quote(str(path.parent / SCRIPT))} does these alone")  # fmt: skip
    made = planned(asked_of(plan["asked"]), cache, say=say)
    if made.plan.todo:
        raise ReslabError(f"recipe, data or cache have changed since {named(path)} was written: "
                          f"{len(made.plan.todo)} trainings are not those of the plan; write it again")  # fmt: skip
    return made, cache, plan


def stored(asked: Asked) -> dict[str, Any]:
    """What is asked for as JSON, its paths absolute."""
    kept = asdict(asked)
    kept["seeds"], kept["nets"] = list(asked.seeds), list(asked.nets)
    kept["recipe"] = asked.recipe if asked.recipe in names() else str(Path(asked.recipe).resolve())
    kept["data"] = absolute(asked.data, WORDS)
    kept["options"] = {key: str(value) if isinstance(value, Path) else value for key, value in asked.options.items()}
    return kept


def asked_of(kept: Mapping[str, Any]) -> Asked:
    """What `stored` stored."""

    def back(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    keys = [Key(name=key["name"], kind=key["kind"], values=tuple(map(back, key["values"]))) for key in kept["keys"]]
    fixed: dict[str, Any] = {name: {key: back(value) for key, value in kept[name].items()}
                             for name in ("net_options", "changes", "options")}  # fmt: skip
    if "root" in fixed["options"]:
        fixed["options"]["root"] = Path(fixed["options"]["root"])
    return Asked(nets=kept["nets"], keys=keys, seeds=kept["seeds"], data=kept["data"], recipe=kept["recipe"],
                 nproc=kept["nproc"], **fixed)  # fmt: skip
