"""The cells of an experiment's arms: equal trainings are one, whatever a claim calls them."""

from pathlib import Path

from reslab.study.claims import arms
from reslab.study.claims.experiments import compare
from reslab.study.grid import Found

DATA = {"word": "digits", "options": {}, "fingerprint": "f"}
TRAIN = {"recipe": "digits", "net": "resnet20", "changes": {"epochs": 1}, "data": DATA}


def test_labels_and_metrics_make_no_other_cell():
    plain = arms.arm_cell({"train": TRAIN}, {"changes": {"lr": 0.1}}, 3)
    named = arms.arm_cell({"train": TRAIN}, {"changes": {"lr": 0.1}, "label": "slow", "metric": "test_error"}, 3)
    assert plain == named
    assert plain.settings == {**TRAIN, "changes": {"epochs": 1, "lr": 0.1}, "seed": 3}


def test_a_look_needs_its_training():
    found = arms.arm_cell({"train": TRAIN, "look": {"work": "train", "k": 2}}, {}, 0)
    assert found.settings == {"k": 2, "net": "resnet20", "data": DATA, "seed": 0}
    assert found.needs == (arms.trained({"train": TRAIN}, {}, 0),)


def test_a_look_at_a_new_net_needs_no_training():
    settings = {"train": TRAIN, "look": {"work": "train", "k": 2}}
    found = arms.arm_cell(settings, {"net": "plain20", "look": {"new": True, "k": 3}}, 0)
    assert found.settings == {"k": 3, "net": "plain20", "data": DATA, "seed": 0}
    assert found.needs == ()


def test_the_users_data_only_where_a_claim_asks_for_them():
    model = {"work": "train", "data": "python", "depth": 2}
    of_its_own = arms.trained({"model": {**model, "data": {"word": "python"}}, "data": DATA}, {"depth": 6}, 0)
    given = arms.trained({"model": {**model, "data": "given"}, "data": DATA}, {"depth": 6}, 0)
    assert of_its_own.settings == {"data": {"word": "python"}, "depth": 6, "seed": 0}
    assert given.settings == {"data": DATA, "depth": 6, "seed": 0}


def test_compare_of_two_numbers_of_one_work():
    settings = {"train": TRAIN, "scale": "difference", "metric": "whole",
                "a": {"metric": "cut", "label": "cut net"}, "b": {"label": "whole net"}}  # fmt: skip
    both = compare.cells(settings, [0, 1])
    assert both["a"] == both["b"]
    values = [{"whole": 2.0, "cut": 5.0}, {"whole": 2.5, "cut": 4.5}]
    done = [Found(folder=Path(), values=one, seconds=0) for one in values]
    found = compare.measure(settings, [0, 1], {"a": done, "b": done})
    assert found.effects == [3.0, 2.0]
    assert found.numbers == {"whole, whole net": "2.25 (mean over 2 seeds)", "cut, cut net": "4.75 (mean over 2 seeds)"}
    assert found.figure.series[0].x == ["whole net", "cut net"]
    assert list(found.figure.series[0].y) == [2.0, 5.0]


def test_the_difference_of_two_numbers_is_a_metric():
    settings = {"train": TRAIN, "scale": "difference", "metric": "test_error - train_error_eval", "a": {}, "b": {}}
    a = Found(folder=Path(), values={"test_error": 7.0, "train_error_eval": 4.0}, seconds=0)
    b = Found(folder=Path(), values={"test_error": 3.0, "train_error_eval": 1.0}, seconds=0)
    assert compare.measure(settings, [0], {"a": [a], "b": [b]}).effects == [1.0]
