"""Norms of weights and gradients along training: what is written, and that training does not notice."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.look.flow.signal import weight_norms
from reslab.run import Run
from reslab.train.norm_log import NormLog
from reslab.train.signals import Interrupted


def looks(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.metrics() if event["event"] == "gradients"]


def test_norms_by_hand() -> None:
    one, two = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.ones(2, 2))
    one.grad = torch.tensor([[0.0, -2.0]])
    assert weight_norms([one, two]) == ([2.0, 0.0], [5.0, 2.0])


def test_a_line_at_the_first_update_and_at_every_interval(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(2), nn.Linear(1, 1))
    watch = NormLog(net, Run(tmp_path), 5)
    for iteration in range(1, 13):
        watch(iteration)
    assert [event["iteration"] for event in looks(Run(tmp_path))] == [1, 5, 10]
    assert [event.get("layers") for event in looks(Run(tmp_path))] == [["0", "2"], None, None]
    NormLog(net, Run(tmp_path), 0)(1)
    assert len(looks(Run(tmp_path))) == 3


def test_what_is_written_is_the_gradient_of_the_update(begin: Any, few: ImageData, tmp_path: Path) -> None:
    """Without momentum and decay the update is the gradient times the rate: weights before less weights after."""
    run = begin(tmp_path / "run", few, net="plain8", look=1, momentum=0, weight_decay=0, iterations=2, lr=0.01)
    train(run.folder, data=few, device="cpu")
    first, second = looks(run)
    assert first["layers"][0] == "stem.conv"
    assert first["layers"][-1] == "head"
    assert len(first["gradients"]) == len(first["weights"]) == len(first["layers"]) == 8
    for gradient, before, after in zip(first["gradients"], first["weights"], second["weights"], strict=True):
        assert abs(after - before) <= 0.01 * gradient * (1 + 1e-3) + 1e-5 * before
    # BatchNorm behind a convolution makes its gradient orthogonal to the weight: Pythagoras gives the next norm.
    for i in range(7):
        expected = math.hypot(first["weights"][i], 0.01 * first["gradients"][i])
        assert second["weights"][i] == pytest.approx(expected, rel=1e-5)


def test_training_ends_with_the_same_bits_with_and_without(begin: Any, few: ImageData, tmp_path: Path) -> None:
    ends = []
    for every in (0, 1, 100):
        run = begin(tmp_path / str(every), few, look=every, clip=0.5)
        train(run.folder, data=few, device="cpu")
        losses = [event["loss"] for event in run.metrics() if event["event"] == "train"]
        ends.append((run.path("weights.safetensors").read_bytes(), losses))
        assert len(looks(run)) == {0: 0, 1: 12, 100: 1}[every]
    assert ends[0] == ends[1] == ends[2]


def test_resumed_it_tells_the_same_story(
    begin: Any, few: ImageData, tmp_path: Path, straight: Any, same_end: Any, stopped_after: Any
) -> None:
    whole = straight(begin(tmp_path / "whole", few, look=2), few)
    broken = begin(tmp_path / "broken", few, look=2)
    for k in (1, 5, 6):
        with stopped_after(k), pytest.raises(Interrupted):
            train(broken.folder, data=few, device="cpu")
    train(broken.folder, data=few, device="cpu")
    same_end(whole, broken)
    assert [event["iteration"] for event in looks(broken)] == [1, 2, 4, 6, 8, 10, 12]
