"""The guide of scaling: its commands and its Slurm script run as written, but for the length of the trainings."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reslab.launch.network import free_port
from reslab.run import Run

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```[a-z]*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
SHORT = ["--iterations", "60", "--net", "resnet8", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off",
         "--device", "cpu", "--checkpoint-seconds", "0.2"]  # fmt: skip
RESLAB = [sys.executable, "-m", "reslab"]
STAND_INS = {  # two "nodes" of this machine
    "scontrol": 'test "$1 $2 $3" = "show hostnames nodes[0-1]" && printf "127.0.0.1\\n127.0.0.2\\n"\n',
    "srun": 'SLURM_NODEID=0 "$@" & first=$!\nSLURM_NODEID=1 "$@" & second=$!\nwait $first && wait $second\n',
    "reslab": f'exec {shlex.join(RESLAB)} "$@" {shlex.join(SHORT)}\n',
    "torchrun": f'exec {shlex.quote(sys.executable)} -m torch.distributed.run "$@"\n',
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def lines(start: str) -> list[list[str]]:
    """The commands that start so."""
    return [shlex.split(line) for block in BLOCKS for line in block.splitlines() if line.startswith(start)]


def short(words: list[str]) -> list[str]:
    """The command with a small net and few iterations."""
    words = [word for word in words if word not in ("--net", "resnet20")]
    return [*words, *([] if "--resume" in words else SHORT)]


def ended(*commands: list[str]) -> list["subprocess.CompletedProcess[str]"]:
    """Commands that run at the same time, to their ends."""
    started = [subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for one in commands]
    try:
        return [subprocess.CompletedProcess(one.args, one.returncode, *said)
                for one in started for said in [one.communicate(timeout=1200)]]  # fmt: skip
    finally:
        for one in started:
            one.kill()


def processes(folder: str) -> int:
    """How many processes trained it last, as it was recorded."""
    assert Run(folder).has("results/train.json")
    return int(json.loads(Run(folder).path("env.json").read_text()).get("processes", 1))


def test_the_guide_has_these_commands() -> None:
    verbs = [words[1] for words in lines("reslab ")]
    assert verbs == ["train"] * 4
    assert len(lines("torchrun ")) == 1


def test_one_machine_and_another_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is stopped by SIGTERM in the middle; the second continues with three."""
    monkeypatch.chdir(tmp_path)
    first, again, *_ = (words[1:] for words in lines("reslab "))
    longer = ["5000" if word == "60" else word for word in short(first)]
    training = subprocess.Popen([*RESLAB, *longer], stderr=subprocess.PIPE, text=True)
    run, limit = Run("runs/two"), time.monotonic() + 600
    while not run.has("previous.pt"):  # the second checkpoint
        assert time.monotonic() < limit
        assert training.poll() is None
        time.sleep(0.05)
    training.send_signal(signal.SIGTERM)
    said = training.communicate(timeout=600)[1]
    assert training.returncode == 143
    assert re.search(
        r"^reslab: stopped at iteration \d+ of 5000; run the same command again to resume$", said, re.MULTILINE
    )
    resumed = subprocess.Popen([*RESLAB, *again], stderr=subprocess.PIPE, text=True)
    while not any(event["event"] == "resume" for event in run.metrics()):
        assert time.monotonic() < limit + 600
        assert resumed.poll() is None
        time.sleep(0.05)
    resumed.send_signal(signal.SIGTERM)
    assert "3 processes" in resumed.communicate(timeout=600)[1]
    assert resumed.returncode == 143


def test_two_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    here = f"127.0.0.1:{port}"
    both = [short([here if word == "node0:29400" else word for word in words[1:]]) for words in lines("reslab ")[2:]]
    done = ended(*([*RESLAB, *words] for words in both))
    assert [one.returncode for one in done] == [0, 0], done[0].stderr
    assert "trained resnet8 on digits" in done[0].stdout
    assert done[1].stdout == ""
    assert processes("runs/many") == 4


def test_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (words,) = lines("torchrun ")
    (done,) = ended([sys.executable, "-m", "torch.distributed.run", f"--master-port={free_port()}", *short(words[1:])])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained resnet8 on digits") == 1
    assert processes("runs/torchrun") == 2


def test_the_slurm_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = (block for block in BLOCKS if block.startswith("#!/bin/bash"))
    Path("many.sbatch").write_text(script.replace(":29400", f":{free_port()}").replace("--net resnet20 ", ""))
    Path("bin").mkdir()
    for name, text in STAND_INS.items():
        Path("bin", name).write_text(f"#!/bin/bash\n{text}")
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "nodes[0-1]")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    (done,) = ended(["bash", "many.sbatch"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained resnet8 on digits") == 1
    assert processes("runs/slurm") == 4
