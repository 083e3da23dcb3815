"""A warning is printed in the name of whoever gave it."""

import logging
import warnings
from pathlib import Path

import pytest
import torch

import reslab
from reslab.cli import main, origin, show_warning, without_recompiling
from reslab.errors import ReslabWarning

OWN = """import warnings
import torch
from torch import nn
warnings.warn("mine alone")
def build():
    return nn.Sequential(nn.Linear(4, 2)), torch.randn(3, 4)
"""


@pytest.mark.parametrize(
    ("file", "who"),
    [
        (reslab.__file__, "reslab"),
        (str(Path(reslab.__file__).parent / "look" / "x.py"), "reslab"),
        (torch.__file__, "torch"),
        ("/usr/lib/python3/dist-packages/scipy/stats/_x.py", "scipy"),
        ("/home/u/site-packages/single.py", "single"),
        (warnings.__file__, "python"),
        ("<frozen importlib._bootstrap>", "python"),
        ("/home/u/reslab-things/own.py", "own.py:12"),
        ("own\nfile.py", r"own\nfile.py:12"),
    ],
)
def test_whose_warning_it_is(file: str, who: str) -> None:
    assert origin(file, 12) == who


def test_ours_keep_our_name_wherever_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    show_warning(ReslabWarning("a file is cut"), ReslabWarning, "/home/u/own.py", 3)
    show_warning(UserWarning("slow"), UserWarning, torch.__file__, 3)
    show_warning(UserWarning("hit config.recompile_limit (8)"), UserWarning, torch.__file__, 3)
    assert capsys.readouterr().err == "reslab: warning: a file is cut\ntorch: warning: slow\n"


def test_recompiling_is_no_alarm() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "hit %s (8)", ("config.recompile_limit",), None)
    other = logging.LogRecord("x", logging.WARNING, "x.py", 1, "graph break", (), None)
    assert (without_recompiling(record), without_recompiling(other)) == (False, True)


@pytest.mark.filterwarnings("always")
def test_a_users_file_warns_in_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    assert main(["look", "responses", "own.py:build"]) == 0
    err = capsys.readouterr().err
    assert "own.py:4: warning: mine alone\n" in err
    assert "reslab: warning: mine alone" not in err
