"""Nets for tables trained in run folders: what a run holds, resumed exactly, another table refused, the best kept."""

import csv
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reslab.errors import ReslabError, UsageError
from reslab.run import Run
from reslab.tables import load
from reslab.tables.data.frame import read_frame
from reslab.tables.reading import Reading, read_reading
from reslab.tables.train import train
from reslab.train.signals import Interrupted

Begin = Callable[..., Run]
TARGETS = {"classes": ("large",), "labels": ("sea", "bus"), "numbers": ("price",), "several": ("price", "tax")}


def learned(run: Run) -> dict[str, Any]:
    return train(run.folder, device="cpu")


@pytest.mark.filterwarnings("ignore:column.*not in the training table")  # the target
def test_a_run_holds_all_and_predicts(begin: Begin, file: Path, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", iterations=60, lr=2e-2)
    result = learned(run)
    assert (result["kind"], result["main"], result["test"]["n"], result["iterations"]) == (
        "classes",
        "accuracy",
        12,
        60,
    )
    held = "spec.json recipe.toml data.json env.json metrics.jsonl last.pt weights.safetensors encoder.json target.json"
    assert set(held.split()) <= {path.name for path in run.folder.iterdir()}
    about = run.read_json("data.json")
    assert [about[part] for part in ("train", "validation", "test")] == [38, 10, 12]
    with run.path("predictions.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    frame = read_frame(file)
    test = frame.take([int(row["row"]) for row in rows])
    assert [row["true"] for row in rows] == test["large"].tolist()
    model = load(run.folder, device="cpu")
    assert [row["predicted"] for row in rows] == model.predict(test).tolist()
    assert [float(row["p(yes)"]) for row in rows] == model.predict_proba(test)[:, 1].tolist()
    right = np.mean([row["true"] == row["predicted"] for row in rows])
    assert result["test"]["accuracy"] == pytest.approx(right)
    assert np.sum(result["confusion"]) == 12
    assert {one["column"] for one in result["importance"]["columns"]} == set(model.columns)
    assert learned(run) == run.read_json("results/train.json")  # finished: nothing is done


@pytest.mark.filterwarnings("ignore:column.*not in the training table")  # the target
@pytest.mark.parametrize("what", ["labels", "numbers", "several"])
def test_other_targets(what: str, begin: Begin, file: Path, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", target=TARGETS[what], iterations=40)
    result = learned(run)
    assert result["kind"] == {"labels": "labels"}.get(what, "numbers")
    predicted = load(run.folder, device="cpu").predict(file)
    assert predicted.shape == {"numbers": (60,)}.get(what, (60, 2))
    names = run.path("predictions.csv").read_text().partition("\n")[0].split(",")
    assert len(names) == {"labels": 7, "numbers": 3, "several": 5}[what]
    assert ("confusion" in result, "residuals" in result) == (False, what != "labels")


CASES: dict[str, dict[str, Any]] = {
    "gated": {}, "mlp": {"preset": "mlp"}, "resnet": {"preset": "resnet"}, "labels": {"target": TARGETS["labels"]},
    "numbers": {"target": TARGETS["several"], "ema": 0.7}, "weights": {"reading": {"class_weight": "balanced"}},
    "drop": {"reading": {"sizes": {"width": 8, "inner": 8, "depth": 3, "embedding": 4, "bins": 4, "dropout": 0.3,
                                   "embedding_dropout": 0.2, "drop_path": 0.4}}},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_stopped_and_resumed_is_bit_identical(
    case: str, begin: Begin, tmp_path: Path, stopped_after: Any, same_end: Any
) -> None:
    options = dict(CASES[case])
    if options.get("preset") == "mlp":
        options["reading"] = {"sizes": {"width": 8, "depth": 2, "embedding": 4, "bins": 4}}
    whole, broken = (begin(tmp_path / name, **options) for name in ("whole", "broken"))
    learned(whole)
    for k in (1, 3, 8):
        with stopped_after(k), pytest.raises(Interrupted, match=f"stopped at iteration {k} of 12"):
            learned(broken)
        torch.manual_seed(k)  # what else goes on in the process must not matter
    learned(broken)
    same_end(whole, broken)


def test_stopped_while_it_is_judged(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, plain = begin(tmp_path / "run"), begin(tmp_path / "plain")

    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("reslab.tables.train.importance", stop)
        with pytest.raises(Interrupted, match=r"stopped while .*run was evaluated; run the same command again"):
            learned(run)
    assert not run.has("results/train.json")
    assert learned(run)["test"] == learned(plain)["test"]


@given(places=st.lists(st.integers(1, 11), min_size=1, max_size=3))
@settings(max_examples=2, deadline=None, database=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_stopped_anywhere(
    places: list[int], begin: Begin, tmp_path_factory: pytest.TempPathFactory, stopped_after: Any, same_end: Any
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    whole, broken = (begin(folder / name) for name in ("whole", "broken"))
    learned(whole)
    for k in sorted(set(places)):
        with stopped_after(k, signal.SIGINT), pytest.raises(Interrupted):
            learned(broken)
    learned(broken)
    same_end(whole, broken)


def test_early_stopping_keeps_the_best(begin: Begin, tmp_path: Path) -> None:
    """A rate so high that the error jumps about: the weights kept are those of least error and, of equals, loss."""
    run = begin(tmp_path / "run", iterations=400, lr=0.3, schedule="constant", early_stop=5, evaluate_every=1)
    result = learned(run)
    seen = [event for event in run.metrics() if event.get("part") == "validation"]
    error, _, iteration = min((event["error"], event["loss"], event["iteration"]) for event in seen)
    assert (result["validation_error"], result["best"]) == (error, iteration)
    assert result["iterations"] == seen[-1]["iteration"] < 400
    assert len([one for one in seen if one["iteration"] > result["best"]]) == 5
    best = torch.load(run.path("last.pt"), weights_only=True)["best"]["weights"]
    kept = load(run.folder, device="cpu").members[0].net.state_dict()
    changed = [name for name, value in kept.items() if not torch.equal(best[name], value)]
    assert [name for name in changed if not name.endswith("num_batches_tracked")] == []  # a count that nothing reads


def test_another_run_is_not_touched(begin: Begin, file: Path, tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    begin(tmp_path / "run")  # the same one is taken up
    for changes, sentence in (
        ({"lr": 0.1}, r"with different settings \(lr: 0.01 there, 0.1 requested\)"),
        ({"preset": "resnet"}, r"with different settings \(net: gated there, resnet requested"),
        ({"target": ("sea",)}, r"(on different data|with different settings \()"),
        ({"reading": {"class_weight": "balanced"}}, r"with different settings \(class_weight: none there, balanced"),
        ({"reading": {"split": 1}}, r"with different settings \(split: 0 there, 1 requested\)"),
        ({"reading": {"missing": ("Oslo",)}}, r"with different settings \(missing: none there, \['Oslo'\] requested"),
        ({"reading": {"kinds": {"says": "skip"}}}, r"with different settings \(kinds: none there, says=skip requested"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=rf"already contains a run {sentence}"):
            begin(run.folder, **changes)
    begin(run.folder, reading={"kinds": {"size": "number"}})  # as it was found: the same run
    for old, new in (("yes", "YES"), ("Rome", "Bern")):
        text = file.read_text()
        file.write_text(text.replace(old, new))
        with pytest.raises(UsageError, match=r"already contains a run on different data"):
            begin(run.folder)
        with pytest.raises(ReslabError, match=r"flats\.csv' differ from those that .* started with; restore them"):
            learned(run)
        file.write_text(text)
    learned(run)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and not a run folder"):
        begin(tmp_path / "notes")


def test_a_target_of_another_scale_is_another_table(begin: Begin, file: Path, tmp_path: Path) -> None:
    """Standardized it is the same, and a run that went on would predict in the old unit."""
    run = begin(tmp_path / "run", target=("price",))
    lines = list(csv.reader(file.read_text().splitlines()))
    place = lines[0].index("price")
    for line in lines[1:]:
        line[place] = str(2 * float(line[place]))
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(lines)
    with pytest.raises(ReslabError, match=r"the rows of the table .* differ from"):
        learned(run)


def test_killed_while_the_folder_was_being_made(begin: Begin, tmp_path: Path) -> None:
    whole = begin(tmp_path / "whole")
    names = ["recipe.toml", "data.json", "encoder.safetensors", "encoder.json", "target.json"]
    for cut in range(len(names) + 1):
        folder = tmp_path / f"cut{cut}"
        (folder / "results").mkdir(parents=True)
        for name in names[:cut]:
            shutil.copy(whole.path(name), folder / name)
        (folder / ".spec.json.abc").write_text("{")
        begin(folder)
        assert Run(folder).read_json("spec.json") == whole.read_json("spec.json")


def test_the_time_of_a_table_is_that_of_training(begin: Begin, tmp_path: Path, leap: Any) -> None:
    """Writing the weights is counted; the scores of the test rows and the importance of columns are not."""
    leap("reslab.tables.train.write_weights", 1000)
    leap("reslab.tables.train.weigh", 5000)
    assert 1000 < learned(begin(tmp_path / "run", iterations=1))["seconds"] < 1100


def test_a_file_of_test_rows(begin: Begin, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found again from any folder, and all other rows are trained on."""
    other = shutil.copy(file, tmp_path / "test.csv")
    monkeypatch.chdir(tmp_path)
    run = begin(tmp_path / "run", reading={"test_word": "test.csv"})
    monkeypatch.chdir(tmp_path.parent)
    about = run.read_json("data.json")
    assert (about["train"] + about["validation"], about["test"]) == (60, 60)
    assert read_reading(run)[1].test_word == str(other)
    assert learned(run)["test"]["n"] == 60


def test_what_cannot_be_is_said(begin: Begin, file: Path, tmp_path: Path) -> None:
    for options, sentence in (
        ({"target": ()}, "name the column to predict"),
        ({"target": ("larg",)}, "no column named 'larg'; did you mean 'large'"),
        ({"reading": {"test": 1.5}}, r"a share between 0 and 1, got 1\.5"), ({"flip": True}, "flip is for images"),
        ({"target": ("city",)}, r"the target 'city' has no value in row \d+ of"),
        ({"reading": {"sizes": {"widht": 8}}}, "widht"), ({"precise_bn": True}, "precise_bn is for images"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=sentence):
            begin(tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="is not a run folder"):
        train(tmp_path)
    assert Reading(target=("a",)).check() is None


def test_what_cannot_begin_leaves_no_folder(begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path / "run")

    def broken(*given: Any, **more: Any) -> None:
        raise UsageError("no such thing")

    monkeypatch.setattr("reslab.tables.train.make_task", broken)
    with pytest.raises(UsageError, match="no such thing"):
        learned(run)
    assert not run.folder.exists()


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_truncated_checkpoint_is_a_sentence(share: float, begin: Begin, tmp_path: Path, stopped_after: Any) -> None:
    run = begin(tmp_path / "run")
    with stopped_after(3), pytest.raises(Interrupted):
        learned(run)
    content = run.path("last.pt").read_bytes()
    run.path("last.pt").write_bytes(content[: int(share * len(content))])
    run.path("previous.pt").unlink()  # it would be resumed
    with pytest.raises(ReslabError, match=r"last\.pt is damaged .*delete it to train from the start"):
        learned(run)


def test_the_result_is_json_without_holes(begin: Begin, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", iterations=1)
    learned(run)
    json.loads(run.path("results/train.json").read_text(), parse_constant=lambda word: pytest.fail(word))
