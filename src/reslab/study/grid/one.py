"""One cell in the cache: read it, or do it, never twice."""

import json
import os
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError, first_line
from reslab.progress import Progress, silent
from reslab.run import Locked, Run
from reslab.stored.files import MissingFile
from reslab.study.grid.cell import Cell, Found
from reslab.study.grid.works import WORKS
from reslab.train.folder import set_deterministic

DONE = "cell.json"  # in a cell's folder, once it is done
TRACE = "error.txt"  # the traceback of a fault that is not explained in a sentence


def read(one: Cell, cache: Path) -> Found | None:
    """What the cell found, if it is done. Raises ReslabError if its file is damaged."""
    folder = Run(cache / one.key)
    if not folder.has(DONE):
        return None
    try:
        kept = folder.read_json(DONE, "work", "settings", "values", "seconds")
    except MissingFile:  # removed since
        return None
    if kept["work"] != one.work or json.dumps(kept["settings"], sort_keys=True) != one.text:
        raise ReslabError(f"{folder.path(DONE)} is damaged: it is the result of other settings")
    return Found(folder=folder.folder, values=kept["values"], seconds=kept["seconds"])


def do(one: Cell, cache: Path, *, device: str = "auto", progress: Progress = silent) -> None:
    """Do the cell in this process, unless it is done; what it needs must be done. A damaged result is done again.

    Raises Locked while another process does it, and what its work raises; of a fault that no sentence explains, the
    traceback is kept in the cell's folder.
    """
    folder = Run(cache / one.key)
    folder.make()
    with folder.lock():
        if sound(one, cache):
            return
        alike(one)
        began = cpu_seconds()
        try:
            values = WORKS[one.work].load().work(
                folder.folder, one.settings, [cache / needed.key for needed in one.needs], device=device,
                progress=progress,
            )  # fmt: skip
            folder.write_json(DONE, {"work": one.work, "settings": one.settings, "values": values,
                                     "seconds": cpu_seconds() - began})  # fmt: skip
        except ReslabError:
            raise
        except Exception as error:
            trace = folder.write_text(TRACE, traceback.format_exc())
            kind = type(error).__name__
            said = first_line(error)
            raise ReslabError(f"{kind}{'' if said == kind else f': {said}'} (traceback: {trace})") from error
        folder.path(TRACE).unlink(missing_ok=True)


def cpu_seconds() -> float:
    """CPU time of this process and of those that it started and that have ended, as the processes of a training."""
    return sum(os.times()[:4])


def sound(one: Cell, cache: Path) -> bool:
    try:
        return read(one, cache) is not None
    except ReslabError:
        return False


def wait_for(one: Cell, cache: Path, **how: Any) -> Found:
    """The cell and all that it needs, done in this process or waited for while another does it."""
    for needed in one.needs:
        if not sound(needed, cache):
            wait_for(needed, cache, **how)
    while True:
        try:
            do(one, cache, **how)
        except Locked:
            time.sleep(1)
            continue
        found = read(one, cache)
        assert found is not None
        return found


def alike(one: Cell) -> None:
    """Begin every cell from the same state, whatever this process did before: no result depends on the worker."""
    seed = int(one.key, 16)
    torch.set_num_threads(1)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    set_deterministic("default")
    torch.manual_seed(seed)  # works draw from their own seed; one that forgets it is still repeatable
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
