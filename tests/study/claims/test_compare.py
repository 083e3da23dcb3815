"""Two arms compared, from invented results of cells."""

from pathlib import Path
from typing import Any

import pytest

from reslab.study.claims.experiments import compare
from reslab.study.grid import Found

SETTINGS: dict[str, Any] = {"train": {"net": "resnet8"}, "metric": "train_error", "a": {"net": "plain8"},
                            "b": {"net": "resnet8"}}  # fmt: skip


def found(*errors: float, **more: Any) -> list[Found]:
    return [Found(folder=Path(), values={"train_error": error, **more}, seconds=1.0) for error in errors]


def test_equal_errors_have_the_noise_of_counting() -> None:
    """No error among 96 images: 2 of 100 after Agresti and Coull, variance 1e4 * 0.02 * 0.98 / 96 for each arm."""
    one = compare.measure(SETTINGS, [0, 1], {"a": found(0.0, 0.0, train_n=96), "b": found(0.0, 0.0, train_n=96)})
    assert one.effects == [0.0, 0.0]
    assert one.noise == pytest.approx(2 * 1e4 * 0.02 * 0.98 / 96)


def test_other_numbers_have_no_known_noise() -> None:
    arms = {"a": found(4.0, 4.0, train_n=96), "b": found(2.0, 2.0, train_n=96)}
    assert compare.measure({**SETTINGS, "scale": "decades"}, [0, 1], arms).noise == 0
    assert compare.measure(SETTINGS, [0, 1], {"a": found(4.0, 4.0), "b": found(2.0, 2.0)}).noise == 0


def test_numbers_of_the_arms_have_a_name_and_a_unit() -> None:
    """The geometric mean of 2 and 8 is 4; the effect, log10(4 / 4), is the ratio of what is shown."""
    arms = {"a": found(2.0, 8.0), "b": found(4.0, 4.0)}
    plain = compare.measure({**SETTINGS, "axis": "training error, %"}, [0, 1], arms).numbers
    assert list(plain.items()) == [("training error, resnet8", "4 % (mean over 2 seeds)"),
                                   ("training error, plain8", "5 % (mean over 2 seeds)")]  # fmt: skip
    ratios = compare.measure({**SETTINGS, "axis": "size of the loss, nats", "scale": "decades"}, [0, 1], arms).numbers
    assert ratios["size of the loss, plain8"] == "4 nats (geometric mean over 2 seeds)"
