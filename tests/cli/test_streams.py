"""Standard streams that are closed, full or without a reader: the work is done to its end, and the run folder whole."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reslab.cli.streams import open_closed
from reslab.report import library
from reslab.train.folder import finished

RUN = (f"{shlex.quote(sys.executable)} -m reslab train --net resnet8 --data digits --iterations 3 --precision fp32 "
       "--memory-format NCHW --compile off --threads 1 --out run")  # fmt: skip
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
WHOLE = {"README.md", "choices.json", "data.json", "env.json", "last.pt", "metrics.jsonl", "normalize.json",
         "recipe.toml", "report.html", library.name(), "results", "spec.json", "weights.safetensors"}  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="streams are closed by a POSIX shell")
@pytest.mark.parametrize(
    ("streams", "code", "out", "err"),
    [
        pytest.param("<&- >&- 2>&-", 0, "", "", id="closed, as a daemon's"),
        pytest.param("2>/dev/full", 0, "next:   reslab eval run\n", "", marks=FULL, id="full log"),
        pytest.param(
            ">/dev/full", 1, "", "reslab: cannot write the output: the disk is full\n", marks=FULL, id="full output"
        ),
    ],
)
def test_a_training_ends_whatever_its_streams(streams: str, code: int, out: str, err: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {RUN} {streams}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.endswith(out)
    assert done.stderr.endswith(err)
    assert finished(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir() if path.name != ".lock"} == WHOLE


@pytest.mark.skipif(os.name != "posix", reason="numbers of streams are POSIX")
def test_a_closed_stream_leaves_its_number_to_nobody(tmp_path: Path) -> None:
    """Else the next file that is opened gets the number 2, and what a library writes to standard error goes into it."""
    code = (
        "import os, sys; from reslab.cli.streams import open_closed; "
        "open_closed(); file = open('metrics', 'w'); os.write(2, b'a warning'); "
        "sys.exit(10 * (file.fileno() > 2) + (sys.stderr is not None))"
    )
    script = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&-"
    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False).returncode == 11
    assert (tmp_path / "metrics").read_text() == ""


def test_open_streams_stay_as_they_are() -> None:
    before = (sys.stdin, sys.stdout, sys.stderr)
    open_closed()
    assert (sys.stdin, sys.stdout, sys.stderr) == before
