"""What is counted without training: the published counts, in two ways; and what other nets would say."""

from pathlib import Path

import pytest

from reslab.progress import silent
from reslab.study.claims.experiments import counted
from reslab.study.grid import Found
from reslab.study.work import count

SETTINGS = {
    "pairs": [["resnet20", "plain20"], ["resnet32", "plain32"]],
    "options": {"a": {"shortcut": "A"}},
    "metrics": ["parameters", "parameters_held", "macs", "macs_run"],
    "scale": "difference",
    "axis": "parameters",
}


def counts_of(cell):
    values = count.work(Path(), cell.settings, [], device="cpu", progress=silent)
    return Found(folder=Path(), values=values, seconds=0)


def measured(settings):
    found = {arm: [counts_of(one) for one in cells] for arm, cells in counted.cells(settings, []).items()}
    return counted.measure(settings, [], found)


def test_two_ways_of_counting_agree_with_the_papers_table():
    found = count.work(Path(), {"net": "resnet20"}, [], device="cpu", progress=silent)
    assert found["parameters"] == found["parameters_held"] == 269_722
    assert found["macs"] == found["macs_run"] == 40_551_040


@pytest.mark.parametrize("net", ["resnet18", "resnet50", "resnet50_v2"])
def test_the_field_of_bottlenecks_and_behind_a_pooling_is_seen_whole(net: str):
    found = count.work(Path(), {"net": net, "field": True}, [], device="cpu", progress=silent)
    assert found["receptive_field_seen"] == found["receptive_field"] > 400


def test_the_field_that_gradients_reach_is_the_formulas():
    """1 + 2 for the stem, 6 layers a stage of 2, 4 and 8 pixels, of which each stage's first still has finer steps."""
    found = count.work(Path(), {"net": "resnet20", "field": True}, [], device="cpu", progress=silent)
    assert found["receptive_field_seen"] == found["receptive_field"] == 3 + 6 * 2 + (2 + 5 * 4) + (4 + 5 * 8)


def test_identity_shortcuts_add_nothing_and_projections_do():
    free = measured(SETTINGS)
    assert free.effects == [0] * 8
    assert free.cases[4] == "resnet32 and plain32: parameters"
    paid = measured({**SETTINGS, "options": {"a": {"shortcut": "B"}}})
    assert paid.effects[:2] == [272_474 - 269_722] * 2  # the table of both options
    assert paid.effects[2] == 8 * 8 * 64 * 32 + 16 * 16 * 32 * 16 > 0  # two 1x1 convolutions


def test_a_bottleneck_net_in_percent_of_a_basic_one():
    settings = {"pairs": [["resnet50", "resnet34"]], "metrics": ["macs", "macs_run"], "scale": "percent", "axis": ""}
    assert measured(settings).effects == pytest.approx([5.3, 5.3], abs=0.01)  # 3.858 G and 3.664 G


def test_twins_share_a_place_and_a_small_range_is_drawn_from_zero():
    figure = measured(SETTINGS).figure
    assert [list(one.x) for one in figure.series] == [["20 layers", "32 layers"]] * 2
    assert not figure.log_y, "464,154 parameters are less than 5 times 269,722"
    assert measured({**SETTINGS, "pairs": [["resnet56", "plain20"]]}).figure.series[0].x == ["resnet56"]
