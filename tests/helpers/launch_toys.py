"""Toy programs in the place of ranks, and supervisors of them in processes of their own."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RANK = """
import os, signal, sys, time
from pathlib import Path
from reslab.train.supervised import AGAIN, tell_saved, tie
tie()
rank, here = int(os.environ["RANK"]), Path(sys.argv[1])
start = 1 + int(os.environ["TORCHELASTIC_RESTART_COUNT"])
with (here / f"started.{rank}").open("a") as file:
    file.write(f"{os.getpid()}\\n")
(here / f"start.{rank}.{start}").touch()

def see(name):
    while not (here / name).exists():
        time.sleep(0.02)
"""
SUPERVISOR = """
import sys
from reslab.launch import supervise
words = sys.argv[3:]
options = {key: int(value) if value.isdigit() else value for key, value in (word.split("=") for word in words)}
say = lambda line: print(line, file=sys.stderr, flush=True)
raise SystemExit(supervise([sys.executable, sys.argv[1], sys.argv[2]], say=say, **options))
"""


class Toys:
    """A program of ranks, its folder, and the supervisors that run it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program = folder, folder / "program.py"
        self.program.write_text(RANK + program)
        self.supervisors: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A supervisor with the options, such as nproc=2."""
        self.supervisors.append(subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(self.program), str(self.folder), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
        return self.supervisors[-1]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """The same, to its end."""
        return ended(self.start(*words))

    def pids(self, rank: int) -> list[int]:
        """The processes of a rank, one for each start."""
        path = self.folder / f"started.{rank}"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait(self, *ranks: int, starts: int = 1) -> list[int]:
        """Their processes, once each has been started so often."""
        until(lambda: all(len(self.pids(rank)) >= starts for rank in ranks))
        return [self.pids(rank)[starts - 1] for rank in ranks]


def ended(process: "subprocess.Popen[str]", *, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
    out, err = process.communicate(timeout=seconds)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(found: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def state(pid: int) -> str:
    """Its state as Linux has it: R, S, T (stopped) ...; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def runs(pid: int) -> bool:
    """Whether there is such a process; not if it has ended and its parent has not yet asked how."""
    return state(pid) not in ("", "Z", "X")
