"""Several trainings side by side: who failed is named, what is finished stays, a stop saves all."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.errors import Argument, ReslabError, UsageError, arg
from reslab.images.data import ImageData, load
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.study import jobs as parallel
from reslab.study.jobs import fair_jobs, follow, spoken, train_all
from reslab.train.folder import DONE
from reslab.train.recipe import read
from reslab.train.signals import Interrupted


def make(folder: Path, data: ImageData, word: Path, **changes: Any) -> Run:
    options = {"iterations": 6, **changes}
    recipe = read("digits", epochs=0, drops=[], precision="fp32", memory_format="NCHW", compile="off", threads=1,
                  batch=8, **options)  # fmt: skip
    return prepare(folder, net=spec("resnet8"), data=data, word=str(word), recipe=recipe)


def test_trained_side_by_side_as_alone(pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """Two new folders and a finished one: the same bits as alone, the finished one untouched, progress reported."""
    data = load(str(pngs))
    runs = [make(tmp_path / f"s{seed}", data, pngs, seed=seed) for seed in (0, 1, 2)]
    train(runs[0].folder, data=data, device="cpu")
    times = {path: path.stat().st_mtime_ns for path in runs[0].folder.rglob("*")}
    told: dict[str, tuple[int, int]] = {}
    train_all([run.folder for run in runs], jobs=2, device="cpu",
              rows=lambda name: lambda done, total, note="": told.update({name: (done, total)}))  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in runs[0].folder.rglob("*")} == times
    assert told == {"s1": (6, 6), "s2": (6, 6)}
    alone = make(tmp_path / "alone", data, pngs, seed=2)
    train(alone.folder, data=data, device="cpu")
    same_end(alone, runs[2])
    train_all([run.folder for run in runs], jobs=2, rows=lambda name: pytest.fail("trained again"))


def test_the_one_that_fails_is_named(pngs: Path, tmp_path: Path) -> None:
    data = load(str(pngs))
    good, bad, later = (make(tmp_path / name, data, pngs) for name in ("good", "bad", "later"))
    train(good.folder, data=data, device="cpu")
    bad.write_json("data.json", {**bad.read_json("data.json"), "fingerprint": "of other data"})
    with pytest.raises(ReslabError, match=r"^bad: the data .* differ from those that .*bad started with") as caught:
        train_all([good.folder, bad.folder, later.folder], jobs=1, device="cpu")
    assert caught.value.sentence.parts[-1] == arg("folder")  # the command line says --out
    assert not isinstance(caught.value, Interrupted)
    assert good.has(DONE)
    assert not later.has("env.json")  # nothing is begun after a failure


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs(jobs: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"jobs must be positive, got {jobs}"):
        train_all([tmp_path], jobs=jobs)


STUB = """
import signal, sys, time
from pathlib import Path
folder, code = Path(sys.argv[1]), int(sys.argv[2])
def save(*_):
    with (folder / "signals").open("a") as file: file.write("x")
signal.signal(signal.SIGTERM, save)
print('{"iteration": 1}', flush=True)
if code:
    while not (folder.parent / "slow" / "ready").exists(): time.sleep(0.02)
    print("what went wrong")
    sys.exit(code)
(folder / "ready").touch()
while not (folder / "signals").exists(): time.sleep(0.02)
time.sleep(1.5)  # a long step, then the checkpoint
(folder / "saved").touch()
sys.exit(143)
"""


def test_a_child_is_asked_once_and_may_take_its_time_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another fails: a second SIGTERM would not give it time to save."""

    def start(folder: Path, device: str) -> "subprocess.Popen[str]":
        code = "3" if folder.name == "fails" else "0"
        return subprocess.Popen([sys.executable, "-S", "-c", STUB, str(folder), code], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)  # fmt: skip

    monkeypatch.setattr(parallel, "start", start)
    folders = [tmp_path / name for name in ("slow", "fails", "never")]
    for folder in folders:
        folder.mkdir()
    with pytest.raises(ReslabError, match=r"^fails: what went wrong$"):
        train_all(folders, jobs=2)
    assert (tmp_path / "slow" / "saved").exists()
    assert (tmp_path / "slow" / "signals").read_text() == "x"


MANY = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from reslab.errors import ReslabError
from reslab.study.jobs import train_all
try:
    train_all([Path(p) for p in sys.argv[1:]], jobs=2, device="cpu")
except ReslabError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_every_child_a_checkpoint(number: signal.Signals, pngs: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group of a terminal at once, SIGTERM the parent only."""
    data = load(str(pngs))
    runs = [make(tmp_path / f"s{seed}", data, pngs, seed=seed, iterations=100_000) for seed in (0, 1)]
    parent = subprocess.Popen([sys.executable, "-c", MANY, *(str(run.folder) for run in runs)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
    assert parent.stdout is not None
    try:
        deadline = time.monotonic() + 120
        while not all(len(run.metrics()) > 2 for run in runs) and parent.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        said, _ = parent.communicate(timeout=60)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert (parent.returncode, said) == (128 + number, "stopped; run the same command again to resume\n")
    for run in runs:
        saved = torch.load(run.path("last.pt"), weights_only=True)["iteration"]
        assert saved >= run.metrics()[-1]["iteration"] > 0
        with run.lock():
            pass  # nobody trains there any more


def test_a_child_leaves_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed, the parent can ask nobody: a child sees that another process has adopted it, and asks itself to stop."""
    seen, done = iter([7, 7, 1]), []
    monkeypatch.setattr(os, "getppid", lambda: next(seen))
    monkeypatch.setattr(os, "kill", lambda *args: done.append(args))
    monkeypatch.setattr(time, "sleep", lambda seconds: done.append("waited"))
    parallel.leave_with(7)
    assert done == ["waited", "waited", (os.getpid(), signal.SIGTERM)]


def test_a_line_that_is_not_progress_is_the_last_word() -> None:
    lines = ['{"done": 1, "total": 2, "note": "", "phase": false}', "{not progress", "   ", "the last word", ""]
    code = f"print({chr(10).join(lines)!r})"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True) as child:
        told: list[Any] = []
        assert follow(child, lambda *report: told.append(report)) == "the last word"
    assert told == [(1, 2, "")]


@pytest.mark.parametrize(
    "parts",
    [
        ("a lower ", arg("lr"), ", ", arg("clip", 1), ' or "fp32"\nin a new ', arg("folder")),
        (arg("drops", (0.5, 0.75)), arg("kinds", {"age": "numbers", "two": ("a", "b")}), arg("flip", False)),
        (arg("net", "é\ud800"), arg("root", None)),
    ],
)
def test_a_child_s_sentence_arrives_with_its_arguments(parts: tuple[str | Argument, ...]) -> None:
    """Whatever the process prints after it; the parent words `clip=1` as --clip 1."""
    line = spoken(UsageError(*parts))
    code = f"print('before'); print({line!r}); print('a library says goodbye')"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True) as child:
        heard = follow(child, lambda *report: None)
    assert ReslabError("run: ", heard).sentence.parts == ("run: ", *parts)


def test_one_training_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr("reslab.study.jobs.usable_cores", lambda: 4)
    assert [fair_jobs(n) for n in (1, 3, 8)] == [1, 3, 4]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert fair_jobs(8) == 1


def test_in_a_thread_no_handler_is_set(pngs: Path, tmp_path: Path) -> None:
    """Python lets only the main thread set handlers; a training elsewhere works without."""
    data = load(str(pngs))
    run = make(tmp_path / "run", data, pngs)
    thread = threading.Thread(target=train, args=(run.folder,), kwargs={"data": data, "device": "cpu"})
    thread.start()
    thread.join()
    assert run.has(DONE)
