"""Options for several processes: checked before anything starts; a supervised command ends as it would alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from reslab.cli import main


@pytest.mark.parametrize("verb", [["train"], ["qa", "train"], ["tables", "train", "FILE"]])
def test_what_does_not_fit(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["--nproc", "0"], "--nproc must be at least 1, got 0"),
        (["--nodes", "2"], "--nodes, --node, --master and --restarts are for --nproc: give it, too"),
        (["--nproc", "2", "--nodes", "2"], "several machines meet at machine 0: give its HOST:PORT as --master"),
    ):  # fmt: skip
        assert main([*verb, *words]) == 2
        assert capsys.readouterr().err == f"reslab: {sentence}\n"


def test_a_range_test_has_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--lr-find", "--nproc", "2"]) == 2
    assert capsys.readouterr().err == "reslab: --lr-find runs in one process: leave out --nproc\n"


def test_a_mistake_is_said_once_and_not_tried_again(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "reslab", "train", "--net", "resnet-7", "--nproc", "1"],
                          cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    alone = subprocess.run([sys.executable, "-m", "reslab", "train", "--net", "resnet-7"],
                           cwd=tmp_path, capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, "", alone.stderr)
    assert done.stderr.startswith("reslab: ")
