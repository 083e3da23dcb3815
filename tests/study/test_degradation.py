"""The study end to end on the smallest nets: what is run, what is kept, what is never run twice."""

import json
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.run import Run
from reslab.study.degradation import degradation
from reslab.train.recipe import read

QUICK = {"iterations": 4, "precision": "fp32", "memory_format": "NCHW", "compile": "off", "threads": 1}


def test_twins_share_data_order_and_finished_runs_stay(tmp_path: Path) -> None:
    recipe = read("digits", **QUICK)
    result = degradation(tmp_path, depths=(8, 14), seeds=1, recipe=recipe, jobs=2, command="test")
    assert [row["net"] for row in result["table"]] == ["plain8", "plain14", "resnet8", "resnet14"]
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
