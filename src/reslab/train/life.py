"""The life of a run folder, whatever is trained in it: prepared, compared, trained or resumed, finished."""

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from reslab.errors import OtherSettings, ReslabError, UsageError, arg, one_line
from reslab.progress import Progress, silent
from reslab.run import MEMBERS, ReadOnly, Run
from reslab.stored.digest import digest_of
from reslab.stored.files import parse_toml
from reslab.stored.read import COMMENT
from reslab.train.checkpoint import PREVIOUS
from reslab.train.folder import (
    DONE,
    check_resources,
    configure,
    finished,
    first_comment,
    read_recipe,
)
from reslab.train.loop import fit
from reslab.train.recipe import Recipe, write
from reslab.train.session import PREPARED, alone, removed_if_failed, session, withdraw
from reslab.train.signals import Interrupted
from reslab.train.start import Start, begun_from, stored_mark, write_start
from reslab.train.task import Task
from reslab.train.training import Training
from reslab.train.world import ALONE, World

TEACHER = "teacher.json"  # in the run folder of a net that learns beside a teacher: reslab/slim/healing
Account = Callable[[], dict[str, Any]]
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]  # (stored in the folder, requested now)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a family is given to do its part: a run folder in which only this process trains."""

    run: Run
    recipe: Recipe
    device: torch.device
    progress: Progress
    command: str  # that made the run
    world: World = ALONE  # the processes that train it


class Family(Protocol):
    """What differs between training on images, on questions and on tables."""

    what: str  # it is trained on, in sentences: "data", "questions", "table"
    needs: tuple[str, ...]  # keys without which a stored result is damaged
    made: tuple[str, ...]  # files and folders in the run folder beside those of every run, made before the first step
    depth: int  # of the net, as `warmup_depth` counts; 0: it does not count

    def read(self, run: Run) -> None:
        """Read the stored spec and settings. Raises UsageError or ReslabError, before anything is changed."""

    def load(self, work: Work) -> tuple[str, str]:
        """(the data's word, its fingerprint); the data are loaded with the stored settings unless they were given."""

    def changes(self, run: Run) -> str:
        """What differs between the loaded data and those that the run started with, in words; "" if unknown."""

    def build(self, work: Work) -> tuple[Task, nn.Module]:
        """The task and the net, from torch's current random state."""

    def finish(self, work: Work, training: Training, account: Account) -> dict[str, Any]:
        """The result of the trained net, which is evaluated here, and its files are written.

        `account()` gives what every result records, which belongs in it. It takes the time, once: of images and
        questions after the evaluation, of tables before the test rows are scored. Other times could not be compared.
        Of several processes, all evaluate; only the first, `work.world.leads`, writes, and its result counts.
        """


def prepare_run(
    run: Run, *, spec: Mapping[str, Any], recipe: Recipe, about: dict[str, Any],
    stored: Callable[[], Mapping[str, Pair]], fill: Callable[[], Any] = lambda: None, made: Sequence[str] = (),
    without: Sequence[str] = (), command: str = "", start: Path | str | Start | None = None,
    loaded: Callable[[], Pair] = lambda: ({}, {}), changes: Callable[[], str] = lambda: "",
    fitted: Collection[str] = (),
) -> Run:  # fmt: skip
    """Make a run folder with the net's spec, the recipe and the data's description, or find the same run in it.

    `about`: for data.json. `stored`: what must match in an existing run, besides recipe and data. `fill` writes the
    family's other files, named in `made`; `without`: keys that its recipes omit. `start`: the weights that the training
    starts from, or the run or checkpoint file that holds them; None: random ones. `loaded`: settings with which the
    data were read, named where the data differ; where they do not, these settings changed nothing. `changes`: what
    differs in the data, in words. `fitted`: keys of the recipe that follow from the data, so that they differ where
    these do. Raises UsageError if the folder holds another run, naming what differs, or something else. If a file
    cannot be written, nothing is left.
    """
    check_resources(recipe)
    begun = None if start is None else begun_from(start)
    if begun is not None:
        about = {**about, "start": begun.mark}
    if run.has("spec.json"):
        refuse_other_run(run, recipe, about, stored(), loaded, fitted, changes)
        return run
    if run.has(MEMBERS):
        raise OtherSettings(f"{run.folder} already contains an ensemble of several nets; choose another ",
                            arg("folder"))  # fmt: skip
    if run.folder.is_dir() and not all(is_leftover(path.name, made) for path in run.folder.iterdir()):
        raise UsageError(f"{run.folder} is not empty and not a run folder; choose another ", arg("folder"))
    new = [name for name in made if not run.path(name).exists()]
    try:
        run.make()
        whole = write(recipe, without=without)
        mark = COMMENT + digest_of(parse_toml(whole.encode(), "recipe.toml"))
        run.write_text("recipe.toml", f"# {one_line(command) or 'made in Python'}\n{whole}{mark}\n")
        run.write_json("data.json", about)
        fill()
        if begun is not None:
            write_start(run, begun)
        run.write_json("spec.json", spec)  # last: with it the folder is a run
    except BaseException:
        withdraw(run, new)
        raise
    return run


def is_leftover(name: str, made: Sequence[str]) -> bool:
    """Whether a folder's entry is one that `prepare_run` makes before spec.json: it may have been killed there.

    Such are `made` and the files of every run, whole or still under the temporary name that `sweep` removes.
    """
    whole = ("results", *PREPARED, *made)
    return name in whole or name.startswith(tuple(f".{one}." for one in (*whole, "spec.json")))


def refuse_other_run(
    run: Run, recipe: Recipe, about: Mapping[str, Any], others: Mapping[str, Pair], loaded: Callable[[], Pair],
    fitted: Collection[str] = (), changes: Callable[[], str] = lambda: "",
) -> None:  # fmt: skip
    """Raise UsageError unless the folder's recipe, data and all `others` are the requested ones."""
    there = run.read_json("data.json")
    changed = there.get("fingerprint") != about.get("fingerprint")
    pairs = {**({"loaded": loaded()} if changed else {}), **others,
             "recipe": (asdict(read_recipe(run)),
                        {key: value for key, value in asdict(recipe).items() if not (changed and key in fitted)}),
             "start": (stored_mark(there), stored_mark(about))}  # fmt: skip
    for what, (old, new) in pairs.items():
        differ = [f"{what if key == 'name' else key}: {shown(old.get(key))} there, {shown(new[key])} requested"
                  for key in new if old.get(key) != new[key]]  # fmt: skip
        if differ:
            raise OtherSettings(f"{run.folder} already contains a run with different settings "
                                f"({'; '.join(differ[:3])}); choose another ", arg("folder"))  # fmt: skip
    if changed:
        raise UsageError(f"{run.folder} already contains a run on different data{in_brackets(changes())}; choose "
                         "another ", arg("folder"))  # fmt: skip


def shown(value: Any) -> str:
    """A setting in a sentence: 40 for 40.0, none for None, a=number for a mapping."""
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={shown(one)}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def train_run(
    folder: Path | str, family: Family, *, device: str = "auto", progress: Progress = silent, command: str = "",
    world: World = ALONE,
) -> dict[str, Any]:  # fmt: skip
    """Train the net of a prepared run folder, resuming from its last checkpoint; its result, also in results/.

    If the run is finished, its stored result is returned and nothing is written. Raises ReslabError if the data have
    changed, Interrupted on SIGTERM or Ctrl-C, after which the same call resumes with bit-identical results. A failure
    before the first checkpoint removes the folder, unless it holds an older training.

    `world`: the processes that train it together; each calls this, and only rank 0 writes into the folder.
    """
    run = Run(folder) if world.leads else ReadOnly(folder)
    if world.first(lambda: finished(folder)):
        return run.read_json(DONE, *family.needs)
    if run.has(TEACHER) and not getattr(family, "taught", False):
        raise UsageError(f"{run.folder} holds a net that `reslab slim` was healing beside its teacher, so it cannot be "
                         "trained alone; run that command again to resume")  # fmt: skip
    place = world.device(device)  # a wrong word is no reason to remove a folder
    family.read(run)
    recipe = read_recipe(run)
    with contextlib.ExitStack() as stack:
        world.by_first(lambda: stack.enter_context(alone(run, family.made)))
        work = Work(run=run, recipe=recipe, device=place, progress=progress,
                    command=command or first_comment(run), world=world)  # fmt: skip
        with removed_if_failed(run, family.made):
            world.agreed(lambda: world.refuse_small(recipe.batch))
            configure(recipe)
            word, fingerprint = world.agreed(lambda: family.load(work))
        world.agreed(lambda: refuse_changed(run, word, fingerprint, family.what, lambda: family.changes(run)))
        with session(run, recipe, work.device, made=family.made, world=world):
            task, net = family.build(work)
            training = fit(task, net, recipe=recipe, run=run, progress=progress, depth=family.depth, world=world)

        def finish() -> dict[str, Any]:
            try:
                result = family.finish(work, training, lambda: account(work, training))
            except KeyboardInterrupt:
                sentence = f"stopped while {run.folder} was evaluated; run the same command again to evaluate it"
                raise Interrupted(sentence, signal.SIGINT) from None
            if world.leads:
                run.write_json(DONE, result)  # last: it means finished
                run.path(PREVIOUS).unlink(missing_ok=True)
            return result

        found: dict[str, Any] = world.ended(finish)
        return found


def refuse_changed(
    run: Run, word: str, fingerprint: str, what: str, changes: Callable[[], str] = lambda: ""
) -> None:  # fmt: skip
    """Raise ReslabError if the data are not those that the run's training started with. `changes`: what differs."""
    if fingerprint != run.read_json("data.json", "fingerprint")["fingerprint"]:
        raise ReslabError(f"the {what} {word!r} differ from those that {run.folder} started with"
                          f"{in_brackets(changes())}; restore them to resume, or choose another ",
                          arg("folder"))  # fmt: skip


def in_brackets(words: str) -> str:
    return f" ({words})" if words else ""


def account(work: Work, training: Training) -> dict[str, Any]:
    """What every result records about its training: data, length, time, speed and the command that made the run."""
    seconds = time.perf_counter() - training.began
    examples = training.iteration * training.recipe.batch
    return {
        "data": work.run.read_json("data.json", "name")["name"], "iterations": training.iteration,
        "batch": training.recipe.batch, "epochs": round(training.epoch, 3), "seed": training.recipe.seed,
        "seconds": round(seconds, 2), "examples_per_second": round(examples / max(seconds, 1e-9), 2),
        "choice": training.choice.as_dict(), "command": work.command,
        **({} if work.world.alone else {"processes": work.world.size}),
    }  # fmt: skip
