"""A grid as a job array: what sbatch would run is run here, task by task, by bash."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.study.grid import on_slurm
from reslab.study.grid.combine import Asked
from reslab.study.grid.keys import read_keys
from reslab.study.grid.one import sound

COMMAND = ["study", "grid", "--net", "resnet8", "--vary", "lr=0.1,0.01", "--vary", "widths=4+4+4", "--seeds", "2",
           "--iterations", "2", "--on", "slurm", "--out", "a b/it's 50%"]  # fmt: skip


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home $x").mkdir()
    monkeypatch.chdir(tmp_path / "home $x")
    assert main([*COMMAND, "--jobs", "3"]) == 0
    return Path("a b/it's 50%/grid.sbatch").resolve()


def test_the_script(script: Path) -> None:
    """bash accepts it; four trainings are four tasks, three at once; every path is one word, whatever is in it."""
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=True).stderr == b""
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --array=0-3%3" in lines
    assert "#SBATCH --time=0:30:00" in lines
    (log,) = (line for line in lines if "--output" in line)
    assert log == f'#SBATCH --output="{script.parent.as_posix().replace("%", "%%")}/slurm-%A_%a.log"'
    last = lines[-1].replace("exec ", 'printf "%s\\n" ', 1)
    words = subprocess.run(["bash", "-c", last], capture_output=True, text=True, check=True,
                           env={**os.environ, "SLURM_ARRAY_TASK_ID": "2"}).stdout.splitlines()  # fmt: skip
    assert words == [sys.executable, "-m", "reslab", "study", "grid", "--plan", str(script.parent / "grid-plan.json"),
                     "--task", "2"]  # fmt: skip
    moved = subprocess.run(["bash", "-c", f"cd / && {lines[-2]} && pwd"], capture_output=True, text=True, check=True)
    assert moved.stdout.strip() == str(Path.cwd())
    assert not list(script.parents[1].glob("cells/*/cell.json"))


def test_what_is_asked_for_is_read_as_it_was() -> None:
    asked = Asked(nets=["resnet8"], keys=read_keys(["lr=0.1", "widths=4+4+4,8+8+8", "norm=true"]), seeds=[3, 4],
                  recipe="digits", net_options={"shortcut": "B"}, changes={"drops": (0.5,)},
                  options={"size": 8})  # fmt: skip
    assert on_slurm.asked_of(json.loads(json.dumps(on_slurm.stored(asked)))) == asked


def test_more_trainings_than_an_array_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five trainings in two tasks: 0, 2, 4 and 1, 3."""
    monkeypatch.setattr(on_slurm, "MOST", 2)
    monkeypatch.chdir(tmp_path)
    assert main(["study", "grid", "--net", "resnet8", "--seeds", "5", "--iterations", "2", "--on", "slurm", "--out",
                 "g"]) == 0  # fmt: skip
    done: list[int] = []
    monkeypatch.setattr(on_slurm, "wait_for", lambda one, cache, **_: done.append(one.settings["seed"]))
    for k in (0, 1):
        on_slurm.do_task(Path("g/grid-plan.json"), k)
    assert done == [0, 2, 4, 1, 3]
    with pytest.raises(UsageError, match=r"grid-plan\.json has tasks 0 to 1, got 2$"):
        on_slurm.do_task(Path("g/grid-plan.json"), 2)
    with pytest.raises(ReslabError, match=r"^5 of 5 trainings are not done: sbatch --array=0,1 .*grid\.sbatch does"):
        on_slurm.gathering(Path("g/grid-plan.json"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--task", "1"], "--task and --gather need the file that --on slurm wrote: name it with --plan"),
        (["--plan", "none.json"], "--plan needs either --task K or --gather"),
        (["--plan", "none.json", "--gather"], "there is no plan none.json; write one with --on slurm"),
        (["--on", "cloud"], "--on must be local, ray, ray:HOST:PORT or slurm, got 'cloud'"),
    ],
)
def test_refused(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["study", "grid", *words]) == 2
    assert capsys.readouterr().err == f"reslab: {sentence}\n"


@pytest.mark.slow
def test_the_array_runs(script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks 0 and 1 at the same time, then all of them twice: each training once. Then the table, as `--on local`."""
    plan, cache = script.parent / "grid-plan.json", script.parents[1] / "cells"
    cells = on_slurm.cells_of(on_slurm.read(plan))

    def task(k: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(["bash", str(script)], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env={**os.environ, "SLURM_ARRAY_TASK_ID": str(k)})  # fmt: skip

    both = [task(0), task(1)]
    assert [child.communicate()[0].splitlines()[-1] for child in both] == [f"done: {one.name}" for one in cells[:2]]
    assert main(["study", "grid", "--plan", str(plan), "--gather"]) == 1
    assert "2 of 4 trainings are not done: sbatch --array=2,3" in capsys.readouterr().err
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*/cell.json")}
    for k in (0, 2, 3):
        child = task(k)
        child.communicate()
        assert child.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert all(sound(one, cache) for one in cells)
    assert main(["study", "grid", "--plan", str(plan), "--gather", "--json"]) == 0
    gathered = json.loads(capsys.readouterr().out)
    assert len(gathered["runs"]) == 4
    assert Path(gathered["report"]).exists()
    local = [word for word in COMMAND if word not in ("--on", "slurm")]
    assert main([*local, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["table"] == gathered["table"]
