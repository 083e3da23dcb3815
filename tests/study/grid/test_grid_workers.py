"""Real worker processes: the bits of a training alone, stops, deaths, two commands at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, Sentence
from reslab.images.data import ImageData, load
from reslab.run import Locked, Run
from reslab.study.grid import Cell, run
from reslab.study.grid.cell import cell
from reslab.study.grid.one import do, read, wait_for
from reslab.study.work.train import RUN

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def train_cells(word: Path, *seeds: int, iterations: int = 6, net: str = "resnet8") -> list[Cell]:
    data: ImageData = load(str(word))
    about = {"word": str(word), "options": {}, "fingerprint": data.fingerprint}
    changes = {"epochs": 0, "drops": [], "iterations": iterations, "batch": 8}
    return [cell("train", {"net": net, "recipe": "digits", "options": {"widths": [4, 4, 4]}, "changes": changes,
                           "data": about, "seed": seed}) for seed in seeds]  # fmt: skip


def test_in_a_worker_as_alone(pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """The second cell of one worker: the same bits as alone in this process. A failing one does not end the worker."""
    first, second = train_cells(pngs, 0, 1)
    (bad,) = train_cells(pngs, 2, net="resnet9")
    failures: dict[Cell, Sentence] = {}
    found = run([bad, first, second], tmp_path / "many", jobs=1, failures=failures)
    assert list(failures) == [bad]
    assert failures[bad].startswith(f"{bad.name}: no net named 'resnet9': ImageNet depths are")
    do(second, tmp_path / "alone")
    alone = read(second, tmp_path / "alone")
    assert alone is not None
    assert found[second].values == alone.values
    same_end(Run(alone.folder / RUN), Run(found[second].folder / RUN))
    do(second, tmp_path / "alone")  # done: nothing happens
    Run(tmp_path / "alone" / first.key).make()
    with Run(tmp_path / "alone" / first.key).lock(), pytest.raises(Locked):
        do(first, tmp_path / "alone")


def test_a_fault_leaves_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a fault that no sentence explains; gone once the cell is done."""
    faulty = True

    def work(folder: Path, *_: Any, **__: Any) -> dict[str, Any]:
        if faulty:
            raise ZeroDivisionError("by nothing")
        return {"nan": float("nan"), "kept": (folder / "error.txt").exists()}

    monkeypatch.setattr("reslab.study.work.train.work", work)
    one = cell("train", {"seed": 0})
    with pytest.raises(ReslabError, match=r"^ZeroDivisionError: by nothing \(traceback: .*error\.txt\)$"):
        do(one, tmp_path)
    assert "Traceback" in (tmp_path / one.key / "error.txt").read_text()
    faulty = False
    found = wait_for(one, tmp_path)
    assert found.values == {"nan": None, "kept": True}
    assert not (tmp_path / one.key / "error.txt").exists()


MANY = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
from test_grid_workers import train_cells
from reslab.errors import ReslabError, Sentence
from reslab.study.grid import run
if __name__ == "__main__":
    cells = train_cells(Path(sys.argv[3]), *map(int, sys.argv[5:]), iterations=int(sys.argv[4]))
    try:
        run(cells, Path(sys.argv[2]), jobs=2, device="cpu", say=lambda text: print(text, flush=True))
    except ReslabError as error:
        print(error)
        sys.exit(error.exit_code)
"""


@contextmanager
def command(cache: Path, *words: object) -> Iterator["subprocess.Popen[str]"]:
    code = [sys.executable, "-c", MANY, str(Path(__file__).parent), str(cache), *map(str, words)]
    child = subprocess.Popen(code, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def runs_of(cache: Path, cells: list[Cell]) -> list[Run]:
    return [Run(cache / one.key / RUN) for one in cells]


def until(condition: Any, child: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition() and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def resumes(folder: Run) -> int:
    return sum(event["event"] == "resume" for event in folder.metrics())


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_and_the_same_command_resumes(
    number: signal.Signals, pngs: Path, tmp_path: Path, same_end: Any
) -> None:
    """Ctrl-C reaches the whole group of a terminal at once, SIGTERM the parent only. The end is that of one go."""
    cells = train_cells(pngs, 0, 1, iterations=200)
    with command(tmp_path / "cache", pngs, 200, 0, 1) as child:
        until(lambda: all(len(folder.metrics()) > 2 for folder in runs_of(tmp_path / "cache", cells)), child)
        os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
        said, _ = child.communicate(timeout=60)
    assert said.splitlines()[1:] == ["stopped; run the same command again to resume"]
    assert child.returncode == 128 + number
    for folder in runs_of(tmp_path / "cache", cells):
        assert folder.has("last.pt")
        with folder.lock():
            pass  # nobody trains there any more
    assert all(read(one, tmp_path / "cache") is None for one in cells)
    run(cells, tmp_path / "cache", jobs=2, device="cpu")
    assert [resumes(folder) for folder in runs_of(tmp_path / "cache", cells)] == [1, 1]
    do(cells[0], tmp_path / "alone", device="cpu")
    same_end(*(runs_of(tmp_path / where, cells)[0] for where in ("alone", "cache")))


@posix
@pytest.mark.slow
def test_a_worker_killed_midway_loses_nothing(pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """kill -9 of the worker that trains seed 0; the other is not disturbed."""
    cells = train_cells(pngs, 0, 1, iterations=200)
    folders = runs_of(tmp_path / "cache", cells)
    with command(tmp_path / "cache", pngs, 200, 0, 1) as child:
        until(lambda: all(len(folder.metrics()) > 2 for folder in folders), child)
        victim = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True)
        os.kill(int(victim.stdout.split()[0]), signal.SIGKILL)
        said, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert said.count("its worker process was killed by signal 9 (out of memory?); it is started again") == 1
    for one, folder in zip(cells, folders, strict=True):
        assert read(one, tmp_path / "cache") is not None
        assert max(event["iteration"] for event in folder.metrics() if "iteration" in event) == 200
    do(cells[0], tmp_path / "alone", device="cpu")
    same_end(runs_of(tmp_path / "alone", cells)[0], folders[0])


@posix
@pytest.mark.slow
def test_workers_leave_when_the_command_is_killed(pngs: Path, tmp_path: Path) -> None:
    """kill -9 of the command: each worker saves and ends, and the locks are free."""
    cells = train_cells(pngs, 0, iterations=100_000)
    (folder,) = runs_of(tmp_path, cells)
    with command(tmp_path, pngs, 100_000, 0) as child:
        until(lambda: len(folder.metrics()) > 2, child)
        child.kill()
        child.wait()
        for _ in range(400):
            try:
                with folder.lock(), Run(tmp_path / cells[0].key).lock():
                    break
            except Locked:
                time.sleep(0.05)
        else:
            pytest.fail("the worker is still there")
    assert folder.has("last.pt")


@posix
@pytest.mark.slow
def test_two_commands_share_a_cache(pngs: Path, tmp_path: Path) -> None:
    """Started together, with one worker of their own each at least: every cell is trained once, both exit with 0."""
    cells = train_cells(pngs, 0, 1, 2, iterations=60)
    with command(tmp_path, pngs, 60, 0, 1, 2) as one, command(tmp_path, pngs, 60, 2, 1, 0) as other:
        said = [child.communicate(timeout=120)[0] for child in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    for folder in runs_of(tmp_path, cells):
        epochs = [event["iteration"] for event in folder.metrics() if event["event"] == "train"]
        assert len(epochs) == len(set(epochs))  # no iteration twice
        assert resumes(folder) == 0
