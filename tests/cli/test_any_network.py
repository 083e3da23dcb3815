"""The command line with a net of a user's file, and with weights to start from, as in docs/networks.md."""

from pathlib import Path

import pytest
import torch
from strangers import mine

from reslab import nets
from reslab.cli import main
from reslab.run import Run

__all__ = ["mine"]
QUICK = ["--precision", "fp32", "--memory-format", "NCHW", "--compile", "off", "--threads", "1"]


@pytest.fixture
def here(mine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's file, to stand in."""
    monkeypatch.chdir(mine.parent)
    return mine.parent


def test_the_whole_road(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Train, do nothing again, evaluate, look, start another run from it; the first stays as it is."""
    train = ["train", "--net", "mine.py:fixed", "--data", "digits", *QUICK, "--iterations", "3"]
    assert main(train) == 0
    said = capsys.readouterr()
    assert "mine.py:fixed: its head out (5 outputs) is replaced by a new one of 10 classes" in said.err
    (folder,) = Path("runs").iterdir()
    before = Run(folder).path("weights.safetensors").read_bytes()
    assert main(train) == 0
    assert f"{folder} is already finished" in capsys.readouterr().out
    assert main(["eval", str(folder)]) == 0
    assert main(["look", "responses", str(folder), "--samples", "20"]) == 0
    capsys.readouterr()
    longer = ["train", "--weights", str(folder), "--data", "digits", *QUICK, "--iterations", "4"]
    assert main([*longer, "--mean", "weights"]) == 0
    said = capsys.readouterr()
    assert "10 tensors loaded by name; head: kept, for the same classes" in said.err
    assert "normalization: that of the weights" in said.err
    assert "net mine-fixed, that of the weights" in said.err
    assert len(list(Path("runs").iterdir())) == 2
    assert Run(folder).path("weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--net", "mine.py:fixed", "--shortcut", "B"], "--shortcut: only reslab's own nets have this option"),
        (["--net", "mine.py:encoder"], "its last layer is BatchNorm2d, which cannot be replaced"),
        (["--weights", "default"], "--weights default takes the pretrained weights of a library's net: name it"),
        (["--weights", "default", "--net", "resnet20"], "--weights takes a run or a checkpoint file"),
        (["--weights", "none.pt", "--net", "resnet20"], "none.pt: no such file"),
        (["--weights", "w.pt", "--net", "resnet20"], "w.pt is not of resnet20 (37 tensors there, 97 in the net); it "
         "looks like resnet8"),
        (["--net", "resnet20", "--mean", "weights"], "name them with --weights, or choose another mean"),
    ],
)  # fmt: skip
def test_what_is_refused_makes_no_folder(
    words: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(nets.net("resnet8", channels=1).state_dict(), "w.pt")
    assert main(["train", "--data", "digits", *words, *QUICK]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("runs").exists()
