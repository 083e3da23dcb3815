"""`reslab.train` from Python in the processes of torchrun: they train together, as often as the program asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import reslab
from reslab.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HOW: dict[str, Any] = {"net": "resnet8", "recipe": "digits", "iterations": 6, "batch": 8, "sync_bn": True,
                       "device": "cpu", "precision": "fp32", "memory_format": "NCHW", "compile": "off",
                       "augment": "none"}  # fmt: skip
PROGRAM = """
import json, os, sys
from pathlib import Path
import numpy as np
import reslab

how, out = json.loads(sys.argv[2]), Path(sys.argv[3])
first = reslab.train(sys.argv[1], out=out / "first", **how)
try:
    reslab.train(sys.argv[1], out=out / "refused", **{**how, "net": "resnet-7"})
except reslab.UsageError as error:
    refused = str(error)
images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
second = reslab.train((images, np.arange(40) % 2), out=out / "second", **how)
again = reslab.train(sys.argv[1], out=out / "first", **how)
found = {"refused": refused, "results": [one.result for one in (first, second, again)], "page": str(first.page),
         "error": first.evaluate().error}
(out / f"found.{os.environ['RANK']}").write_text(json.dumps(found))
"""
FAILING = """
import os, sys
import reslab
from reslab.train.training import Training

plain = Training.step
def step(self, batch):
    if os.environ["RANK"] == "1" and self.iteration == 2:
        raise ValueError("planted")
    return plain(self, batch)
Training.step = step
reslab.train(sys.argv[1], net="resnet8", recipe="digits", iterations=6, batch=8, device="cpu", out=sys.argv[3])
"""


def torchrun(folder: Path, program: str, *words: str) -> "subprocess.CompletedProcess[str]":
    path = folder / "program.py"
    path.write_text(program)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(path),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=800, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


def test_a_program_trains_several_times(pngs: Path, tmp_path: Path) -> None:
    """Also after an error, and on arrays. The net is that of one process, whose norms see the whole batch, too."""
    done = torchrun(tmp_path, PROGRAM, str(pngs), json.dumps(HOW), str(tmp_path))
    assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"found.{k}").read_text()) for k in (0, 1))
    assert one == two
    assert "resnet-7" in one["refused"]
    assert not (tmp_path / "refused").exists()
    first, second, again = one["results"]
    assert (first["processes"], second["processes"]) == (2, 2)
    assert first == again
    assert first["test_error"] == pytest.approx(one["error"])
    for name in ("first", "second"):
        assert json.loads(Run(tmp_path / name).path("env.json").read_text())["processes"] == 2
        assert Run(tmp_path / name).has("report.html")
    alone = reslab.train(str(pngs), out=tmp_path / "alone", progress=lambda *_: None, **HOW).result
    assert alone["test_loss"] == pytest.approx(first["test_loss"], rel=2e-4)
    assert "processes" not in alone


def test_a_program_that_fails_in_one_process_ends(pngs: Path, tmp_path: Path) -> None:
    done = torchrun(tmp_path, FAILING, str(pngs), "{}", str(tmp_path / "run"))
    assert done.returncode == 1
    assert "ValueError: planted" in done.stderr
    assert not Run(tmp_path / "run").has("results/train.json")
