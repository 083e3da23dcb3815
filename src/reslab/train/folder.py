"""What a run folder of any family holds, and what its recipe sets in the process."""

import os
import sys
from pathlib import Path
from typing import Literal

import torch

from reslab.errors import ReslabError, UsageError
from reslab.run import Run, missing
from reslab.stored import read as stored
from reslab.stored.files import read_text
from reslab.train.cores import usable_cores
from reslab.train.recipe import Recipe, read

DONE = "results/train.json"


def finished(folder: Path | str) -> bool:
    """Whether a run folder holds a result and its weights; if not, training resumes from last.pt."""
    return Run(folder).has(DONE) and Run(folder).has("weights.safetensors")


def pick_device(name: str = "auto") -> torch.device:
    """The device to train on; "auto": CUDA, else MPS, else the CPU. Raises UsageError for one that is not available."""
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"device {name!r} is not available on this machine; run `reslab doctor` to see which are"
        ) from error
    return device


def read_recipe(run: Run) -> Recipe:
    """The recipe of a run folder. Raises ReslabError if it is missing or damaged."""
    path = run.path("recipe.toml")
    if not run.has("recipe.toml"):
        raise missing(path)
    stored.read_recipe(path)  # its digest
    try:
        return read(path)
    except UsageError as error:
        raise ReslabError(error, "; restore a copy of it") from error


def check_resources(recipe: Recipe) -> None:
    """Raise UsageError for so many threads or workers that a process cannot start them."""
    cores = usable_cores()
    most = max(256, 4 * cores)
    for key in ("threads", "workers"):
        if getattr(recipe, key) > most:
            usable = f"{cores} usable core{'s' * (cores > 1)}"
            raise UsageError(f"{key} must be at most {most:,} on this machine ({usable}), got {getattr(recipe, key):,}")


def configure(recipe: Recipe) -> None:
    """Set the process's threads and determinism as the recipe says. Raises UsageError as `check_resources` does."""
    check_resources(recipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if recipe.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_deterministic("error" if recipe.deterministic else "default", compiles=recipe.compile != "off")
    torch.backends.cudnn.benchmark = not recipe.deterministic


def set_deterministic(mode: Literal["default", "warn", "error"], *, compiles: bool = True) -> None:
    """Switch torch's deterministic algorithms on ("error", "warn") or off ("default").

    torch.use_deterministic_algorithms also tells the compiler, which it imports for that: 1.3 s of each start. It is
    called only if the compiler is there already, or if what follows may compile deterministically.
    """
    if "torch._inductor" in sys.modules or (compiles and mode != "default"):
        torch.use_deterministic_algorithms(mode != "default", warn_only=mode == "warn")
    else:
        torch.set_deterministic_debug_mode(mode)


def first_comment(run: Run) -> str:
    """The command that made the folder: the first line of the recipe."""
    return read_text(run.path("recipe.toml")).partition("\n")[0].removeprefix("# ")
