"""Out of memory: recognized on every device, and one sentence on what needs less."""

import contextlib
from collections.abc import Iterator

import torch

from reslab.errors import ReslabError, Sentence, arg
from reslab.run import Run
from reslab.train.checkpoint import LAST
from reslab.train.recipe import Recipe

MARKS = ("MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory")


def is_full(error: BaseException) -> bool:
    """Whether an error says that a device, or the computer, has no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or (isinstance(error, RuntimeError) and any(mark in str(error) for mark in MARKS))


def free() -> None:
    """Give back what PyTorch keeps of a device's memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextlib.contextmanager
def explained(run: Run, recipe: Recipe) -> Iterator[None]:
    """Inside, running out of memory is a ReslabError that names what needs less; the folder's checkpoint stays."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_full(error):
            raise
        kept = f"; the last checkpoint in {run.folder} is as it was" if run.has(LAST) else ""
        raise ReslabError(f"out of memory with batches of {recipe.batch}: ", *less(recipe), kept) from error


def less(recipe: Recipe) -> tuple[object, ...]:
    """What needs less memory, as parts of a sentence."""
    ways: list[tuple[object, ...]] = []
    parts = 2 * recipe.accumulate
    if parts <= recipe.batch:
        ways.append((arg("accumulate", parts), " (the same update, in parts)"))
    if recipe.batch > 1:
        ways.append((arg("batch", max(1, recipe.batch // 2)),))
    if recipe.precision != "bf16":
        ways.append((arg("precision", "bf16"),))
    ways.append(("a smaller ", arg("size")))
    listed = [Sentence(*way) for way in ways]
    between = [part for one in listed[:-1] for part in (one, ", ")][:-1]
    return (*between, " or " if between else "", listed[-1], " may fit")
