"""Train several nets in parallel, each in its own process: one small net leaves most of a machine idle."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from reslab.errors import Argument, ReslabError, Sentence, UsageError, arg
from reslab.progress import Progress, Rows, quiet, to_parent
from reslab.progress.parent import pass_on
from reslab.study.child import STOPPED, Child
from reslab.study.pool import Failed, Outcome, work_off
from reslab.train.cores import usable_cores
from reslab.train.folder import finished


def fair_jobs(runs: int, *, each: int = 1) -> int:
    """How many trainings of `each` cores to run at once on a CPU; one on an accelerator (its memory is unknown)."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return 1
    return max(1, min(runs, usable_cores() // each))


def train_all(folders: Sequence[Path], *, jobs: int, device: str = "auto", rows: Rows = quiet) -> None:
    """Train every run folder that is not finished, `jobs` at a time, in order.

    SIGINT or SIGTERM stops the children: each saves and exits, then Interrupted is raised; on a second signal they exit
    at once. Raises ReslabError for the first failure, after the others have been stopped at their next step. What is
    finished stays finished.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be positive, got {jobs}")
    waiting = [folder for folder in folders if not finished(folder)]
    failed = work_off(dict.fromkeys(waiting, ()), [Trainer(device, rows) for _ in waiting[:jobs]])
    for folder, failure in failed.items():
        raise ReslabError(f"{folder.name}: ", failure.why or f"the process ended with code {failure.code}")


class Trainer:
    """A hand that trains each run folder in a process of its own."""

    def __init__(self, device: str, rows: Rows) -> None:
        self.device, self.rows = device, rows
        self.child = Child()

    def do(self, folder: Path) -> Outcome:
        child = self.child.begin(lambda _: start(folder, self.device))
        if child is None:
            return STOPPED
        last = ""
        try:
            last = follow(child, self.rows(folder.name))
        finally:
            assert child.stdout is not None
            child.stdout.close()
            code = child.wait()
        return Failed(why=last, code=code) if code else None

    def stop(self) -> None:
        self.child.stop()

    def close(self) -> None:
        """Nothing is left: every process has ended."""


def follow(child: "subprocess.Popen[str]", progress: Progress) -> str:
    """Pass on a child's progress until it ends; returns its error's sentence, or the last line of something else."""
    last, said = "", Sentence()
    assert child.stdout is not None
    for line in child.stdout:
        if not pass_on(line, progress):
            said = heard(line) or said
            last = line.strip() or last
    return said or last


def spoken(error: ReslabError) -> str:
    """An error's sentence as a line of JSON, with its arguments: the parent words them as it words its own."""
    return json.dumps({"error": [
        {"name": part.name, **({} if part.value is ... else {"value": part.value})} if isinstance(part, Argument)
        else part for part in error.sentence.parts
    ]})  # fmt: skip


def heard(line: str) -> Sentence:
    """The sentence of `spoken`; of any other line an empty one."""
    try:
        parts = json.loads(line)["error"]
        return Sentence(*(arg(part["name"], whole(part.get("value", ...))) if isinstance(part, dict) else part
                          for part in parts))  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return Sentence()


def whole(value: Any) -> Any:
    """An argument's value as it was: JSON has no tuples, and an argument no lists."""
    if isinstance(value, list):
        return tuple(map(whole, value))
    return {key: whole(one) for key, one in value.items()} if isinstance(value, dict) else value


def start(folder: Path, device: str) -> "subprocess.Popen[str]":
    """A process that trains one folder and writes its progress as JSON lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "reslab.study.jobs", str(folder), device, str(os.getpid())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,  # otherwise Ctrl-C would reach it twice: the second stops it before it has saved
    )  # fmt: skip


def leave_with(parent: int) -> None:
    """Save and exit if the parent is killed: no one would read this process's output, and it would keep the lock."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def child_main(folder: str, device: str) -> int:
    """What a child process does: train one folder; an error is a line of JSON, as `spoken` makes it."""
    from reslab.images.train import train

    display = to_parent()
    try:
        train(folder, device=device, progress=display.row(folder))
    except ReslabError as error:
        print(spoken(error), flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        display.close()
    return 0


if __name__ == "__main__":
    threading.Thread(target=leave_with, args=(int(sys.argv[3]),), daemon=True).start()
    raise SystemExit(child_main(*sys.argv[1:3]))
