"""reslab study grid: any combination of nets, options, recipe keys and seeds."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import DataFlags, Json, NetFlags, RecipeFlags, data_options, given, whole
from reslab.cli.study import grid_text as text
from reslab.errors import UsageError
from reslab.progress import board
from reslab.run import command_line
from reslab.train.naming import changed, short, words
from reslab.train.recipe import unchecked


def grid(
    *,
    net: Annotated[
        list[str] | None,
        Parameter(help="Net to train (default: resnet20); give the option once for each.", negative=()),
    ] = None,
    vary: Annotated[
        list[str] | None,
        Parameter(
            help="A key of the recipe or an option of the net, and its values, such as lr=0.1,0.01 or shortcut=A,B or "
            "depth=20,56; give the option once for each.",
            negative=(),
        ),
    ] = None,
    seeds: Annotated[int, Parameter(help="Trainings per combination; seeds count up from --seed.")] = 3,
    data: Annotated[str, Parameter(help="Data, as for `reslab train`.")] = "digits",
    recipe: Annotated[
        str | None, Parameter(help="Name of a recipe or a TOML file (default: the recipe made for the data).")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Folder of the results (default: runs/grid-DATA-NETS-KEYS).")] = None,
    cache: Annotated[
        Path | None,
        Parameter(
            help="Folder of the trainings, shared by grids and claims: none is done twice (default: cells, beside "
            "the results)."
        ),
    ] = None,
    jobs: Annotated[int, Parameter(help="Trainings in parallel; 0: one per core, or one on an accelerator.")] = 0,
    nproc: Annotated[
        int, Parameter(help="Processes of each training, on one machine: each gets a core, or a GPU.", converter=whole)
    ] = 1,
    device: Annotated[str, Parameter(help="Device: auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    on: Annotated[
        str,
        Parameter(
            help="Where to train: local, ray (started on this machine), ray:HOST:PORT (a Ray cluster; extra `cluster`) "
            "or slurm (write a job array)."
        ),
    ] = "local",
    dry_run: Annotated[
        bool, Parameter(help="Show the combinations and the time expected; train nothing.", negative=())
    ] = False,
    plan: Annotated[
        Path | None, Parameter(help="The plan that --on slurm wrote, for --task or --gather; takes no other options.")
    ] = None,
    task: Annotated[int | None, Parameter(help="Do this task of --plan: what each task of the job array runs.")] = None,
    gather: Annotated[bool, Parameter(help="Write the table and the page of --plan.", negative=())] = False,
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    recipe_flags: RecipeFlags | None = None,
    json: Json = False,
) -> None:
    """Train every combination of nets, options and recipe values from several seeds, each once.

    Run the same command again to resume; what is trained is not trained again, in this grid or in another.
    """
    from reslab.images.defaults import MADE_FOR
    from reslab.study.grid import on_slurm
    from reslab.study.grid.combine import Asked
    from reslab.study.grid.keys import read_keys
    from reslab.study.grid.study import grid as study
    from reslab.study.grid.study import planned
    from reslab.train.folder import pick_device

    if plan is not None or task is not None or gather:
        of_plan(plan, task, gather=gather, json=json)
        return
    keys, nets = read_keys(vary or []), net or ["resnet20"]
    name = recipe or MADE_FOR.get(data, "paper-cifar")
    base, changes = unchecked(name), given(recipe_flags)
    if seeds < 1:
        raise UsageError(f"seeds must be positive, got {seeds}")
    if jobs < 0:
        raise UsageError(f"jobs must be positive, or 0 for one per core, got {jobs}")
    if on == "local":
        pick_device(device)
    elif on != "slurm" and on.partition(":")[0] != "ray":
        raise UsageError(f"--on must be local, ray, ray:HOST:PORT or slurm, got {on!r}")
    first = changes.pop("seed", base.seed)
    asked = Asked(nets=nets, keys=keys, seeds=range(first, first + seeds), data=data, recipe=name, changes=changes,
                  net_options=given(net_flags), options=data_options(data_flags), nproc=nproc)  # fmt: skip
    many = {"nproc": nproc} if nproc > 1 else {}
    folder = out or default_folder(data, nets, keys, {**given(net_flags), **many, **changed(changes, name)})
    cache = cache or folder.parent / "cells"
    made = planned(asked, cache, jobs=jobs, say=text.to_stderr)
    if dry_run or not json:
        text.plan(made, dry_run=dry_run)
    if dry_run:
        return
    if on == "slurm":
        script = on_slurm.write(folder, made, cache, device=device, jobs=jobs, command=command_line())
        text.submitted(script, len(made.plan.todo), json=json)
        return
    began = time.perf_counter()
    with board() as row:
        result = study(folder, made, cache, jobs=jobs, device=device, on=on, command=command_line(), rows=row,
                       say=text.to_stderr)  # fmt: skip
    finish(folder, result, seconds=time.perf_counter() - began, json=json)


def of_plan(path: Path | None, task: int | None, *, gather: bool, json: bool) -> None:
    """One task of a plan, or its table and page."""
    from reslab.study.grid import on_slurm
    from reslab.study.grid.study import grid as study

    if path is None:
        raise UsageError("--task and --gather need the file that --on slurm wrote: name it with --plan")
    if (task is None) != gather:
        raise UsageError("--plan needs either --task K or --gather")
    if task is not None:
        with board() as row:
            done = on_slurm.do_task(path, task, progress=row)
        print(f"done: {', '.join(one.name for one in done)}")
        return
    made, cache, kept = on_slurm.gathering(path, say=text.to_stderr)
    began = time.perf_counter()
    result = study(path.parent, made, cache, device="cpu", on="slurm", command=kept["command"])
    finish(path.parent, result, seconds=time.perf_counter() - began, json=json)


def finish(folder: Path, result: dict[str, Any], *, seconds: float, json: bool) -> None:
    """The page, the table, what to do next. Raises ReslabError if a training failed."""
    from reslab.report import write as write_report
    from reslab.study.grid.study import failure

    page = write_report(folder)
    if json:
        say.as_json({"folder": str(folder), "report": str(page), **result})
    else:
        text.results(result)
        print(f"{seconds:.0f} s. table: {folder / 'results' / 'grid.csv'}\nreport: {page}")
        if result["runs"]:
            print(text.following(result))
    if error := failure(result):
        raise error


def default_folder(data: str, nets: Sequence[str], keys: Sequence[Any], changes: dict[str, Any]) -> Path:
    """runs/grid-digits-resnet20+plain20-lr0.1+0.01: what is varied, then what else was changed."""
    return (
        Path("runs") / f"grid-{short(Path(data).name)}-{short('+'.join(nets))}"
        f"{words({**{key.name: key.values for key in keys}, **changes})}"
    )
