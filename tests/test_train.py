"""`reslab.train(...)`: a function and a package of one name; the run that it gives; what it shares with the command."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick import _one_thread, pngs

import reslab
from reslab.cli import main
from reslab.cli.options import _DataFlags, _NetFlags
from reslab.cli.recipe_help import RECIPE_HELP
from reslab.errors import ReslabError, UsageError
from reslab.images.data import load
from reslab.images.plan import UNNAMED
from reslab.run import Run
from reslab.subject.train import DATA, NET, RECIPE, ImageRun

__all__ = ["_one_thread", "pngs"]  # fixtures

QUICK: dict[str, Any] = {"iterations": 2, "precision": "fp32", "memory_format": "NCHW", "compile": "off", "batch": 8}
FLAGS = ["--iterations", "2", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off", "--batch", "8"]


@pytest.mark.parametrize(
    "code",
    [
        "import reslab; assert callable(reslab.train); from reslab.train.recipe import read; reslab.train.recipe",
        "from reslab.train.recipe import read; import reslab; assert callable(reslab.train); reslab.train.recipe",
        "from reslab import train; import reslab.train.recipe; assert callable(train); assert reslab.train is train",
    ],
)
def test_the_function_and_the_package_have_one_name_in_any_order(code: str) -> None:
    """Neither imports torch before it is used."""
    subprocess.run([sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules"], check=True)


def test_help_shows_the_function_s_parameters() -> None:
    assert list(inspect.signature(reslab.train).parameters)[:4] == ["data", "net", "weights", "recipe"]


def test_the_run_is_the_command_s(pngs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Same folder, same files but for the command; the command finds the run finished."""
    monkeypatch.chdir(tmp_path)
    run = reslab.train(pngs, net="resnet8", progress=lambda *_: None, **QUICK)
    assert str(run.folder).startswith(f"runs/{pngs.name}-resnet8-small-batch8-iterations2-precision-fp32-memory-format")
    assert main(["train", "--data", str(pngs), "--net", "resnet8", *FLAGS]) == 0
    assert f"{run.folder} is already finished; nothing to do" in capsys.readouterr().out
    assert run.page == run.folder / "report.html"
    assert run.page.is_file()
    assert run.result["test_n"] == 12
    found = run.evaluate()
    assert (found.n, found.error) == (12, pytest.approx(run.result["test_error"]))
    assert run.evaluate(part="train").n == 38  # of 48, ten were set aside
    assert run.evaluate(pngs).n == 12
    assert run.model.classes == ("class0", "class1", "class2")
    assert repr(run) == f"ImageRun('{run.folder}')"
    assert reslab.train(pngs, net="resnet8", **QUICK).result == run.result  # finished: nothing is shown


def test_options_have_the_order_of_the_flags_so_that_folders_have_the_same_names() -> None:
    assert [one.name for one in fields(_NetFlags)] == [*NET]
    assert [*RECIPE_HELP] == [key for key in RECIPE if key in RECIPE_HELP]
    assert [one.name for one in fields(_DataFlags) if one.name not in UNNAMED] == [
        key for key in DATA if key not in UNNAMED
    ]


def test_arrays_in_memory(tmp_path: Path, capsys: Any) -> None:
    data = load("digits")
    pixels = data.train.pixels.numpy()[:, 0]  # type: ignore[union-attr]
    names = np.array([f"digit {k}" for k in data.train.labels])
    run = reslab.train((pixels, names), net="resnet8", out=tmp_path / "run", progress=lambda *_: None, **QUICK)
    assert run.read_json("data.json")["classes"][:2] == ["digit 0", "digit 1"]
    assert run.result["test_n"] == 288  # a fifth of 1,437, rounded up
    test = (data.test.pixels.numpy()[:, 0], np.array([f"digit {k}" for k in data.test.labels]))  # type: ignore[union-attr]
    assert run.evaluate((pixels, names, *test)).n == 360
    assert main(["eval", str(tmp_path / "run")]) == 2
    assert "was trained on arrays in memory, which no file holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ((np.zeros((4, 8, 8)), [0, 1, 0, 1]), r"images must be uint8 .* got float64 \(4, 8, 8\)"),
        ((np.zeros((4, 8, 8, 2), np.uint8), [0, 1, 0, 1]), r"got uint8 \(4, 8, 8, 2\)"),
        ((np.zeros((4, 8, 8), np.uint8), [0, 1, 0]), "classes must be 4 whole numbers or texts, one for each image"),
        ((np.zeros((4, 8, 8), np.uint8), [0.5, 1, 0, 1]), "classes must be 4 whole numbers or texts"),
        ((np.zeros((4, 8, 8), np.uint8), np.array([0, "a", 0, 1], object)), "must be all whole numbers or all texts"),
        ((np.zeros((4, 8, 8), np.uint8),), "got 1 arrays"),
        ((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], np.zeros((1, 8, 8), np.uint8), [2]), "test images of class 2"),
        ((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], np.zeros((1, 9, 8), np.uint8), [1]), "must have one shape"),
    ],
)
def test_other_arrays_are_refused(arrays: tuple[Any, ...], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        reslab.train(arrays, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lrr": 0.1}, "resnet20 has no option 'lrr'"),
        ({"lr": "high"}, "lr must be a number, got 'high'"),
        ({"net": "resnet21"}, "no net named 'resnet21'"),
        ({"size": 9}, "digits has a fixed size"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
        ({"weights": "none.pt"}, "none.pt: no such run folder or file to start from"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ReslabError, match=sentence):
        reslab.train("digits", **{"out": tmp_path / "run", **QUICK, **settings})
    assert not (tmp_path / "run").exists()


def test_a_page_that_is_missing_is_written(pngs: Path, tmp_path: Path) -> None:
    run = reslab.train(pngs, net="resnet8", out=tmp_path / "run", progress=lambda *_: None, **QUICK)
    run.page.unlink()
    assert ImageRun(run.folder).page.is_file()
    assert isinstance(run, Run)


def test_the_parts_of_its_own_data_are_those_that_the_run_used(
    pngs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """48 training images, of which the recipe set 10 aside: both doors measure the same 38 and 10."""
    import json

    monkeypatch.chdir(tmp_path)
    run = reslab.train(pngs, net="resnet8", validation=10, out="run", progress=lambda *_: None, **QUICK)
    for part, n in (("train", 38), ("validation", 10), ("test", 12)):
        found = run.evaluate(part=part)  # type: ignore[arg-type]
        capsys.readouterr()
        assert main(["eval", "run", "--part", part, "--json"]) == 0
        seen = json.loads(capsys.readouterr().out)
        assert (found.n, seen["n"], seen["error"]) == (n, n, pytest.approx(found.error))
    assert run.evaluate(part="train").error == pytest.approx(run.result["train_error_eval"])


def test_start_is_another_name_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of the library call it so."""
    monkeypatch.chdir(tmp_path)
    for name in ("start", "weights"):
        with pytest.raises(UsageError, match="nowhere"):
            reslab.train("digits", **{name: "nowhere"}, **QUICK)
