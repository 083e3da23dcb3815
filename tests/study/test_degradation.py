"""The study end to end on the smallest nets: what is run, what is kept, what is never run twice."""

import json
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.images.data import load
from reslab.run import Run
from reslab.study.caveats import caveats
from reslab.study.degradation import degradation
from reslab.train.recipe import read

QUICK = {"iterations": 4, "precision": "fp32", "memory_format": "NCHW", "compile": "off", "threads": 1}


def test_twins_share_data_order_and_finished_runs_stay(tmp_path: Path) -> None:
    recipe = read("digits", **QUICK)
    result = degradation(tmp_path, depths=(8, 14), seeds=1, recipe=recipe, jobs=2, command="test")
    assert [row["net"] for row in result["table"]] == ["plain8", "plain14", "resnet8", "resnet14"]
    # 4 batches are less than an epoch: the training error is of these images only.
    assert {run["train_n"] for run in result["runs"]} == {4 * recipe.batch}
    assert 4 * recipe.batch < 1437
    assert not (tmp_path / "results").exists()
    assert json.loads((tmp_path / "study.json").read_text())["runs"] == result["runs"]
    for depth in (8, 14):
        plain, residual = (Run(tmp_path / f"{kind}{depth}-s0") for kind in ("plain", "resnet"))
        assert plain.path("recipe.toml").read_text() == residual.path("recipe.toml").read_text()
        # Option A adds no parameters, so one seed starts twins from one set of weights.
        assert result["table"][0]["parameters"] == result["table"][2]["parameters"]
    weights = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*/weights.safetensors")}
    assert len(weights) == 4
    again = degradation(tmp_path, depths=(8, 14), seeds=1, recipe=recipe, jobs=2, command="test")
    assert again["table"] == result["table"]
    assert weights == {f: f.stat().st_mtime_ns for f in tmp_path.glob("*/weights.safetensors")}
    with pytest.raises(UsageError, match="lr"):
        degradation(tmp_path, depths=(8, 14), seeds=1, recipe=read("digits", **QUICK, lr=0.2), jobs=2)


def test_auto_is_decided_once_for_all(tmp_path: Path) -> None:
    recipe = read("digits", iterations=2, compile="off", threads=1)
    degradation(tmp_path, depths=(8, 14), seeds=1, recipe=recipe, jobs=2)
    kept = read(tmp_path / "recipe.toml")
    assert kept.precision in ("fp32", "bf16")
    assert kept.memory_format in ("NCHW", "NHWC")
    choices = [json.loads(f.read_text())["choice"] for f in tmp_path.glob("*/results/train.json")]
    assert {(c["precision"], c["memory_format"]) for c in choices} == {(kept.precision, kept.memory_format)}


class Prepared(Exception):  # noqa: N818 -- not an error: the study may go no further
    """Every run is prepared and none is trained."""


@pytest.fixture
def prepared_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Prepared

    monkeypatch.setattr("reslab.study.degradation.train_all", stop)


@pytest.mark.usefixtures("prepared_only")
def test_seeds_count_up_from_the_recipes(tmp_path: Path) -> None:
    with pytest.raises(Prepared):
        degradation(tmp_path, depths=(8, 14, 8), seeds=2, recipe=read("digits", **QUICK, seed=5), jobs=1)
    assert sorted(path.name for path in tmp_path.glob("*-s*")) == sorted(
        f"{kind}{depth}-s{seed}" for kind in ("plain", "resnet") for depth in (8, 14) for seed in (5, 6)
    )
    assert read(tmp_path / "plain8-s6" / "recipe.toml").seed == 6
    with pytest.raises(UsageError, match="seed: 5 there, 0 requested"):
        degradation(tmp_path, depths=(8, 14), seeds=2, recipe=read("digits", **QUICK), jobs=1)


@pytest.mark.usefixtures("prepared_only")
def test_the_plain_twin_has_no_shortcuts_of_any_option(tmp_path: Path) -> None:
    options = {"shortcut": "B", "block": "bottleneck"}
    with pytest.raises(Prepared):
        degradation(tmp_path, depths=(11, 20), seeds=1, recipe=read("digits", **QUICK), net_options=options, jobs=1)
    found = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/spec.json")}
    assert {name: (spec["shortcut"], spec["block"]) for name, spec in found.items()} == {
        "plain11-s0": ("none", "bottleneck"), "resnet11-s0": ("B", "bottleneck"),
        "plain20-s0": ("none", "bottleneck"), "resnet20-s0": ("B", "bottleneck"),
    }  # fmt: skip


def test_a_study_without_shortcuts_compares_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shortcuts: shortcut must be A, A-both, B or C"):
        degradation(tmp_path / "s", recipe=read("digits", **QUICK), net_options={"shortcut": "none"})
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("prepared_only")
@pytest.mark.parametrize("files", [("cat/1.jpg",), ("spec.json", "recipe.toml"), ("notes.txt",)])
def test_a_folder_of_something_else_is_refused(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="is not empty and not a study folder; choose another folder"):
        degradation(tmp_path, recipe=read("digits", **QUICK), jobs=1)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("prepared_only")
def test_a_setting_switched_off_is_another_study(tmp_path: Path) -> None:
    with pytest.raises(Prepared):
        degradation(tmp_path, depths=(8, 14), seeds=1, recipe=read("digits", **QUICK, clip=1.0), jobs=1)
    with pytest.raises(UsageError, match="clip: 1 there, 0 requested"):
        degradation(tmp_path, depths=(8, 14), seeds=1, recipe=read("digits", **QUICK), jobs=1)


def test_a_net_near_guessing_is_named() -> None:
    """Guessing among ten digits errs in 90 %; four fifths of it are 72."""
    recipe = read("digits", **QUICK)
    runs = [{"net": net, "seed": seed, "iterations": 4, "train_error": error}
            for net, errors in {"plain56": (80.0, 84.0), "plain20": (60.0, 84.0)}.items()
            for seed, error in enumerate(errors)]  # fmt: skip
    (line,) = [line for line in caveats(runs, load("digits"), recipe, skipped=[]) if "hardly" in line]
    assert line.startswith("plain56 had hardly started to learn")
    assert "(mean training error 82.00 %; guessing: 90.00 %)" in line


def test_broken_images_are_said() -> None:
    recipe, run = read("digits", **QUICK), {"net": "resnet8", "seed": 0, "iterations": 4, "train_error": 1.0}
    assert caveats([run], load("digits"), recipe, skipped=["a.png: cut", "b.png"])[-1] == (
        "Broken training images skipped: 2 (such as a.png: cut)."
    )
    assert not any("Broken" in line for line in caveats([run], load("digits"), recipe, skipped=[]))
