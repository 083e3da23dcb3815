"""The identity study: fits with and without shortcuts, gathered into a table, verdicts and a page."""

import math
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.report import write
from reslab.run import Run
from reslab.study import identity as study
from reslab.study.grid import Found
from reslab.study.identity import Asked, identity


def made_up(cells, *args, **kwargs):
    """Fits whose losses are known: 10^-depth residual, 1/depth plain; the second seed's are twice as large."""
    found = {}
    for one in cells:
        asked = one.settings
        loss = 10.0 ** -asked["depth"] if asked["residual"] else 1 / asked["depth"]
        values = {"loss": loss * (1 + asked["seed"]), "rate": 0.1, "edge": asked["depth"] == 2, "diverged": 0}
        found[one] = Found(folder=Path(), values=values, seconds=0)
    return found


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run", made_up)
    return identity(tmp_path / "out", Asked(depths=[4, 2], layers=["linear"], seeds=(0, 1)), tmp_path / "cells")


def test_the_table_has_geometric_means(result):
    rows = {(row["kind"], row["target"], row["depth"]): row for row in result["table"]}
    assert len(rows) == 2 * 2 * 2
    assert rows["residual", "y = x", 2]["loss"] == f"{0.01 * math.sqrt(2):.2g}"
    assert rows["plain", "y = x + small(x), 0.1", 4]["loss"] == f"{0.25 * math.sqrt(2):.2g}"


def test_verdicts_say_by_which_factor(result):
    help_, worse, *_ = result["verdicts"]
    assert help_["question"] == "Do shortcuts help to fit y = x, linear layers, at every depth?"
    assert "loss is 50 times the residual one's" in help_["sentence"]  # (1/2) / 10^-2 at 2 layers, the least
    assert help_["answer"] == "not shown"  # two seeds that agree exactly: no spread is known
    assert "loss of 4 plain layers is 0.5 times that of 2" in worse["sentence"]
    assert any(caveat.startswith("In 8 of 16 fits") for caveat in result["caveats"])


def test_the_page_shows_a_figure_for_each_target(result, tmp_path):
    page = write(tmp_path / "out").read_text()
    assert "Is the identity hard to fit?" in page
    assert page.count("<figure") == 2
    assert "All fits" in page
    assert page.count("<bdi>residual</bdi>") == 2  # in the key of each figure


def test_values_that_make_no_study_and_folders_of_others(tmp_path):
    refused = (
        ({"depths": [2]}, "two or more even"), ({"depths": [2, 5]}, "got 2, 5"), ({"steps": 0}, "steps must be"),
        ({"layers": ["dense"]}, "got 'dense'"), ({"small": math.nan}, "small at least 0"), ({"seeds": ()}, "seeds: at"),
    )  # fmt: skip
    for wrong, words in refused:
        with pytest.raises(UsageError, match=words):
            identity(tmp_path / "x", Asked(**wrong), tmp_path / "cells")
    Run(tmp_path).write_json("study.json", {"study": "degradation"})
    with pytest.raises(UsageError, match="holds another study"):
        identity(tmp_path, Asked(), tmp_path / "cells")
