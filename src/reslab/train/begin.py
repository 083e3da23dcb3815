"""The beginning of a training in a run folder: alone in it, seeded, and withdrawn where it cannot begin."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence

import torch

from reslab.errors import BrokenImage, UsageError
from reslab.run import Run, environment, sweep
from reslab.train.recipe import Recipe

ALONE = ("last.pt", "weights.safetensors", "metrics.jsonl", "env.json", "normalize.json", "qa.json")  # only we write


@contextlib.contextmanager
def alone(run: Run) -> Iterator[None]:
    """Inside, nobody else trains in the folder; what a killed process left aside is gone."""
    with run.lock():
        sweep(run.folder, ALONE)
        yield


@contextlib.contextmanager
def beginning(run: Run, recipe: Recipe, device: torch.device, *, folders: Sequence[str] = ()) -> Iterator[None]:
    """Inside, a training is begun or taken up, seeded. Where it cannot begin, the folder is withdrawn.

    `folders`: what was made in it beside the files of every run.
    """
    run.write_json("env.json", environment(str(device), torch.get_num_threads()))
    torch.manual_seed(recipe.seed)
    try:
        if not run.has("last.pt"):  # begun anew: lines of a process killed before its first checkpoint go
            run.forget_after(-1)
        yield
    except (UsageError, BrokenImage, RuntimeError, MemoryError):
        if not run.has("last.pt"):
            withdraw(run, folders)
        raise


def withdraw(run: Run, folders: Sequence[str] = ()) -> None:
    """Remove a run folder in which training could not begin: mended, its command shall not find another run there."""
    tables = ("encoder.json", "encoder.safetensors", "target.json")
    both = ("spec.json", "recipe.toml", "data.json", "env.json", "normalize.json", "metrics.jsonl", ".lock")
    for name in (*both, *tables):
        run.path(name).unlink(missing_ok=True)
    for name in folders:
        shutil.rmtree(run.path(name), ignore_errors=True)
    for folder in (run.path("results"), run.folder):
        with contextlib.suppress(OSError):  # something else lies there
            folder.rmdir()
