"""Two arms compared, from invented results of cells."""

from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError
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


def test_a_seed_with_which_no_net_learned_is_marked() -> None:
    """Two nets at 90 % of ten classes differ by 0 points, which shows nothing of either."""
    asked = {**SETTINGS, "metric": "test_error"}

    def tested(*errors: float, **more: Any) -> list[Found]:
        return [Found(folder=Path(), values={"test_error": error, "test_n": 360, "chance": 90.0, **more}, seconds=1.0)
                for error in errors]  # fmt: skip

    one = compare.measure(asked, [0, 1, 2], {"a": tested(90.0, 88.0, 5.0), "b": tested(90.0, 4.0, 4.0)})
    assert one.effects == [0.0, 84.0, 1.0]
    assert one.blank == [True, False, False]
    assert one.deviations == ["With seed 0 no net does better than guessing: no verdict may rest on that effect."]
    diverged = compare.measure(asked, [0, 1], {"a": tested(90.0, 90.0, diverged=True), "b": tested(4.0, 5.0)})
    assert diverged.effects == [86.0, 85.0]
    assert diverged.deviations == ["2 of 2 trainings of plain8 diverged; each counts as one that guesses."]


def test_a_net_at_chance_has_no_harmless_blocks() -> None:
    """All of its blocks can be removed without harm, because there is nothing to lose."""
    asked = {"train": {"net": "resnet8"}, "metric": "harmless", "look": {"work": "lesions"}, "a": {}}
    values = {"harmless": 100.0, "chance": 90.0, "n": 200}
    at_chance = compare.measure(asked, [0], {"a": [Found(folder=Path(), values={**values, "intact": 89.0}, seconds=1)]})
    assert at_chance.blank == [True]
    trained = compare.measure(asked, [0], {"a": [Found(folder=Path(), values={**values, "intact": 50.0}, seconds=1)]})
    assert (trained.effects, trained.blank) == ([100.0], [False])
    assert trained.deviations == []


def test_a_number_that_could_not_be_measured() -> None:
    asked = {"train": {"net": "resnet8"}, "metric": "cut_share", "look": {"work": "layers"}, "a": {}}
    with pytest.raises(ReslabError, match="cut_share could not be measured of one of its nets"):
        compare.measure(asked, [0], {"a": [Found(folder=Path(), values={"cut_share": None}, seconds=1)]})
