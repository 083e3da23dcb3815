"""A training session in a run folder: locked, seeded, and cleaned up if training cannot start."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence

import torch

from reslab.errors import BrokenImage, UsageError
from reslab.run import Run, environment, sweep
from reslab.train.recipe import Recipe

ALONE = ("last.pt", "weights.safetensors", "metrics.jsonl", "env.json", "normalize.json", "qa.json")  # only we write
BEFORE = ("spec.json", "recipe.toml", "data.json", "env.json", "normalize.json", "metrics.jsonl", ".lock")


@contextlib.contextmanager
def alone(run: Run) -> Iterator[None]:
    """Inside, no other process trains in the folder; temporary files of a killed one are removed."""
    with run.lock():
        sweep(run.folder, ALONE)
        yield


@contextlib.contextmanager
def session(run: Run, recipe: Recipe, device: torch.device, *, made: Sequence[str] = ()) -> Iterator[None]:
    """Inside, a training is started or resumed, with its seed. If it cannot start, the folder is removed.

    `made`: files and folders made in it besides those of every run.
    """
    run.write_json("env.json", environment(str(device), torch.get_num_threads()))
    torch.manual_seed(recipe.seed)
    try:
        if not run.has("last.pt"):  # lines of a process that was killed before its first checkpoint go
            run.forget_after(-1)
        yield
    except (UsageError, BrokenImage, RuntimeError, MemoryError):
        if not run.has("last.pt"):
            withdraw(run, made)
        raise


def withdraw(run: Run, made: Sequence[str] = ()) -> None:
    """Remove a run folder in which training could not start, so that the corrected command can reuse the folder."""
    for name in (*BEFORE, *made):
        if run.path(name).is_dir():
            shutil.rmtree(run.path(name), ignore_errors=True)
        else:
            run.path(name).unlink(missing_ok=True)
    for folder in (run.path("results"), run.folder):
        with contextlib.suppress(OSError):  # something else lies there
            folder.rmdir()
