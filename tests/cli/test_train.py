"""`reslab train` as a person meets it: what --resume takes, what a finished run is, what is stored."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reslab.cli import main
from reslab.images.data import load
from reslab.images.task import ImageTask
from reslab.images.train import prepare
from reslab.nets import spec
from reslab.run import Run
from reslab.train.recipe import read

TRAIN = [
    "train", "--net", "resnet8", "--iterations", "3", "--precision", "fp32", "--memory-format", "NCHW",
    "--compile", "off", "--out", "my run",
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A trained run in a folder with a space in its name, made by `reslab first`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["reslab", "first", "a b"])
    assert main(TRAIN) == 0
    assert "next:   reslab eval 'my run'" in capsys.readouterr().out
    return Run("my run")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--lr", "0.5", "--no-flip"], "--no-flip, --lr"),
        (["--net", "resnet20", "--shortcut", "B"], "--net, --shortcut"),
        (["--data", "digits", "--size", "8", "--drops", "0.5", "0.7"], "--data, --size, --drops"),
        (["--recipe", "digits", "--root", "."], "--recipe, --root"),
    ],
)
def test_resume_takes_no_other_settings(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", *words]) == 2
    said = capsys.readouterr().err.strip().removeprefix("reslab: --resume uses the settings stored in the run folder; ")
    assert sorted(said.removeprefix("leave out ").split(", ")) == sorted(named.split(", "))


def test_a_resumed_run_keeps_its_first_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("results/train.json", "last.pt", "weights.safetensors"):
        run.path(name).unlink()
    monkeypatch.setattr("sys.argv", ["reslab", "train", "--resume"])
    assert main(["train", "--resume", "--out", "my run"]) == 0
    assert run.read_json("results/train.json")["command"] == "reslab first 'a b'"


def test_a_result_without_its_weights_is_not_finished(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    weights = run.path("weights.safetensors").read_bytes()
    run.path("weights.safetensors").unlink()
    assert main(["eval", "my run"]) == 1
    assert "weights.safetensors is missing; restore a copy of it, or train again" in capsys.readouterr().err
    assert main(TRAIN) == 0
    assert "trained resnet8" in capsys.readouterr().out
    assert run.path("weights.safetensors").read_bytes() == weights
    assert [event["iteration"] for event in run.metrics() if event["event"] == "resume"] == [3]


def test_a_missing_normalization_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.path("normalize.json").unlink()
    assert main(["eval", "my run"]) == 1
    assert "normalize.json is missing; restore a copy of it" in capsys.readouterr().err


def test_other_data_in_the_same_folder_are_refused_in_plain_words(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.write_json("data.json", {**run.read_json("data.json"), "fingerprint": "another"})
    assert main(TRAIN) == 2
    said = capsys.readouterr().err
    assert "already contains a run on different data (as many images of each class as then, so some were" in said
    assert "; choose another folder with --out" in said


def test_what_is_hardly_meant_is_said(tmp_path: Path) -> None:
    recipe = read("digits", batch=2000, threads=256)
    many = pytest.warns(UserWarning, match="a batch of 2000 holds each of the 1437 training images more than once")
    with many, pytest.warns(UserWarning, match="256 threads on [0-9]+ cores are slower"):
        prepare(tmp_path / "run", net=spec("resnet8"), data=load("digits"), word="digits", recipe=recipe)


def test_an_empty_data_word_is_not_the_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", ""]) == 2
    assert "no data set, folder or file named ''" in capsys.readouterr().err


def test_a_wrong_spec_and_a_missing_recipe_are_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.path("results/train.json").unlink()
    whole = run.read_json("spec.json")
    for damage in ({"family": "tree"}, {**whole, "stages": None}):
        run.path("spec.json").write_text(json.dumps(damage))
        for words in (["train", "--resume", "--out", "my run"], ["eval", "my run"], TRAIN):
            assert main(words) == 1, words
            assert "my run/spec.json is damaged" in capsys.readouterr().err
    run.write_json("spec.json", whole)
    run.path("recipe.toml").unlink()
    for words in (["train", "--resume", "--out", "my run"], TRAIN):
        assert main(words) == 1
        assert "my run/recipe.toml is missing" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--recipe", "paper-cifar", "--no-flip", "--drops", "0.5"]])
def test_the_learning_rate_follows_the_batch_of_the_recipe_that_is_trained(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The images prove to be digits, so the recipe is mnist's; both recipes have the rate 0.1 for batches of 128."""
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        for k in range(10):
            (tmp_path / "d" / part / str(k)).mkdir(parents=True)
            for j in range(3):
                Image.new("L", (28, 28), 20 * k + j).save(tmp_path / "d" / part / str(k) / f"{j}.png")
    assert main([*TRAIN, "--data", "d", "--batch", "8", *words]) == 0
    name = words[1] if words else "mnist"
    assert (f"learning rate 0.00625: it follows the batch, in proportion (recipe {name}: 0.1 for batches of 128)\n"
            in capsys.readouterr().err)  # fmt: skip
    assert read(tmp_path / "my run" / "recipe.toml").lr == 0.00625


def test_the_best_net_by_validation_is_said_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Terminal, card and page name the evaluation with the lowest validation error, found here in the log.

    The errors are made to rise with each evaluation: the first is the best.
    """
    measure, seen = ImageTask.evaluate, itertools.count(1)

    def rising(*arguments: Any) -> dict[str, Any] | None:
        found = measure(*arguments)
        return {**found, "error": float(next(seen))} if found and arguments[2] == "validation" else found

    monkeypatch.setattr(ImageTask, "evaluate", rising)
    monkeypatch.chdir(tmp_path)
    quick = ["--net", "resnet8", "--recipe", "digits", "--precision", "fp32", "--memory-format", "NCHW",
             "--compile", "off", "--threads", "1", "--iterations", "30", "--batch", "64", "--lr", "0.1"]  # fmt: skip
    best = ["--keep", "best", "--validation", "200", "--evaluate-every", "0.25"]
    assert main(["train", *quick, *best, "--out", "kept"]) == 0
    held = [e for e in Run("kept").metrics() if e["event"] == "eval" and e["part"] == "validation"]
    kept = min(held, key=lambda e: (e["error"], e["loss"]))["iteration"]
    assert Run("kept").read_json("results/train.json")["kept_iteration"] == kept < 30
    assert f"; best by validation, iteration {kept} of 30), training error" in capsys.readouterr().out
    assert f"; best by validation, iteration {kept}) |" in Run("kept").path("README.md").read_text()
    page = Run("kept").path("report.html").read_text()
    assert f"test error, best by validation, iteration {kept} in fp32" in page
    assert "fitted on the validation part, which also chose the net." in page
    assert "last epoch in fp32" not in page
    assert main(["train", *quick, "--out", "last"]) == 0
    assert "best by validation" not in capsys.readouterr().out + Run("last").path("report.html").read_text()
