"""A training session in a run folder: locked, seeded, and cleaned up if training cannot start."""

import contextlib
import shutil
import warnings
from collections.abc import Iterator, Sequence

import torch

from reslab.run import Run, environment
from reslab.stored.write import sweep
from reslab.train.checkpoint import LAST, PREVIOUS, recover
from reslab.train.folder import DONE
from reslab.train.generators import seed_all
from reslab.train.recipe import Recipe
from reslab.train.world import ALONE, World

OWN = (  # only we write
    LAST,
    PREVIOUS,
    "weights.safetensors",
    "metrics.jsonl",
    "env.json",
    "normalize.json",
    "qa.json",
)
PREPARED = (
    "recipe.toml",
    "data.json",
    "start.safetensors",
    "start.json",
)  # made before spec.json, with which a folder is a run
BEFORE = (
    "spec.json",
    *PREPARED,
    "env.json",
    "normalize.json",
    "metrics.jsonl",
    "tensorboard",
    ".lock",
)


@contextlib.contextmanager
def alone(run: Run, made: Sequence[str] = ()) -> Iterator[None]:
    """Inside, no other process trains in the folder; temporary files of a killed one are removed.

    If last.pt was lost from a training that is not finished, previous.pt takes its place.

    `made`: files and folders made in it besides those of every run.
    """
    with run.lock():
        sweep(run.folder, (*OWN, *PREPARED, "spec.json", *made))
        if not run.has(DONE):
            recover(run)
        yield


@contextlib.contextmanager
def removed_if_failed(run: Run, made: Sequence[str] = ()) -> Iterator[None]:
    """Inside, whatever ends the work before the first checkpoint removes the folder, unless it holds an older training.

    `made`: files and folders made in it besides those of every run.
    """
    fresh = run.writes and is_fresh(run)
    try:
        yield
    except BaseException:  # Ctrl-C, too
        if fresh and not run.has(LAST):
            withdraw(run, made)
        raise


def is_fresh(run: Run) -> bool:
    """Whether nothing has been trained in the folder: a process may have been killed there before its first step."""
    if any(map(run.has, (LAST, "weights.safetensors", DONE))):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged lines: they are reported where the log is used
        return not any(event.get("iteration", 0) > 0 for event in run.metrics())


@contextlib.contextmanager
def session(
    run: Run, recipe: Recipe, device: torch.device, *, made: Sequence[str] = (), world: World = ALONE
) -> Iterator[None]:  # fmt: skip
    """Inside, a training is started or resumed, with its seed. If it cannot start, the folder is removed.

    `made`: files and folders made in it besides those of every run.
    """
    with removed_if_failed(run, made):
        many = {} if world.alone else {"processes": world.size}
        run.write_json("env.json", environment(str(device), torch.get_num_threads()) | many)
        seed_all(recipe.seed)
        if not run.has(LAST):  # lines of a process that was killed before its first checkpoint go
            run.forget_after(-1)
        yield


def withdraw(run: Run, made: Sequence[str] = ()) -> None:
    """Remove a run folder in which training could not start, so that the corrected command can reuse the folder."""
    for name in (*BEFORE, *made):
        if run.path(name).is_dir():
            shutil.rmtree(run.path(name), ignore_errors=True)
            continue
        with contextlib.suppress(OSError):  # it is not there
            run.path(name).unlink()
    for folder in (run.path("results"), run.folder):
        with contextlib.suppress(OSError):  # something else lies there
            folder.rmdir()
