"""Numbers that say the form of a curve, by hand; the figure of curves; the range over several arms."""

from pathlib import Path

import pytest

from reslab.study.claims.experiments import compare, curve, spread
from reslab.study.grid import Found

DATA = {"word": "digits", "options": {}, "fingerprint": "f"}
TRAIN = {"recipe": "digits", "options": {"widths": [8, 16, 32]}, "data": DATA}
XAVIER = {"options": {"init": "xavier"}}
CURVE = {"x": "ks", "y": "errors", "x_axis": "blocks", "y_axis": "error, %"}


def found(**values) -> Found:
    return Found(folder=Path(), values=values, seconds=0)


def test_rank():
    assert curve.rank([0, 1, 2], [5, 7, 7.5]) == pytest.approx(1)
    assert curve.rank([0, 1, 2], [10, 30, 20]) == pytest.approx(0.5)  # 1 - 6 * (0 + 1 + 1) / (3 * 8)
    assert curve.rank([0, 1, 2], [4, 4, 4]) == 0


def test_slope():
    assert curve.slope([0, 1, 2], [1, 3, 5]) == pytest.approx(2)


def test_largest_step():
    assert curve.largest_step([0, 1, 2, 3], [10, 20, 50, 50]) == pytest.approx(30 / 40)
    assert curve.largest_step([0, 1, 2], [10, 50, 30]) == 1
    assert curve.largest_step([0, 1], [10, 10]) == 1
    assert curve.largest_step([0, 1], [10, 5]) == 1


def test_a_claim_on_the_form_of_a_curve():
    settings = {"train": TRAIN, "a": {"net": "resnet20"}, "statistic": "largest_step", "curve": CURVE}
    of_seed = [found(ks=[0, 1, 2], errors=errors) for errors in ([0, 10, 40], [0, 20, 40])]
    measured = compare.measure(settings, [0, 1], {"a": of_seed})
    assert measured.effects == [0.75, 0.5]
    line = measured.figure.series[0]
    assert (line.name, line.x, line.y) == ("resnet20", [0, 1, 2], [0, 15, 40])
    assert line.low is not None
    assert line.low[1] < 15


def test_curves_with_their_own_x_are_one_line_a_seed():
    settings = {"train": TRAIN, "a": {"net": "resnet20"}, "statistic": "rank", "curve": CURVE}
    of_seed = [found(ks=[3, 1, 2], errors=[9, 1, 4]), found(ks=[1, 2, 4], errors=[1, 4, 9])]
    measured = compare.measure(settings, [0, 1], {"a": of_seed})
    assert measured.effects == pytest.approx([1, 1])
    assert [(one.name, one.x, one.y) for one in measured.figure.series] == [
        ("resnet20, seed 0", [1, 2, 3], [1, 4, 9]), ("resnet20, seed 1", [1, 2, 4], [1, 4, 9]),
    ]  # fmt: skip


def test_spread_is_the_range_over_the_arms_at_the_deepest_net():
    settings = {"train": TRAIN, "look": {"work": "gradients", "new": True}, "metric": "change", "axis": "decades",
                "nets": ["plain8", "plain20"], "arms": {"he": {}, "xavier": XAVIER}}  # fmt: skip
    cells = spread.cells(settings, [0])
    assert list(cells) == ["plain8, he", "plain8, xavier", "plain20, he", "plain20, xavier"]
    assert cells["plain20, xavier"][0].settings["options"] == {"widths": [8, 16, 32], "init": "xavier"}
    values = dict(zip(cells, ([found(change=one)] for one in (1.0, 9.0, 2.0, 2.5)), strict=True))
    measured = spread.measure(settings, [0], values)
    assert measured.effects == [0.5]
    assert [(one.name, one.x, one.y) for one in measured.figure.series] == [
        ("he", [8, 20], [1.0, 2.0]), ("xavier", [8, 20], [9.0, 2.5]),
    ]  # fmt: skip
