"""Compute steps in worker processes and yield them in order: the one place that builds a DataLoader."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from reslab.errors import BrokenImage, ReslabError, Sentence, UsageError
from reslab.train.cores import usable_cores
from reslab.train.heap import keep_freed

SHARED = Path("/dev/shm")  # where Linux keeps shared memory
ROOM = 2 * 2**30  # bytes free there from which batches go through it: containers often have 64 MiB in all
WORTH_WORKERS = 2000  # images; starting processes takes about as long as decoding this many small ones


def in_order(steps: "Dataset[Any]", which: range, *, workers: int, pin: bool = False) -> Iterator[Any]:
    """`steps[t]` for each t of `which`, in order, computed by `workers` processes (0: in this one).

    A step must be a function of t alone; then the result is the same for any number of workers. Tensors come from the
    workers through shared memory, or through pipes where there is little of it. A ReslabError of a step is raised here
    as it was there.
    """
    keep_freed()
    piped = workers > 0 and little_shared_memory()
    loader: DataLoader[Any] = DataLoader(
        Careful(steps) if workers else steps,
        batch_size=None,
        sampler=which,
        num_workers=workers,
        collate_fn=_as_arrays if piped else _unchanged,
        worker_init_fn=_begin,
        prefetch_factor=2 if workers else None,
        pin_memory=pin and not piped,
        generator=torch.Generator(),  # its own, so that the global one, which dropout uses, stays untouched
    )
    for result in loader:
        if isinstance(result, Failure):
            result.throw()
        yield _as_tensors(result, pin) if piped else result


@dataclass(frozen=True)
class Failure:
    """An error of a step as a value: what a worker raises arrives as another class, with a traceback as its message."""

    sentence: Sentence
    usage: bool
    broken: tuple[str, str, int] | None

    def throw(self) -> NoReturn:
        """Raise the error."""
        if self.broken:
            raise BrokenImage(*self.broken)
        raise UsageError(self.sentence) if self.usage else ReslabError(self.sentence)


class Careful(Dataset[Any]):
    """The same steps; a ReslabError is returned as a Failure."""

    def __init__(self, steps: "Dataset[Any]") -> None:
        self.steps = steps

    def __getitem__(self, t: int) -> Any:
        try:
            return self.steps[t]
        except BrokenImage as error:
            return Failure(error.sentence, False, (error.name, error.reason, error.others))
        except ReslabError as error:
            return Failure(error.sentence, isinstance(error, UsageError), None)


def little_shared_memory() -> bool:
    """Whether several workers' batches could fill the shared memory, which would end them with a bus error."""
    try:
        found = os.statvfs(SHARED)
    except OSError:  # not Linux
        return False
    return found.f_bavail * found.f_frsize < ROOM


def decoding_workers(images: int) -> int:
    """Number of decoding workers: one per usable core up to 8, or 0 if there are too few images to benefit."""
    return min(usable_cores(), 8) if images >= WORTH_WORKERS else 0


def _unchanged(result: Any) -> Any:
    return result


def _as_arrays(result: Any) -> Any:
    """The result with NumPy arrays for tensors: these are copied through the pipe, not put into shared memory."""
    return _mapped(result, torch.Tensor, lambda tensor: tensor.numpy())


def _as_tensors(result: Any, pin: bool) -> Any:
    """The inverse of `_as_arrays`."""
    return _mapped(result, np.ndarray, lambda array: torch.from_numpy(array).pin_memory() if pin else
                   torch.from_numpy(array))  # fmt: skip


def _mapped(result: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """`change` applied to everything of the `kind` in tuples and lists."""
    if isinstance(result, kind):
        return change(result)
    if isinstance(result, tuple | list):
        return type(result)(_mapped(one, kind, change) for one in result)
    return result


def _begin(worker: int) -> None:
    keep_freed()
    gc.freeze()  # what the main process had made is not searched again and again for garbage
    _ignore_ctrl_c()


def _ignore_ctrl_c() -> None:
    # Ctrl-C, and the SIGTERM of a scheduler, reach the whole process group: the main process decides, and ends its
    # workers itself. A second SIGTERM ends a worker, should the main process have to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ignore_once)


def _ignore_once(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
