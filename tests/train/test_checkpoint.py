"""A damaged last.pt ends in one sentence that names the file, the field and its value, with exit code 1."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.cli import main
from reslab.run import Run

STOPPED = Path(__file__).parents[1] / "golden" / "folders" / "images-stopped"
CURE = "restore a copy of it, or delete it to train from the start"
MOMENTUM = r".optimizer.state[8].momentum_buffer must be a tensor of [16], got "


def setting(*path: Any) -> Callable[[Any, Any], None]:
    def change(state: Any, value: Any) -> None:
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("optimizer", "state", 8), None, ".optimizer.state[8] must be an object, got null"),
        (("optimizer", "state", 8), "x", ".optimizer.state[8] must be an object, got 'x'"),
        (("optimizer", "state", 8), -5, ".optimizer.state[8] must be an object, got -5"),
        (("optimizer", "state", 8), float("nan"), ".optimizer.state[8] must be an object, got NaN"),
        (("optimizer", "state", 8), torch.zeros(2), ".optimizer.state[8] must be an object, got a Tensor"),
        (("optimizer", "state"), [1], ".optimizer.state must be an object, got a list of 1"),
        (("optimizer", "state", 8, "momentum_buffer"), "x", f"{MOMENTUM}'x'"),
        (("optimizer", "state", 8, "momentum_buffer"), torch.zeros(2), f"{MOMENTUM}one of [2]"),
        (("optimizer", "state", 99), {}, ".optimizer.state has 99, but the net has 23 parameters"),
        (("choice", "milliseconds"), 10**30, f".choice.milliseconds must be an object, got {10**30}"),
        (("choice", "precision"), torch.zeros(2), ".choice.precision must be a text, got a Tensor"),
        (("choice", "precision"), "fp64", "precision must be one of fp32, bf16, got 'fp64'"),
        (("schedule", "waited"), float("nan"), ".schedule.waited must be a whole number, got NaN"),
        (("schedule", "warm"), None, ".schedule.warm must be true or false, got null"),
        (("best",), {"error": 1.0}, ".best lacks loss, iteration, weights"),
        (("sums",), torch.zeros(3, dtype=torch.float64), ".sums must be a tensor of [2, 3], got one of [3]"),
        (("sums",), None, ".sums must be a tensor of [2, 3], got null"),
        (("iteration",), 41, ".iteration must be at most 40, got 41"),
        (("seconds",), float("nan"), ".seconds must be a number of at least -1e+200, got NaN"),
        (("generators",), {"cpu": "x"}, "its .generators are not states of random number generators"),
        (
            ("generators", "python"),
            {"version": 3, "words": torch.zeros(3), "gauss": None},
            "its .generators are not states of random number generators",
        ),
        (("generators", "numpy"), 3, "its .generators are not states of random number generators"),
        (("generators",), {}, "its .generators are not states of random number generators"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_value_that_no_training_has(
    path: tuple[Any, ...], value: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(STOPPED, "run")
    state = torch.load("run/last.pt", weights_only=True)
    setting(*path)(state, value)
    torch.save(state, "run/last.pt")
    assert main(["train", "--resume", "--out", "run", "--device", "cpu"]) == 1
    err = re.sub(r".*\r", "", capsys.readouterr().err).splitlines()[-1]
    assert err == f"reslab: run/last.pt is damaged: {said}; {CURE}"
    assert Run("run").has("last.pt")


def test_settings_of_the_optimizer_are_the_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in last.pt are not read: neither text nor another value there changes the end."""
    monkeypatch.chdir(tmp_path)
    ends = []
    for name in ("run", "odd"):
        shutil.copytree(STOPPED, name)
        state = torch.load(f"{name}/last.pt", weights_only=True)
        if name == "odd":
            state["optimizer"]["param_groups"][0] |= {"scale": "x", "momentum": 0.1, "weight_decay": None}
        torch.save(state, f"{name}/last.pt")
        assert main(["train", "--resume", "--out", name, "--device", "cpu"]) == 0
        ends.append(Path(name, "weights.safetensors").read_bytes())
    assert ends[0] == ends[1]
