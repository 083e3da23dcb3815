"""Processes that are killed, stopped or asked twice: nothing is lost, and the codes they leave with are right."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.images.data import ImageData, load
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.train.folder import DONE
from reslab.train.recipe import read
from reslab.train.signals import TOGETHER

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

HANGING = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
from reslab.train import loop
from reslab.study.jobs import child_main
plain = loop.Training.step
def step(self, batch):
    plain(self, batch)
    if self.iteration == int(sys.argv[2]):
        print("hanging", flush=True)
        time.sleep(60)
loop.Training.step = step
raise SystemExit(child_main(sys.argv[1], "cpu"))
"""


@pytest.fixture(scope="module")
def images(pngs: Path) -> ImageData:
    return load(str(pngs))


def pair(folder: Path, images: ImageData, word: Path, **changes: Any) -> list[Run]:
    """Two run folders that say the same: one for an unbroken training, one to be killed."""
    recipe = read("digits", epochs=0, precision="fp32", memory_format="NCHW", compile="off", threads=1, batch=8,
                  checkpoint_seconds=0.2, **changes)  # fmt: skip
    return [
        prepare(folder / name, net=spec("resnet8"), data=images, word=str(word), recipe=recipe)
        for name in ("whole", "broken")
    ]


@contextlib.contextmanager
def child(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python process that is gone at the end, whatever happens."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def training(run: Run) -> contextlib.AbstractContextManager["subprocess.Popen[str]"]:
    return child("-m", "reslab.study.jobs", str(run.folder), "cpu", str(os.getpid()))


def line_of(process: "subprocess.Popen[str]", start: str) -> str:
    """The next line of the process that starts so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise AssertionError(f"the process ended with code {process.wait()} before it said {start!r}")


def test_killed_three_times(images: ImageData, pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """A child reports five times per second."""
    whole, broken = pair(tmp_path, images, pngs, iterations=400, evaluate_every=20)
    train(whole.folder, data=images, device="cpu")
    chance = random.Random(0)
    for lines in (1, 2, 3):
        with training(broken) as process:
            for _ in range(lines):
                line_of(process, "{")
            time.sleep(chance.uniform(0, 0.05))
            process.kill()
            assert process.wait() == -signal.SIGKILL
        assert not broken.has(DONE)
    train(broken.folder, device="cpu")
    same_end(whole, broken)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_twenty_times(images: ImageData, pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """At 20 random moments: every fourth while it starts and loads, the others as it trains, evaluates and saves."""
    whole, broken = pair(tmp_path, images, pngs, iterations=2500, evaluate_every=5)
    train(whole.folder, data=images, device="cpu")
    chance, reached = random.Random(), []
    for k in range(20):
        with training(broken) as process:
            for _ in range(
                1 + k % 3 if k % 4 else 0
            ):  # lines of progress: one when training starts, then five per second
                line_of(process, "{")
            time.sleep(chance.uniform(0, 0.6) if k % 4 else chance.uniform(0, 2))
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it ended before it was killed: make it longer"
        last = broken.path("last.pt")
        reached.append(torch.load(last, weights_only=True)["iteration"] if last.exists() else None)
    train(broken.folder, device="cpu")
    print("iterations saved at each kill:", reached)
    assert len(set(reached)) > 5, "the kills came too early to mean much"
    same_end(whole, broken)


@pytest.mark.slow  # within one process: test_resume.py
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_saves_and_leaves_when_asked(
    number: signal.Signals, digits: ImageData, tmp_path: Path, same_end: Any
) -> None:
    """The command line itself: exit code 128 + the signal, one sentence, and the same command resumes."""
    recipe = tmp_path / "long.toml"
    recipe.write_text('iterations = 150\nbatch = 32\nprecision = "fp32"\nmemory_format = "NCHW"\ncompile = "off"\n'
                      "threads = 1\nevaluate_every = 1000\n")  # fmt: skip
    run = Run(tmp_path / "run")
    main = ("import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            "from reslab.cli import main; sys.exit(main())")  # fmt: skip
    with child("-c", main, "train", "--net", "resnet8", "--recipe", str(recipe), "--out", str(run.folder)) as process:
        while len(run.metrics()) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    saved = torch.load(run.path("last.pt"), weights_only=True)["iteration"]
    assert 0 < saved < 150
    assert said.splitlines()[-1] == (
        f"reslab: stopped at iteration {saved} of 150; run the same command again to resume"
    )
    train(run.folder, data=digits, device="cpu")
    whole = prepare(tmp_path / "whole", net=spec("resnet8"), data=digits, word="digits", recipe=read(recipe))
    train(whole.folder, data=digits, device="cpu")
    same_end(whole, run)


def test_a_second_ctrl_c_leaves_at_once(images: ImageData, pngs: Path, tmp_path: Path, same_end: Any) -> None:
    whole, broken = pair(tmp_path, images, pngs, iterations=20, evaluate_every=5)
    with child("-c", HANGING, str(broken.folder), "17") as process:
        line_of(process, "hanging")
        process.send_signal(signal.SIGINT)
        time.sleep(TOGETHER + 0.3)
        assert process.poll() is None  # it means to finish the step and save
        process.send_signal(signal.SIGINT)
        began = time.perf_counter()
        assert process.wait(timeout=20) == 130
        assert time.perf_counter() - began < 15
    assert torch.load(broken.path("last.pt"), weights_only=True)["iteration"] < 17
    train(broken.folder, data=images, device="cpu")
    train(whole.folder, data=images, device="cpu")
    same_end(whole, broken)


@pytest.mark.slow  # within one process: test_run.py
def test_a_second_process_in_the_folder_is_refused(images: ImageData, pngs: Path, tmp_path: Path) -> None:
    _, run = pair(tmp_path, images, pngs, iterations=30)
    with run.lock(), training(run) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(said) == {"error": [f"{run.folder}: another process is training here; wait for it or stop it"]}
    assert not run.has("metrics.jsonl")
    assert not run.has("env.json")


def test_what_a_kill_left_aside_is_swept(images: ImageData, pngs: Path, tmp_path: Path) -> None:
    _, run = pair(tmp_path, images, pngs, iterations=3)
    run.path(".last.pt.abcd1234").write_bytes(b"half")
    train(run.folder, data=images, device="cpu")
    assert not run.path(".last.pt.abcd1234").exists()
