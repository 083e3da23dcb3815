"""Commands for one process refuse several, at rank 0 once; variables left from elsewhere disturb nobody."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from ranks import start, variables

from reslab.cli import app, main
from reslab.cli.ranks import TOGETHER
from reslab.run import Run
from reslab.train.variables import started

SLURM = {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_NODEID": "0", "SLURM_JOB_ID": "7"}


def chains(one: App, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command, such as ("study", "grid")."""
    found = []
    for name in one:
        if not name.startswith("-"):
            below = chains(one[name], (*before, name))
            found += [*below, (*before, name)]
    return found


@pytest.fixture
def rank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """rank(k, n): from now on this is process k of n."""
    monkeypatch.chdir(tmp_path)

    def become(k: int, n: int, **more: str) -> None:
        for name, value in (variables(k, n, 29500) | more).items():
            monkeypatch.setenv(name, value)

    return become


def test_every_other_command_refuses(rank: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Rank 0 says it, rank 1 only leaves; no file is touched."""
    every = [chain for chain in chains(app) if chain not in TOGETHER]
    assert {("look", "all"), ("predict",), ("slim",), ("study", "grid"), ("data", "prepare"), ("qa", "eval"), ("runs",),
            ("export",), ("report",), ("tables", "predict"), ("claims",)} <= {*every}  # fmt: skip
    for chain in every:
        for k, said in (
            (0, f"reslab: `reslab {' '.join(chain)}` runs in one process, but 3 were started (WORLD_SIZE is 3): leave "
                "out torchrun, or unset WORLD_SIZE\n"),
            (1, ""),
        ):  # fmt: skip
            rank(k, 3)
            assert main([*chain, "some"]) == 2
            assert capsys.readouterr() == ("", said)
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "words", [["train", "--lr-find"], ["train", "--no-such"], ["eval", "missing", "--scales", "x"]]
)
def test_a_mistake_in_the_words_is_said_by_rank_0_alone(
    words: list[str], rank: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rank(0, 2)
    assert main(words) == 2
    assert capsys.readouterr().err.count("reslab: ") == 1
    rank(1, 2)
    assert main(words) == 2
    assert capsys.readouterr().err == ""
    assert list(Path.cwd().iterdir()) == []


def test_help_is_given_to_all(rank: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rank(0, 2)
    assert main(["nets", "--help"]) == 0
    assert "Usage: reslab nets" in capsys.readouterr().out


@pytest.mark.parametrize("left", [
    SLURM, {"WORLD_SIZE": "1", "RANK": "0"}, {"WORLD_SIZE": "4"}, {"RANK": "2"},
    {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
    {"WORLD_SIZE": "4", "RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1", **SLURM},
])  # fmt: skip
def test_what_others_left_in_the_environment_is_no_reason(
    left: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    assert started(left) == (0, 1)
    assert main(["nets"]) == 0
    assert "resnet20" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_evaluation_by_two_is_that_of_one(pngs: Path, tmp_path: Path) -> None:
    """The printed JSON is the same but for the command; rank 1 prints nothing, and a wrong option is said once."""
    from reslab.images.data import load
    from reslab.images.train import prepare, train
    from reslab.nets import spec
    from reslab.train.recipe import change, read

    recipe = change(read("digits"), iterations=4, batch=8, precision="fp32", compile="off", memory_format="NCHW")
    run = Run(tmp_path / "run")
    prepare(run.folder, net=spec("resnet8"), data=load(str(pngs)), word=str(pngs), recipe=recipe)
    train(run.folder, device="cpu")

    def printed(size: int, *words: str) -> list[tuple[int, str, str]]:
        ranks = start([sys.executable, "-m", "reslab", "eval", str(run.folder), "--device", "cpu", *words], size)
        return [(rank.returncode, out, err) for rank in ranks for out, err in [rank.communicate(timeout=600)]]

    (alone,) = printed(1, "--part", "train", "--json")
    two = printed(2, "--part", "train", "--json")
    assert [code for code, _, _ in (alone, *two)] == [0, 0, 0]
    assert json.loads(two[0][1]) == json.loads(alone[1])
    assert two[1][1:] == ("", "")
    wrong = printed(2, "--data", str(tmp_path / "missing"))
    assert [code for code, _, _ in wrong] == [2, 2]
    assert wrong[0][2].count("reslab: ") == 1
    assert wrong[1][2] == ""
