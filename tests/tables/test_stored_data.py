"""A run's rows read again: split by the rule of its time, and refused if the file has changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from reslab.cli import main
from reslab.errors import ReslabError, UsageError
from reslab.run import Run
from reslab.subject import models
from reslab.tables import ResidualClassifier, fit_context, fit_parts
from reslab.tables.compare import compare
from reslab.tables.members import prepare_members, train_members
from reslab.tables.reading import Reading, read_reading
from reslab.tables.train import load, prepare, stored_data, train
from reslab.tables.training import set_aside
from reslab.train.order import shuffled
from reslab.train.recipe import change, read

TINY: dict[str, Any] = {"width": 4, "inner": 4, "depth": 1, "embedding": 4, "bins": 4}
RECIPE = change(read("tables"), epochs=1, batch=128, precision="fp32", compile="off", threads=1)
FLAGS = "--epochs 1 --batch 128 --precision fp32 --compile off --threads 1".split()
SIZES = ["--sizes", *(f"{key}={value}" for key, value in TINY.items())]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """212 rows of class a and 357 of class b: a fifth is 42.4 and 71.4 rows, 113.8 in all."""
    path, draws = tmp_path / "two.csv", np.random.default_rng(0)
    lines = [f"{x:.3f},{'a' if k < 212 else 'b'}" for k, x in enumerate(draws.normal(size=569))]
    path.write_text("\n".join(["x,y", *lines]) + "\n", encoding="utf-8")
    return path


def old(run: Run) -> Run:
    """The run as older versions stored it: without the rules."""
    about = run.read_json("data.json")
    for key in ("split_rule", "defaults", "fold", "folds", "shared_kinds"):
        del about["reading"][key]
    run.write_json("data.json", about)
    return run


def made(folder: Path, table: Path, *, rule: int = 2, members: int = 0, preset: str = "gated") -> Run:
    reading = Reading(target=("y",), sizes=TINY, split_rule=rule, defaults=rule)
    data = load(str(table), reading, RECIPE)
    given: dict[str, Any] = {"word": str(table), "reading": reading, "data": data, "preset": preset, "recipe": RECIPE}
    if members:
        run = prepare_members(folder, members=members, **given)
        each = [Run(run.path(f"s{k}")) for k in range(members)]
    else:
        run = prepare(folder, **given)
        each = [run]
    for one in each if rule == 1 else []:
        old(one)
    return run


def n_test(run: Run) -> int:
    return int(run.read_json("data.json")["test"])


def test_the_first_rule_rounds_each_class_by_itself() -> None:
    """42 rows of class 0 and 71 of class 1, drawn per class: the rows of reslab before rule 2."""
    classes = np.repeat([0, 1], [212, 357])
    held = set_aside(569, 0.2, seed=3, groups=classes, rule=1)[1]
    by_hand = [shuffled(212, 3, 0, 7)[:42].numpy(), 212 + shuffled(357, 3, 1, 7)[:71].numpy()]
    assert np.array_equal(held, np.sort(np.concatenate(by_hand)))
    assert len(set_aside(569, 0.2, seed=3, groups=classes)[1]) == 114


def test_an_older_run_keeps_its_rows(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found by the same command, resumed and looked at; a new one has one more."""
    run, new = made(tmp_path / "old", table, rule=1), made(tmp_path / "new", table)
    assert (n_test(run), n_test(new)) == (113, 114)
    assert (read_reading(run)[1].split_rule, new.read_json("data.json")["reading"]["split_rule"]) == (1, 2)
    assert [len(stored_data(one).frames["test"]) for one in (run, new)] == [113, 114]
    words = ["tables", "train", str(table), "--target", "y", *SIZES, *FLAGS, "--device", "cpu", "--json"]
    assert main([*words, "--out", str(run.folder)]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == 113
    assert len(models.load(str(run.folder)).labels) == 113
    assert main([*words, "--out", str(tmp_path / "third")]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == 114
    with pytest.raises(UsageError, match="split_rule must be 1 or 2, got 3"):
        Reading(target=("y",), split_rule=3).check()


def test_an_older_run_is_resumed(table: Path, tmp_path: Path) -> None:
    run, both = made(tmp_path / "one", table, rule=1), made(tmp_path / "both", table, rule=1, members=2)
    assert train(run.folder, device="cpu")["test"]["n"] == 113
    assert train_members(both.folder, device="cpu")["test"]["n"] == 113


def test_an_older_comparison_is_continued(table: Path, tmp_path: Path) -> None:
    """Before its first result by the rule of the run that was begun, afterwards by that of its result."""
    run = made(tmp_path / "all" / "gated-s0", table, rule=1)
    reading = Reading(target=("y",), sizes=TINY)
    given: dict[str, Any] = {"nets": ["gated"], "seeds": 1, "device": "cpu"}
    assert compare(tmp_path / "all", str(table), reading, RECIPE, **given)["reading"]["split_rule"] == 1
    assert run.read_json("results/train.json")["test"]["n"] == 113
    out = Run(tmp_path / "all")
    about = out.read_json("results/compare-tables.json")
    del about["reading"]["split_rule"]
    out.write_json("results/compare-tables.json", about)
    compare(out.folder, str(table), reading, RECIPE, **{**given, "nets": ["gated", "gated-block"]})
    assert n_test(Run(out.path("gated-block-s0"))) == 113
    compare(tmp_path / "new", str(table), reading, RECIPE, **given)
    assert n_test(Run(tmp_path / "new" / "gated-s0")) == 114


@pytest.mark.parametrize(("rule", "rows"), [(1, 113), (2, 114)])
def test_an_older_fit_is_resumed(rule: int, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimator's validation part and its defaults are of the rules of the training in its folder."""
    X, y = np.random.default_rng(0).normal(size=(569, 1)), np.repeat(["a", "b"], [212, 357])
    recipe = {key: getattr(RECIPE, key) for key in ("epochs", "batch", "precision", "compile", "threads")}
    found = ResidualClassifier(sizes=TINY, recipe=recipe, validation=0.2, device="cpu", random_state=0,
                               folder=tmp_path / "fit", members=1)  # fmt: skip
    with monkeypatch.context() as patch:
        for module in (fit_parts, fit_context):
            patch.setattr(module, "rule_of", lambda run: rule)
            patch.setattr(module, "usual_words", lambda run: rule == 2)
        patch.setattr(fit_context, "DEFAULTS", rule)
        first = found.fit(X, y).predict_proba(X)
    run, sizes = Run(tmp_path / "fit"), []
    about = run.read_json("table.json")
    rules = [about.get(key) for key in ("split_rule", "words", "defaults")]
    assert rules == ([None] * 3 if rule == 1 else [2, True, 2])
    assert ("spelling" in found.model_.members[0].encoder.to_dict()[0]) == (rule == 2)
    assert (about["net"]["linear"], (run.folder / "calibration.json").exists()) == (rule == 2, rule == 2)
    if rule == 1:  # older versions lacked these keys, too
        del about["net"]["linear"], about["recipe"]["select"]
        run.write_json("table.json", about)
    cut = fit_parts.cut

    def counted(*given: Any, **how: Any) -> Any:
        parts = cut(*given, **how)
        sizes.append(len(parts.targets["validation"]))
        return parts

    monkeypatch.setattr(fit_parts, "cut", counted)
    found.members = None if rule == 1 else 1  # the default of older versions was 1
    assert np.array_equal(clone(found).fit(X, y).predict_proba(X), first)
    assert sizes == [rows]
    assert run.read_json("table.json").get("split_rule", 1) == rule


def test_a_changed_table_is_refused(table: Path, tmp_path: Path) -> None:
    """By look, whose test rows would be others, and by an ensemble that only lacks its average."""
    run, both = made(tmp_path / "one", table), made(tmp_path / "both", table, members=2)
    train(run.folder, device="cpu")
    train_members(both.folder, device="cpu")
    both.path("results/train.json").unlink()
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join([lines[0], *reversed(lines[1:])]), encoding="utf-8")
    with pytest.raises(ReslabError, match=r"two\.csv' differ from those that .*one started with; restore them"):
        models.load(str(run.folder))
    with pytest.raises(ReslabError, match=r"two\.csv' differ from those that .*s0 started with; restore them"):
        train_members(both.folder, device="cpu")
    assert both.path("s0/weights.safetensors").exists()
