"""The range test: the net and the batches that training begins with, rates by hand, the suggestion on known curves."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK

from reslab.cli import main
from reslab.cli.lr_find import with_rate
from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.lr_find import find_rate
from reslab.images.plan import Asked
from reslab.images.setup import set_up
from reslab.images.train import train
from reslab.train.lr_find import STEPS, Ramp, slope, steepest
from reslab.train.signals import Interrupted
from reslab.train.training import Training

FLAGS = ["--net", "resnet8", "--precision", "fp32", "--memory-format", "NCHW", "--compile", "off", "--batch", "4"]
FIXED = {"precision": "fp32", "memory_format": "NCHW", "compile": "off", "batch": 8, "iterations": 3, "threads": 1}


def test_rates_grow_by_the_same_factor() -> None:
    ramp = Ramp(QUICK, examples=80, least=1e-3, most=10.0, steps=5)
    assert [ramp.lr(k) for k in range(5)] == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])


def test_the_slope_of_a_line() -> None:
    assert slope([0.0, 1.0, 2.0], [5.0, 3.0, 1.0]) == pytest.approx(-2)


def test_the_suggestion_is_where_the_loss_falls_by_the_largest_share() -> None:
    """The logarithm of the loss is a step down around a rate of 0.01; then the loss rises."""
    rates = [10 ** (-5 + 6 * k / 99) for k in range(100)]
    losses = [2 * math.exp(-2 / (1 + math.exp(-4 * (math.log10(rate) + 2)))) + (10 * rate if rate > 1 else 0)
              for rate in rates]  # fmt: skip
    found = steepest(rates, losses)
    assert found is not None
    assert abs(math.log10(found) + 2) < 6 / 99


def test_no_rate_is_suggested_where_the_loss_never_fell() -> None:
    rates = [10 ** (-5 + 6 * k / 99) for k in range(100)]
    assert steepest(rates, [2.3] * 100) is None
    assert steepest(rates, [2.3 + rate for rate in rates]) is None
    assert steepest(rates[:20], [2.0 - 0.05 * k for k in range(20)]) is None  # too few steps


def state_of(training: Training) -> list[Any]:
    """What a training begins with: weights, torch's random state, the first batch."""
    first = next(iter(training.task.batches(0, 1)))
    weights = {name: value.clone() for name, value in training.net.state_dict().items()}
    return [weights, torch.get_rng_state(), first.x.clone(), first.y.clone()]


def test_net_random_state_and_batches_are_the_trainings(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Any]] = []
    plain = Training.__init__

    def noted(self: Training, *args: Any, **options: Any) -> None:
        plain(self, *args, **options)
        seen.append(state_of(self))

    monkeypatch.setattr(Training, "__init__", noted)
    asked = Asked(data=few, net="resnet8", changes=FIXED)
    find_rate(asked, device="cpu")
    run, _ = set_up(asked, tmp_path / "run")
    train(run.folder, data=few, device="cpu")
    (weights, state, x, y), (weights2, state2, x2, y2) = seen
    assert all(torch.equal(value, weights2[name]) for name, value in weights.items())
    assert torch.equal(state, state2)
    assert torch.equal(x, x2)
    assert torch.equal(y, y2)


def test_it_diverges_at_high_rates_and_leaves_nothing(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found, plan = find_rate(Asked(data=few, net="resnet8", changes={**FIXED, "lr": 0.3}), device="cpu")
    assert plan.chosen.recipe.lr == 0.3
    assert found.losses[0] == pytest.approx(math.log(10), abs=1.5)  # ten classes, a new net
    assert found.diverged == (len(found.losses) < STEPS)
    assert found.averages[0] == pytest.approx(found.losses[0])
    assert len(found.rates) == len(found.losses) == len(found.averages)
    assert not list(tmp_path.iterdir())


def test_it_stops_at_once(few: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reslab.train.signals.Stop.asked", property(lambda self: 15, lambda self, value: None),
                        raising=False)  # fmt: skip
    with pytest.raises(Interrupted, match="stopped"):
        find_rate(Asked(data=few, net="resnet8", changes=FIXED), device="cpu")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["reslab", "train", "--lr-find", *FLAGS, "--out=a b.html", "--lr", "0.2"])
    assert main(["train", "--lr-find", *FLAGS, "--lr", "0.2", "--out=a b.html", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["next"] == f"reslab train {' '.join(FLAGS)} --lr {found['suggestion']:g}"
    assert (found["batch"], found["optimizer"], found["report"]) == (4, "sgd", "a b.html")
    page = Path("a b.html").read_text(encoding="utf-8")
    assert found["next"] in page
    assert page.count("<polyline") == 2
    assert "<script" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["a b.html"]  # no run is made
    assert main(["train", "--lr-find", "--resume"]) == 2
    Path("mine.html").write_text("mine")
    assert main(["train", "--lr-find", "--out", "mine.html"]) == 2  # before the work
    assert "mine.html" in capsys.readouterr().err


def test_the_next_command_drops_what_it_replaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["reslab", "train", "--data", "my photos", "--lr=0.1", "--lr-find", "--out", "x.html"]
    )
    assert with_rate(0.05) == "reslab train --data 'my photos' --lr 0.05"


def test_wrong_settings_are_named(few: ImageData) -> None:
    with pytest.raises(UsageError, match="batch must be positive, got 0"):
        find_rate(Asked(data=few, net="resnet8", changes=replace_key("batch", 0)), device="cpu")


def replace_key(key: str, value: Any) -> dict[str, Any]:
    return {**FIXED, key: value}
