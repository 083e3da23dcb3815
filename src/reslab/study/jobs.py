"""Several trainings side by side, one process each: small nets leave most of a machine idle."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from reslab.errors import ReslabError, UsageError
from reslab.progress import Progress, Rows, quiet, to_parent
from reslab.progress.parent import pass_on
from reslab.train.folder import finished
from reslab.train.signals import Interrupted, Stop
from reslab.train.workers import usable_cores


def fair_jobs(runs: int) -> int:
    """How many trainings to run at once: one a core on a CPU, one on an accelerator (its memory is unknown)."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return 1
    return max(1, min(runs, usable_cores()))


def train_all(folders: Sequence[Path], *, jobs: int, device: str = "auto", rows: Rows = quiet) -> None:
    """Train every run folder that is not finished, `jobs` at a time, in order.

    SIGINT or SIGTERM stops the children: each saves and leaves, then Interrupted is raised; at the second they leave
    at once. Raises ReslabError with the first failure, after the others have been stopped at their next step;
    everything finished stays finished.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be positive, got {jobs}")
    waiting = [folder for folder in folders if not finished(folder)]
    running: dict[Path, subprocess.Popen[str]] = {}
    failed: list[tuple[Path, str, int]] = []
    ended = threading.Condition()

    def watch(folder: Path, child: subprocess.Popen[str]) -> None:
        last = ""
        try:
            last = follow(child, rows(folder.name))
        finally:
            assert child.stdout is not None
            child.stdout.close()
            code = child.wait()
            with ended:
                del running[folder]
                if code:
                    failed.append((folder, last, code))
                ended.notify()

    with Stop() as asked:
        try:
            stopping = False
            while running or (waiting and not stopping):
                with ended:
                    while waiting and not stopping and len(running) < jobs:
                        folder = waiting.pop(0)
                        running[folder] = start(folder, device)
                        threading.Thread(target=watch, args=(folder, running[folder]), daemon=True).start()
                    ended.wait(timeout=0.5)
                if (failed or asked.asked) and not stopping:
                    stopping = True
                    stop(running)  # once: a second signal would not let them save
        except BaseException:
            stop(running)
            for child in list(running.values()):
                child.wait()
            raise
        if asked.asked:
            raise Interrupted("stopped; the same command goes on from there", asked.asked)
    if failed:
        folder, last, code = failed[0]
        raise ReslabError(f"{folder.name}: {last or f'the process ended with code {code}'}")


def follow(child: "subprocess.Popen[str]", progress: Progress) -> str:
    """Pass a child's progress on until it ends; the last line it wrote that is not progress."""
    last = ""
    assert child.stdout is not None
    for line in child.stdout:
        if not pass_on(line, progress):
            last = line.strip() or last
    return last


def start(folder: Path, device: str) -> "subprocess.Popen[str]":
    """A process that trains one folder and writes its progress as JSON lines."""
    return subprocess.Popen(
        [sys.executable, "-m", "reslab.study.jobs", str(folder), device, str(os.getpid())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,  # else Ctrl-C would reach it twice, the second time without leave to save
    )  # fmt: skip


def stop(running: dict[Path, "subprocess.Popen[str]"]) -> None:
    """Ask every child to save and leave."""
    for child in list(running.values()):
        if child.poll() is None:
            child.terminate()


def leave_with(parent: int) -> None:
    """Save and leave when the parent is killed: nobody would hear this process, and its folder would stay locked."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def child_main(folder: str, device: str) -> int:
    """What a child process does: train one folder; an error is its last line."""
    from reslab.images.train import train

    display = to_parent()
    try:
        train(folder, device=device, progress=display.row(folder))
    except ReslabError as error:
        print(error, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        display.close()
    return 0


if __name__ == "__main__":
    threading.Thread(target=leave_with, args=(int(sys.argv[3]),), daemon=True).start()
    raise SystemExit(child_main(*sys.argv[1:3]))
