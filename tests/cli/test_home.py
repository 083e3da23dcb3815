"""~ in the words of a command, and code of users that leaves."""

from pathlib import Path

import pytest

from reslab.cli import main
from reslab.cli.home import expanded


def test_a_home_folder_is_expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert expanded(["--out", "~/x", "--out=~/x y", "~", "--root=~"]) == [
        "--out", "/home/ann/x", "--out=/home/ann/x y", "/home/ann", "--root=/home/ann"
    ]  # fmt: skip
    alone = ["./~/x", "a~/x", "~ann/x", "--kinds", "a=~/x", "what is ~/x?"]
    assert expanded(alone) == alone


def test_a_run_folder_goes_into_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    quick = ["--net", "resnet8", "--iterations", "2", "--evaluate-every", "1e6"]
    assert main(["train", *quick, "--out=~/run"]) == 0
    assert (tmp_path / "home" / "run" / "spec.json").is_file()
    assert not list((tmp_path / "here").iterdir())
    monkeypatch.setenv("HOME", "")
    capsys.readouterr()
    assert main(["train", *quick, "--out=~/run"]) == 2
    assert capsys.readouterr().err == (
        "reslab: the home folder is unknown (HOME is not set); write ~/run as a full path\n"
    )


def test_a_recipe_is_a_name_or_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """No path leads into the package."""
    assert main(["train", "--recipe", "../recipes/digits"]) == 2
    assert "no recipe named '../recipes/digits'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("own.py:leaves", "own.py, line 34: it called sys.exit(3) instead of returning a model"),
        ("own.py:leaver", "code that was run called sys.exit(0); nothing more was done"),
    ],
)
def test_code_that_leaves_is_one_sentence(word: str, said: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", "merges", word]) == 1
    assert capsys.readouterr().err == f"reslab: {said}\n"
