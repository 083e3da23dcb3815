"""Several trainings side by side, one process each: small nets leave most of a machine idle."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from reslab.errors import ReslabError
from reslab.train.start import DONE

Told = Any  # Callable[[Path, dict], None]: a run's folder and its last progress line


def fair_jobs(runs: int) -> int:
    """How many trainings to run at once: one a core on a CPU, one on an accelerator (its memory is unknown)."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return 1
    return max(1, min(runs, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def train_all(
    folders: Sequence[Path], *, jobs: int, device: str = "auto", told: Told = lambda folder, line: None
) -> None:
    """Train every run folder that is not finished, `jobs` at a time, in order.

    SIGINT or SIGTERM reaches the children too (they save and leave). Raises ReslabError with the first failure,
    after the others have been stopped at their next step; everything finished stays finished.
    """
    waiting = [folder for folder in folders if not (folder / DONE).exists()]
    running: dict[Path, subprocess.Popen[str]] = {}
    failed: list[tuple[Path, str, int]] = []
    ended = threading.Condition()

    def watch(folder: Path, child: subprocess.Popen[str]) -> None:
        last = ""
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):
                told(folder, json.loads(line))
            elif line.strip():
                last = line.strip()
        code = child.wait()
        with ended:
            del running[folder]
            if code:
                failed.append((folder, last, code))
            ended.notify()

    try:
        with ended:
            while (waiting and not failed) or running:
                while waiting and not failed and len(running) < jobs:
                    folder = waiting.pop(0)
                    running[folder] = start(folder, device)
                    threading.Thread(target=watch, args=(folder, running[folder]), daemon=True).start()
                ended.wait(timeout=0.5)
                if failed:
                    stop(running)
    except BaseException:
        stop(running)
        for child in list(running.values()):
            child.wait()
        raise
    if failed:
        folder, last, code = failed[0]
        raise ReslabError(f"{folder.name}: {last or f'the process ended with code {code}'}")


def start(folder: Path, device: str) -> "subprocess.Popen[str]":
    """A process that trains one folder and tells its progress as JSON lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "reslab.train.parallel", str(folder), device],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def stop(running: dict[Path, "subprocess.Popen[str]"]) -> None:
    """Ask every child to save and leave."""
    for child in list(running.values()):
        if child.poll() is None:
            child.terminate()


def child_main(folder: str, device: str) -> int:
    """What a child process does: train one folder; an error is its last line."""
    from reslab.train.progress import piped
    from reslab.train.start import train

    try:
        train(folder, device=device, tell=piped)
    except ReslabError as error:
        print(error, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(child_main(*sys.argv[1:]))
