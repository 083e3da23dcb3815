"""The least of several differences of two arms, from invented results of cells."""

from pathlib import Path
from typing import Any

import pytest

from reslab.study.claims.experiments import both
from reslab.study.grid import Found

SETTINGS: dict[str, Any] = {
    "train": {"net": "plain8"}, "a": {"net": "plain14"}, "b": {"net": "plain8"}, "axis": "error, %",
    "metrics": {"train_error_eval": "training images", "test_error": "test images"},
}  # fmt: skip


def found(*errors: tuple[float, float], **more: Any) -> list[Found]:
    return [Found(folder=Path(), values={"train_error_eval": train, "test_error": test, **more}, seconds=1.0)
            for train, test in errors]  # fmt: skip


def test_the_least_of_both_differences_counts() -> None:
    """Worse on both; an overfitting net: worse on the test images, better on the others; a net that is the same."""
    a, b = found((9.0, 20.0), (1.0, 30.0), (4.0, 5.0)), found((4.0, 5.0), (4.0, 5.0), (4.0, 5.0))
    one = both.measure(SETTINGS, [0, 1, 2], {"a": a, "b": b})
    assert one.effects == [5.0, -3.0, 0.0]
    assert one.numbers["plain8, test images"] == "5"
    assert [(each.name, list(each.x)) for each in one.figure.series] == [
        ("plain14", ["training images", "test images"]), ("plain8", ["training images", "test images"])]  # fmt: skip


def test_equal_errors_have_the_noise_of_the_smaller_count() -> None:
    """No error among 96 test images: variance 1e4 * 0.02 * 0.98 / 96 for each arm, more than of 996 training images."""
    none = found((0.0, 0.0), (0.0, 0.0), train_n=996, test_n=96)
    noise = both.measure(SETTINGS, [0, 1], {"a": none, "b": none}).noise
    assert noise == pytest.approx(2 * 1e4 * 0.02 * 0.98 / 96)
