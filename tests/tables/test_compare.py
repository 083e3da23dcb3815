"""Nets compared: the same rows for all, means and spreads by hand, the trees as scikit-learn gives them."""

import json
import re
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from reslab.cli import main
from reslab.errors import UsageError
from reslab.tables.compare import boosted, compare, features
from reslab.tables.reading import Reading
from reslab.tables.train import load, parts_of
from reslab.train.recipe import change, read

ROOMS = Path(__file__).parents[2] / "docs" / "examples" / "rooms.csv"
READING = Reading(target=("let",), kinds={"id": "skip"})


def test_the_command_on_two_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tables", "compare", str(ROOMS), "--target", "let", "--kinds", "id=skip", "--nets", "mlp", "trees"]
    assert main([*words, "--seeds", "2", "--epochs", "1", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    mlp, trees = found["nets"]
    each = [json.loads((tmp_path / f"mlp-s{s}" / "results" / "train.json").read_text())["test"] for s in (0, 1)]
    for score in ("accuracy", "auc", "log_loss"):
        values = [one[score] for one in each]
        assert mlp[f"{score}_each"] == values
        assert (mlp[score], mlp[f"{score}_std"]) == (mean(values), stdev(values))
    assert (mlp["seeds"], trees["seeds"], trees["parameters"], found["main"]) == (2, 2, None, "accuracy")
    assert found["report"] == str(tmp_path / "report.html")
    before = (tmp_path / "mlp-s0" / "results" / "train.json").stat().st_mtime_ns
    assert main([*words, "--seeds", "2", "--epochs", "1", "--out", str(tmp_path)]) == 0  # nothing is done again
    said = capsys.readouterr().out
    assert f"report: {tmp_path / 'report.html'}\nnext:   reslab report {tmp_path / 'mlp-s0'}\n" in said
    assert "Nets compared on rooms.csv" in (tmp_path / "report.html").read_text()
    again = json.loads((tmp_path / "results" / "compare-tables.json").read_text())
    assert again["nets"] == found["nets"]
    assert (tmp_path / "mlp-s0" / "results" / "train.json").stat().st_mtime_ns == before


def test_what_the_trees_are_given() -> None:
    """Numbers, codes and topics per text, for the same rows, and accurate enough to beat the larger class."""
    recipe = read("tables")
    data = load(str(ROOMS), READING, recipe)
    parts = parts_of(data, READING)
    columns, categorical = features(parts, seed=0)
    sizes = parts.tables["train"].sizes
    assert categorical == list(range(sizes["numbers"], sizes["numbers"] + len(sizes["categories"])))
    for part, table in parts.tables.items():
        assert len(columns[part]) == len(table)
        assert table.codes is not None
        assert (columns[part][:, categorical] == np.minimum(table.codes.numpy(), 254)).all()
    found = boosted(data, parts, seed=0)
    assert found["accuracy"] > np.bincount(parts.targets["test"]).max() / len(parts.targets["test"])


def test_labels_are_refused_for_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "two.csv"
    file.write_text("x,a,b\n" + "".join(f"{k},{k % 2},{k % 3 == 0:d}\n" for k in range(60)), encoding="utf-8")
    reading, recipe = Reading(target=("a", "b")), change(read("tables"), epochs=1)
    for nets, said in ((["mlp", "trees"], "trees predict one class or one number; leave them out of nets"),
                       (["mlp", "tree"], "no net named 'tree' to compare; did you mean 'trees'?")):  # fmt: skip
        with pytest.raises(UsageError, match=re.escape(said)):
            compare(tmp_path / "run", str(file), reading, recipe, nets=nets, seeds=1)
    assert not list((tmp_path / "run").glob("*/spec.json"))  # before any is trained
    monkeypatch.setattr("reslab.tables.compare.NETS", ("mlp",))
    found = compare(tmp_path / "run", str(file), reading, recipe, seeds=1, device="cpu", fitting={"iterations": 4})
    assert [row["net"] for row in found["nets"]] == ["mlp"]  # by default they are left out
    assert found["recipe"]["batch"] == 16  # as a table of 60 rows is trained alone


def test_without_a_validation_part_all_are_trained_to_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trees, too: then as many as scikit-learn makes by default."""
    words = ["tables", "compare", str(ROOMS), "--target", "let", "--kinds", "id=skip", "--nets", "trees", "mlp"]
    assert main([*words, "--seeds", "1", "--epochs", "1", "--validation", "0", "--out", str(tmp_path), "--json"]) == 0
    trees, mlp = json.loads(capsys.readouterr().out)["nets"]
    recipe = change(read("tables"), validation=0.0, early_stop=0)
    data = load(str(ROOMS), READING, recipe)
    parts = parts_of(data, READING)
    assert "validation" not in parts.tables
    columns, categorical = features(parts, seed=0)
    known = HistGradientBoostingClassifier(early_stopping=False, categorical_features=categorical, random_state=0)
    known.fit(columns["train"], parts.targets["train"])
    assert trees["accuracy"] == known.score(columns["test"], parts.targets["test"])
    assert 0 < mlp["accuracy"] < 1
