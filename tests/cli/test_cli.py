"""The command line as a user sees it: what it prints, what it refuses, and with which exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reslab.cli import main
from reslab.version import __version__

TRAIN = [
    "train",
    "--net",
    "resnet8",
    "--iterations",
    "6",
    "--precision",
    "fp32",
    "--memory-format",
    "NCHW",
    "--compile",
    "off",
]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


HEAVY = ["torch", "scipy", "plotly", "transformers", "sklearn", "datasets", "pyarrow"]


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["nets"]], ids=" ".join)
def test_help_and_nets_start_without_the_heavy_packages(words: list[str]) -> None:
    code = (
        "import sys; from reslab.cli import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        f"print(*sys.modules.keys() & {set(HEAVY)}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert "resnet50" in done.stdout if words == ["nets"] else "Usage: reslab" in done.stdout


def test_the_module_runs() -> None:
    shown = subprocess.run([sys.executable, "-m", "reslab", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == __version__


def test_nets_lists_the_papers_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "resnet50"]) == 0
    drawn = capsys.readouterr().out
    assert "25,557,032 parameters" in drawn
    assert "3,857,973,248 MACs" in drawn
    assert "3 x [ 1x1 conv 64, 3x3 conv 64, 1x1 conv 256 ]" in drawn
    assert main(["nets", "resnet56", "--shortcut", "B", "--json"]) == 0
    net = json.loads(capsys.readouterr().out)
    assert (net["parameters"], net["depth"], net["spec"]["shortcut"]) == (855770, 56, "B")


def test_train_eval_report_and_again(capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    assert main([*TRAIN, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    (folder,) = (own_folder / "runs").iterdir()
    assert result["iterations"] == 6
    assert (folder / "report.html").stat().st_size > 20_000  # its figures' numbers, styles and words
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert main(TRAIN) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert main(["eval", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["error"] == pytest.approx(result["test_error"])
    assert found["error_low"] <= found["error"] <= found["error_high"]
    assert sum(map(sum, found["confusion"])) == found["n"] == 360
    assert main(["eval", str(folder), "--scales", "8,12"]) == 0
    assert "scales 8, 12" in capsys.readouterr().out
    assert main(["report", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"].endswith("report.html")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "train"),
        (["train", "--net", "resnt20"], "resnet20"),
        (["train", "--net", "resnet21"], "6n+2"),
        (["train", "--data", "digit"], "digits"),
        (["train", "--recipe", "digit"], "digits"),
        (["train", "--lrr", "1"], "--lr"),
        (["train", "--lr", "abc"], "abc"),
        (["train", "--lr", "-1"], "lr must be"),
        (["train", "--epochs", "1", "--iterations", "5"], "give either epochs or iterations"),
        (["train", "--net", "vgg11"], "size must be at least 32, got 8"),
        (["train", "--device", "quantum"], "quantum"),
        (["train", "--resume"], "no unfinished run"),
        (["eval", "nowhere"], "nowhere"),
        (["nets", "resnet50", "--shortcut", "D"], "shortcut"),
        (["report", "."], "run folder"),
        (["study", "degradation", "--depths", "20"], "at least two"),
        (["study", "degradation", "--depths", "20", "34"], "two families"),
        (["study", "degradation", "--depths", "20", "56", "--seeds", "0"], "seeds must be positive"),
    ],
)
def test_usage_errors_are_one_sentence_and_exit_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1, error
    assert "Traceback" not in error


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--net", "resnt20", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_another_recipe_in_the_same_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--out", "r"]) == 0
    assert main([*TRAIN, "--lr", "0.2", "--out", "r"]) == 2
    assert "lr: 0.05 there, 0.2 requested" in capsys.readouterr().err
    assert main([*TRAIN, "--net", "plain8", "--out", "r"]) == 2


def test_a_foreign_checkpoint_needs_net_and_data(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from reslab import net

    torch.save({"state_dict": net("resnet8", channels=1, size=8).state_dict()}, own_folder / "w.pt")
    assert main(["eval", "w.pt"]) == 2
    assert "name its net with --net and the data with --data" in capsys.readouterr().err
    assert main(["eval", "w.pt", "--net", "resnet8", "--data", "digits", "--normalize", "pixel", "--json"]) == 0
    # stem and 3 blocks of two layers: 7 convolutions with 4 tensors of BatchNorm each, and the head's two
    assert json.loads(capsys.readouterr().out)["match"] == "37 tensors matched by name"


def test_doctor_names_torch_and_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert {"torch", "device", "bf16", "threads"} <= set(facts)


def test_doctor_names_the_torchvision_fault(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reslab.cli import doctor

    (own_folder / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.setenv("PYTHONPATH", str(own_folder))
    monkeypatch.setattr(doctor, "installed", lambda name: "0.28.0" if name == "torchvision" else None)
    assert main(["doctor"]) == 0
    assert "different builds" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["report"], ["eval"], ["look", "all"], ["tables", "predict", "rows.csv"]])
def test_a_name_that_no_file_can_have_is_one_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "n" * 300]) in (1, 2)
    said = capsys.readouterr().err
    assert "unexpected" not in said
    assert said.count("\n") == 1
