"""reslab slim: plan, remove, heal, compare; one folder."""

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reslab.cli import say
from reslab.cli.options import DataFlags, Json, NetFlags, data_options, given
from reslab.cli.slim import text
from reslab.cli.slim.flags import HealFlags, InputFlags, ModelFlags, Out, PlanFlags, TargetFlags, TrainFlags
from reslab.cli.slim.flags import _HealFlags as Heal
from reslab.cli.slim.flags import _PlanFlags as Planned
from reslab.cli.slim.flags import _TargetFlags as Target
from reslab.errors import ReslabError, UsageError
from reslab.progress import Progress, board
from reslab.run import Run, command_line, slug

TARGETS = "name one target: --remove N blocks, --speedup 1.5, --max-macs 0.5 or --keep-error 1 (points)"


def slim(
    model: Annotated[str, Parameter(help="A model, as for `reslab look`, or a run for questions.")],
    /,
    *,
    target: TargetFlags | None = None,
    plan: PlanFlags | None = None,
    heal: HealFlags | None = None,
    model_flags: ModelFlags | None = None,
    inputs: InputFlags | None = None,
    train: TrainFlags | None = None,
    net_flags: NetFlags | None = None,
    data_flags: DataFlags | None = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Remove the blocks that matter least, train what remains, and compare it with the intact model trained as long.

    The plan is printed first: the blocks to remove, in order, with time, MACs and expected error.

    Run the same command again to resume. The smaller model lies in the folder and loads with its own library.
    """
    asked, how, after = target or Target(), plan or Planned(), heal or Heal()
    if all(value is None for value in asdict(asked).values()):
        raise UsageError(TARGETS)
    if after.seeds < 1:
        raise UsageError(f"seeds must be positive, got {after.seeds}")
    from reslab.slim import job  # imports torch
    from reslab.slim.kept import DONE, PLAN

    found, run = subject(model, model_flags, inputs, train, net_flags, data_flags, after), folder(model, out)
    if asked.keep_error is not None and "error" not in found.metrics():
        raise UsageError(f"--keep-error needs a share of wrong answers, which is not what a plan for {found.name} "
                         "measures; use --remove, --speedup or --max-macs")  # fmt: skip
    settings = {**asdict(asked), "by": how.by, "beam": how.beam, "parts": how.parts, "keep": how.keep or ()}
    stages = Stages()
    with stages:
        if how.dry_run:
            made = job.planned(found, out=run.folder, progress=stages.row, **settings)
            done = None
        else:
            done = job.slim(found, out=run.folder, **settings, epochs=after.epochs, seeds=after.seeds, word=model,
                       compare=after.compare, method=after.method, progress=stages.row,
                       on_plan=None if json else stages.between(lambda made: print(f"{made}\n")))  # fmt: skip
    page = draw(run)
    if json:
        told = {"plan": run.read_json(PLAN), **({"slim": run.read_json(DONE)} if done else {})}
        say.as_json({"folder": str(run.folder), "report": page, **told})
    elif done is None:
        print(made)
        print(f"plan:   {run.path(PLAN)}")
    else:
        text.result(run.read_json(DONE))
    if not json:
        following(run, page, done)


def following(run: Run, page: str | None, done: Any) -> None:
    """Print where the page is, and the next commands."""
    if page:
        print(f"report: {page}")
    if done is None:
        print(f"next:   {command_line().replace(' --dry-run', '')}")
    for command in done.commands if done else ():
        print(f"next:   {command}")


class Stages:
    """The progress of the stages. While something is printed, the display is closed."""

    def __enter__(self) -> "Stages":
        self.shown = board()
        self.rows = self.shown.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.shown.__exit__(*error)

    def row(self, name: str) -> Progress:
        return self.rows(name)

    def between(self, tell: Callable[[Any], None]) -> Callable[[Any], None]:
        """`tell`, with the display closed around it."""

        def told(what: Any) -> None:
            self.__exit__(None, None, None)
            tell(what)
            self.__enter__()

        return told


def folder(word: str, out: Path | None) -> Run:
    """The folder of the job: --out, or runs/slim-NAME."""
    name = slug(Path(word).resolve().name if Path(word).exists() else word)
    return Run(out or Path("runs") / f"slim-{name}")


def subject(word: str, model: Any, inputs: Any, train: Any, net: Any, data: Any, heal: Heal) -> Any:
    """The family of the model, with its data: see slim/families/named.py."""
    import torch

    from reslab.slim.families.named import Wanted, family

    model_given = given(model)
    threads = model_given.pop("threads", 0)
    if threads < 0:
        raise UsageError(f"threads must be zero or more, got {threads}")
    if threads:
        torch.set_num_threads(threads)
    changes = given(train) | ({"epochs": heal.epochs} if heal.epochs else {})
    return family(word, Wanted(**model_given, **given(inputs), options=data_options(data), net_options=given(net),
                               changes=changes, trained_epochs=heal.trained_epochs, how=learned(heal)))  # fmt: skip


def learned(heal: Heal) -> dict[str, float]:
    """What is set of how healing learns from the intact model."""
    asked = {"weight": heal.distill, "temperature": heal.temperature, "features": heal.features}
    return {key: value for key, value in asked.items() if value is not None}


def draw(run: Run) -> str | None:
    """Write the page; its path, or None, with a warning, if it fails: the results are stored anyway."""
    from reslab.report import write

    try:
        return str(write(run.folder))
    except ReslabError as error:
        warnings.warn(f"the page was not written: {say.words(error).partition(';')[0]}", stacklevel=2)
        return None
