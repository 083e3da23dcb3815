"""`reslab look lesions` ends with the command that removes the blocks which matter least, where there are any."""

import shlex
import shutil
from pathlib import Path

import pytest

from reslab.cli import app, main

GOLDEN = Path(__file__).parents[2] / "golden" / "folders"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN / "images-finished", "runs/a b")


def hint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["look", "lesions", *words, "--samples", "8", "--repeats", "1", "--threads", "1"]) == 0
    return next((line for line in capsys.readouterr().out.splitlines() if line.startswith("slim: ")), "")


def test_a_run_has_its_command_which_parses(capsys: pytest.CaptureFixture[str]) -> None:
    line = hint(capsys, "runs/a b")
    assert line == "slim:   reslab slim 'runs/a b' --keep-error 1"
    app.parse_args(shlex.split(line)[2:], exit_on_error=False, print_error=False)


def test_options_of_the_model_and_data_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    line = hint(capsys, "runs/a b", "--data", "digits", "--seed", "3", "--part", "train")
    assert line == "slim:   reslab slim 'runs/a b' --keep-error 1 --data digits"


@pytest.mark.parametrize("words", [
    ["net:plain8", "--data", "digits"],  # no block
    ["net:resnet8", "--data", "digits"],  # nothing learned
    ["runs/a b", "--no-labels"],
    ["runs/a b", "--precision", "bf16"],
    ["runs/a b", "--random", "--input", "1x8x8"],
])  # fmt: skip
def test_no_command_that_would_be_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert hint(capsys, *words) == ""
