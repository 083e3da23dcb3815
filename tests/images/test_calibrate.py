"""The temperature of image nets: fitted on the validation part alone, measured on the test part."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from reslab.errors import Sentence
from reslab.images.calibrate import calibrated, described, fit_temperature, measured, probabilities
from reslab.images.data import ImageData
from reslab.run import Run


def test_the_temperature_of_scores_that_are_twice_too_large() -> None:
    """Classes are drawn from softmax(z); from 2 z the temperature 2 gives these chances back."""
    draw = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(4000, 5, generator=draw)
    labels = torch.multinomial(z.softmax(1), 1, generator=draw).flatten()
    found = fit_temperature(2 * z, labels)
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.after < found.before
    assert not found.at_limit
    log_p = (2 * z).log_softmax(1)  # the same softmax at every temperature
    assert fit_temperature(log_p, labels).temperature == pytest.approx(found.temperature, rel=1e-6)
    assert measured((2 * z, labels)).ece > 0.05 > measured((2 * z, labels), found.temperature).ece


def test_the_temperature_of_several_labels() -> None:
    draw = torch.Generator().manual_seed(0)
    z = 2 * torch.randn(3000, 4, generator=draw)
    labels = torch.bernoulli(z.sigmoid(), generator=draw).long()
    found = fit_temperature(2 * z, labels)
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.n == 3000
    assert probabilities(torch.tensor([0.0, 2 * math.log(3)]), 2.0, several=True).tolist() == pytest.approx([0.5, 0.75])
    at = measured((torch.tensor([[math.log(3), -math.log(9)]]), torch.tensor([[1, 1]])))
    assert at.n == 2  # confidence 0.75 of yes, which is right; 0.9 of no, which is wrong
    assert at.ece == pytest.approx((0.25 + 0.9) / 2)


def test_a_few_images_that_are_all_right_do_not_ask_for_certainty() -> None:
    scores, labels = torch.tensor([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), torch.tensor([0, 1, 0])
    found = fit_temperature(scores, labels)
    assert 0.3 < found.temperature < 1
    many = fit_temperature(scores.repeat(1000, 1), labels.repeat(1000))
    assert many.temperature < found.temperature / 2


def test_the_test_part_chooses_nothing() -> None:
    scores, labels = torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1])
    p = 1 / (1 + math.exp(-3))
    found = calibrated(None, (scores, labels))
    assert found["temperature"] is None
    assert found["ece"] == pytest.approx(p - 0.5)
    assert "ece_before" not in found
    assert str(described(found)) == "not calibrated: no validation part (set validation=0.1)"
    one = calibrated((scores, labels), (scores, labels))
    other = calibrated((scores, labels), (scores, torch.tensor([0, 0])))
    assert one["temperature"] == other["temperature"]
    assert one["temperature"]["temperature"] > 1.5
    assert other["ece_before"] == pytest.approx(1 - p)
    assert other["ece"] > other["ece_before"]
    assert other["reliability"]["n"] == 2


def test_a_run_stores_its_temperature(
    begin: Callable[..., Run], few: ImageData, straight: Callable[..., Run], tmp_path: Path
) -> None:
    run = straight(begin(tmp_path / "run", few, validation=20), few)
    result: dict[str, Any] = run.read_json("results/train.json")
    found = result["temperature"]
    assert found["n"] == 20
    assert found["after"] <= found["before"]
    assert result["reliability"]["n"] == 50
    text = described(result)
    assert isinstance(text, Sentence)
    assert text == f"calibrated: temperature {found['temperature']:.2f}, fitted on 20 validation images"
    old = {"validation_error": 3.0}
    assert described(old) == "not calibrated: the run was trained before reslab fitted temperatures"
