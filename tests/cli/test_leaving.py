"""How a command leaves: stopped, out of memory, or with nobody to hear it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import reslab
from reslab.cli import main, say, show_warning
from reslab.cli.failures import unforeseen
from reslab.errors import ReslabWarning, arg


def test_ctrl_c_is_said_to_have_stopped_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reslab.cli.doctor.look", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "reslab: stopped\n"


def test_out_of_memory_is_one_sentence() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert unforeseen(caught.value) == "out of memory; a smaller --batch or --size may fit"
    assert "unexpected" in unforeseen(RuntimeError("another"))


@pytest.mark.parametrize("words", [["--help"], ["nets", "resnet8", "--json"]])
def test_a_reader_that_left_is_no_failure(words: list[str]) -> None:
    """As `| head` does: the signal's exit code and no word."""
    with subprocess.Popen([sys.executable, "-m", "reslab", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as command:  # fmt: skip
        assert command.stdout is not None and command.stderr is not None  # noqa: PT018
        command.stdout.close()
        assert command.stderr.read() == ""
    assert command.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_the_output_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "reslab", "nets", "resnet8"], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "reslab: cannot write the output: the disk is full\n")


def test_a_warning_is_one_line_in_flags(capsys: pytest.CaptureFixture[str]) -> None:
    show_warning(
        ReslabWarning(arg("stem", "cifar"), " keeps them larger"),
        ReslabWarning,
        str(Path(reslab.__file__).parent / "catalog.py"),
        1,
    )
    assert capsys.readouterr().err == "reslab: warning: --stem cifar keeps them larger\n"
    show_warning(
        'text such as stem="cifar" stays as it is', UserWarning, str(Path(reslab.__file__).parent / "catalog.py"), 1
    )
    assert capsys.readouterr().err == 'reslab: warning: text such as stem="cifar" stays as it is\n'


def test_the_list_leaves_out_what_an_option_is_not_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reslab.nets.names", lambda: ["vgg11", "resnet20"])
    assert main(["nets", "--shortcut", "C"]) == 0
    out = capsys.readouterr().out
    assert "resnet20" in out
    assert "1 of 2 nets do not accept these options and are omitted: vgg11 has no option 'shortcut'" in out
    assert main(["nets", "--init", "foo"]) == 2


def test_next_keeps_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "cifar_resnet164", "--block", "bottleneck", "--no-norm"]) == 0
    assert "next:   reslab train --net cifar_resnet164 --block bottleneck --no-norm\n" in capsys.readouterr().out


def test_a_sentence_is_one_line_whatever_a_name_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "run\nof \x1b[31mmine\u202e"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(r"reslab: 'run\nof \x1b[31mmine\u202e' has nothing to report")
    assert said.count("\n") == 1
    assert main(["eval", "run\nof mine"]) == 2
    assert capsys.readouterr().err == "reslab: run\\nof mine: no such run folder or file\n"
    show_warning("column 'a\r\nb' is empty", UserWarning, str(Path(reslab.__file__).parent / "frame.py"), 1)
    assert capsys.readouterr().err == "reslab: warning: column 'a\\r\\nb' is empty\n"
    say.table(["column", "kind"], [("a\nb", "text")])
    assert "a\\nb" in capsys.readouterr().out
