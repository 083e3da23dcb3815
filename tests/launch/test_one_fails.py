"""An error in one process alone: all end, one sentence says why, and it is tried again only if that may help."""

import re
import sys
import time
from pathlib import Path

import pytest
import torch
from launch_trainings import QUICK, finish, start
from ranks import start as start_ranks

from reslab.run import Run
from reslab.train.checkpoint import read_last
from reslab.train.exchange import Lost
from reslab.train.passing import may_pass

# Each rank trains as usual; in step 3 of rank 1 its folder's failure.txt is run.
FAILING = """
import os, sys
from pathlib import Path
from reslab.cli import main
from reslab.train.supervised import tie

if __name__ == "__main__":
    tie()
    from reslab.train.training import Training
    plain = Training.step
    def step(self, batch):
        if os.environ["RANK"] == "1" and self.iteration == 2:
            exec(Path(sys.argv[1], "failure.txt").read_text())
        return plain(self, batch)
    Training.step = step
    sys.exit(main(sys.argv[2:]))
"""
UNFORESEEN = "(unexpected: please report it with the output of --debug)"


def words(run: Run, pngs: Path) -> list[str]:
    return ["train", "--net", "resnet8", "--recipe", "digits", "--data", str(pngs), "--out", str(run.folder), "--batch",
            "8", "--iterations", "6", *QUICK]  # fmt: skip


def whole(run: Run) -> None:
    """The folder holds the first checkpoint, with which the training can be resumed, and no file half written."""
    saved = read_last(run)
    assert saved is not None
    assert saved["iteration"] == 0
    assert not run.has("results/train.json")
    assert [path.name for path in run.folder.rglob("*") if path.name.startswith(".")] == [".lock"]


def failing(notes: Path, how: str) -> None:
    notes.mkdir()
    (notes / "failure.txt").write_text(how)


@pytest.mark.timeout(900)
def test_an_error_of_one_rank_ends_all(pngs: Path, tmp_path: Path) -> None:
    """A bug that shows in rank 1 alone: no restart, exit code 1, one sentence, nothing half written."""
    run, notes = Run(tmp_path / "run"), tmp_path / "notes"
    failing(notes, "raise ValueError('planted')")
    supervisor = start(notes, words(run, pngs), program=FAILING, nproc=2)
    printed = finish(notes, supervisor, seconds=600, code=1)
    last = printed.splitlines()[-1]
    assert last == f"rank 1 ended with exit code 1 (ValueError: planted {UNFORESEEN})"
    assert printed.count("planted") == 1
    assert "restart" not in printed
    whole(run)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("how", "code", "sentence"), [
    ("raise MemoryError", 75, r"out of memory with batches of 8: .*"),
    ("import torch\nraise torch.OutOfMemoryError('CUDA out of memory')", 75, r"out of memory with batches of 8: .*"),
    ("raise RuntimeError('DataLoader worker (pid 1) is killed by signal: Killed. ')", 75, "RuntimeError: .* Killed.*"),
    ("import sys\nsys.exit(5)", 1, r"code that was run called sys.exit\(5\); nothing more was done"),
    ("from reslab.errors import UsageError\nraise UsageError('such a file cannot be read')", 2,
     "such a file cannot be read"),
])  # fmt: skip
def test_memory_is_tried_again_other_errors_are_not(
    how: str, code: int, sentence: str, pngs: Path, tmp_path: Path
) -> None:
    """With one restart: out of memory comes again, and it gives up; an error of Python is said at once."""
    run, notes = Run(tmp_path / "run"), tmp_path / "notes"
    failing(notes, how)
    supervisor = start(notes, words(run, pngs), program=FAILING, nproc=2, restarts=1)
    printed = finish(notes, supervisor, seconds=900, code=1 if code == 75 else code)
    why = rf"rank 1 ended with exit code {code} \({sentence}\)"
    if code == 75:
        assert re.search(rf"^{why}; restarting all processes .* \(restart 1 of 1 without", printed, re.MULTILINE)
        assert re.search(rf"^{why}; gave up after 1 restart without a new checkpoint", printed, re.MULTILINE)
    else:
        assert re.fullmatch(why, printed.splitlines()[-1])
        assert "restart" not in printed
    whole(run)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_supervisor_the_others_end_too(pngs: Path, tmp_path: Path) -> None:
    """Started with torchrun's variables alone: rank 1 says its sentence, rank 0 ends with the same exit code."""
    run, notes = Run(tmp_path / "run"), tmp_path / "notes"
    failing(notes, "raise ValueError('planted')")
    (notes / "program.py").write_text(FAILING)
    began = time.monotonic()
    ranks = start_ranks([sys.executable, str(notes / "program.py"), str(notes), *words(run, pngs)], 2)
    try:
        told = [rank.communicate(timeout=600)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert time.monotonic() - began < 600
    assert [rank.returncode for rank in ranks] == [1, 1]
    assert f"reslab: process 1 of 2: ValueError: planted {UNFORESEEN}" in told[1].splitlines()
    assert "reslab:" not in told[0]
    whole(run)


def test_which_failures_may_pass() -> None:
    memory, wrapped = MemoryError(), RuntimeError("out of memory with batches of 8")
    wrapped.__cause__ = memory
    dead = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    for passing in (memory, wrapped, dead, Lost("gone"), torch.OutOfMemoryError("CUDA out of memory"), OSError(12, "")):
        assert may_pass(passing)
    for lasting in (ValueError("planted"), RuntimeError("shapes differ"), OSError(5, ""), FileNotFoundError(2, "")):
        assert not may_pass(lasting)
