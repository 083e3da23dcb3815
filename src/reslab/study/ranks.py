"""Train a prepared run folder by several processes, each of which is the command `reslab train` in it."""

import sys
from typing import Any

from reslab.errors import ReslabError, one_line
from reslab.launch import supervise
from reslab.run import Run
from reslab.train.folder import DONE, finished
from reslab.train.signals import Interrupted


def train_by(run: Run, *, nproc: int, device: str) -> dict[str, Any]:
    """The result of the training by `nproc` processes; they are started again if one is killed.

    Raises Interrupted if they were asked to stop, ReslabError if they failed.
    """
    said: list[str] = []
    command = [sys.executable, "-m", "reslab", "train", "--resume", "--out", str(run.folder), "--device", device]
    code = 0 if finished(run.folder) else supervise(command, nproc=nproc, say=said.append)
    if code > 128:
        raise Interrupted(f"stopped; the same command resumes {run.folder}", code - 128)
    if code:
        why = one_line(said[-1]) if said else f"they ended with exit code {code}"
        raise ReslabError(f"{nproc} processes: {why}; `reslab train --resume --out {run.folder} --nproc {nproc}` shows "
                          "what they print")  # fmt: skip
    found: dict[str, Any] = run.read_json(DONE)
    return found
