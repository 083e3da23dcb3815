"""Which net is the best so far, by its validation."""

import pytest
from torch import nn

from reslab.train.best import Best
from reslab.train.recipe import Recipe

NEGLECTS = {"error": 5.0, "balanced": 50.0, "loss": 0.2}  # always the frequent class of 190:10
SEES = {"error": 6.0, "balanced": 8.0, "loss": 0.3}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 1),
        ({"class_weights": "balanced"}, 2),
        ({"sampling": "balanced"}, 2),
        ({"class_weights": "balanced", "select": "loss"}, 1),
    ],
)
def test_rare_classes_count_where_they_are_weighed(changes: dict[str, str], kept: int) -> None:
    """The net that neglects a rare class has the lower plain error, the other one the lower balanced error."""
    for order, best in (((NEGLECTS, SEES), kept), ((SEES, NEGLECTS), 3 - kept)):
        watched = Best(Recipe(keep="best", validation=0.1, **changes))  # type: ignore[arg-type]
        for iteration, found in enumerate(order, 1):
            watched.compare(found, nn.Linear(1, 1), iteration)
        assert watched.found["iteration"] == best


def test_ties_are_broken_and_older_checkpoints_compare_as_they_did() -> None:
    recipe = Recipe(keep="best", validation=0.1, sampling="balanced")
    watched = Best(recipe)
    for iteration, found in enumerate((SEES, {**SEES, "loss": 0.25}, {**SEES, "loss": 0.26}), 1):
        watched.compare(found, nn.Linear(1, 1), iteration)
    assert (watched.found["iteration"], watched.waited) == (2, 1)
    watched.found = {"error": 5.5, "loss": 0.1, "iteration": 2, "weights": {}}
    watched.compare(SEES, nn.Linear(1, 1), 3)
    assert watched.found["iteration"] == 2
    watched.compare(NEGLECTS, nn.Linear(1, 1), 4)
    assert watched.found["iteration"] == 4
