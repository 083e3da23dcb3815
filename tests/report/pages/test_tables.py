"""The page of a net for tables: what it says, and how a browser shows it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import Page, hovered, test_drawn_in_silence_at_any_width, test_the_dark_is_followed  # noqa: F401

from reslab.errors import UsageError
from reslab.report import write
from reslab.report.figures.scores import columns, interval, loss_text, main_line, ranked, text

ENV = {"reslab": "0.1.0", "device": "cpu", "device_name": "a CPU with two cores", "threads": 2}
ENCODER = {
    "format": 1,
    "kinds": {"age": "number", "town": "category", "tags": "categories", "note": "text", "when": "date", "id": "skip"},
    "columns": [
        {"owner": "age", "part": "", "code": "number"},
        {"owner": "when", "part": "day", "code": "number"},
        {"owner": "town", "part": "", "code": "category", "values": ["Morn", "Tarn"], "missing": True},
        {"owner": "when", "part": "month", "code": "category", "values": ["1", "2"], "missing": False},
        {"owner": "tags", "part": "", "code": "categories", "values": ["a", "b", "c"], "missing": False},
        {"owner": "note", "part": "", "code": "text", "buckets": 32768, "ngrams": 2},
    ],
}
SPEC = {"family": "table", "name": "gated", "categories": [4, 3], "bags": [4, 1501], "depth": 4}
READING = {"target": ["pays"], "kind": None, "kinds": {"id": "skip"}, "test": 0.2, "test_word": None,
           "class_weight": "balanced", "split": 0, "sizes": {"depth": 4}}  # fmt: skip
CLASSES = {"kind": "classes", "outputs": 2, "flat": True, "classes": {"dtype": "object", "values": ["no", "yes"]}}
BINS = [{"n": 40, "confidence": 0.6, "accuracy": 0.55}, {"n": 160, "confidence": 0.95, "accuracy": 0.975}]


def importance(score: str, scale: float = 1.0) -> dict[str, Any]:
    rows = [("town", 0.011, 0.002, 0.25), ("age", 0.105, 0.01, 0.75), ("note", -0.005, 0.001, 0.5)]
    found = [{"column": c, "permutation": scale * p, "permutation_std": scale * s, "mask": m} for c, p, s, m in rows]
    return {"score": score, "whole": 0.9, "rows": 200, "repeats": 3, "columns": found}


def store(folder: Path, train: dict[str, Any], target: dict[str, Any]) -> Path:
    (folder / "results").mkdir(parents=True)
    data = {"name": "people.csv", "train": 700, "validation": 100, "test": 200, "fingerprint": "d0a04112",
            "reading": READING, "target": target, "kinds": ENCODER["kinds"]}  # fmt: skip
    files = {"spec": SPEC, "data": data, "env": ENV, "encoder": ENCODER, "results/train": train}
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "recipe.toml").write_text("batch = 32\nlr = 0.001\n")
    events: list[dict[str, Any]] = []
    for i in range(20, 201, 20):
        events.append({"event": "train", "iteration": i, "loss": 20 / i, "error": 400 / i, "lr": 0.001 * (1 - i / 200)})
        events.append({"event": "eval", "iteration": i, "part": "validation", "loss": 24 / i, "error": 500 / i})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A finished run of two classes, judged on other rows too."""
    test = {
        "n": 200, "accuracy": 0.89, "balanced_accuracy": 0.8625, "auc": 0.9312, "log_loss": 0.293,
        "intervals": {"accuracy": [0.845, 0.93], "balanced_accuracy": [0.81, 0.91], "auc": [0.9, 0.96]},
        "reliability": {"n": 200, "bins": BINS, "ece": 0.03},
    }  # fmt: skip
    train = {
        "net": "gated", "data": "people.csv", "kind": "classes", "main": "accuracy", "test": test,
        "importance": importance("accuracy"), "confusion": [[110, 10], [12, 68]], "parameters": 186286,
        "iterations": 200, "batch": 32, "epochs": 9.125, "best": 160, "validation_error": 11.25, "seed": 3,
        "seconds": 8.25, "examples_per_second": 812.5, "problems": ["column 'same': constant: left out"],
        "choice": {"precision": "fp32", "memory_format": "", "compile": False},
        "command": "reslab tables train people.csv --target pays",
    }  # fmt: skip
    folder = store(tmp_path / "run", train, CLASSES)
    other = {"data": {"name": "others.csv"}, "main": "accuracy", "command": "reslab tables eval run others.csv",
             "test": {"n": 50, "accuracy": 0.76, "intervals": {"accuracy": [0.64, 0.88]}}}  # fmt: skip
    (folder / "results" / "eval-others.json").write_text(json.dumps(other))
    return folder


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A finished run of a number: errors of -2 to 2, evenly."""
    true = [[float(k)] for k in range(100)]
    predicted = [[k + (k % 5) - 2.0] for k in range(100)]
    test = {"n": 100, "rmse": 2**0.5, "mae": 1.2, "r2": 0.9976, "intervals": {"rmse": [1.31, 1.52]}}
    train = {
        "net": "gated", "data": "people.csv", "kind": "numbers", "main": "rmse", "test": test,
        "importance": importance("rmse", 10.0), "residuals": {"true": true, "predicted": predicted},
        "iterations": 200, "seed": 0, "seconds": 4.0, "problems": [], "command": "reslab tables train people.csv",
    }  # fmt: skip
    return store(tmp_path / "numbers", train, {"kind": "numbers", "outputs": 1, "mean": [0], "std": [1], "flat": True})


@pytest.fixture
def members(classes: Path, tmp_path: Path) -> Path:
    """Two members and their average."""
    folder = tmp_path / "both"
    (folder / "results").mkdir(parents=True)
    classes.rename(folder / "s0")
    (folder / "members.json").write_text('{"members": ["s0", "s1"]}')
    train = json.loads((folder / "s0" / "results" / "train.json").read_text())
    each = [{"folder": f"s{k}", "accuracy": 0.88 + k / 100, "interval": [0.8, 0.95], "seed": 3 + k, "epochs": 9.0,
             "seconds": 8.0} for k in (0, 1)]  # fmt: skip
    (folder / "results" / "train.json").write_text(json.dumps(train | {"members": each, "best": None}))
    return folder


def test_what_a_run_of_classes_says(classes: Path) -> None:
    page = Page(write(classes))
    for fact in (
        "Predicting pays On people.csv · gated · a CPU with two cores · 200 iterations · seed 3",
        "Accuracy 89.00 % 200 test rows; 95 % interval 84.50 % to 93.00 %",
        "baseline: always predict the most frequent class 60.00 %",
        "calibration error 3.0 %", "validation error 11.25 %",
        "best validation error at iteration 160", "parameters 186,286",
        "balanced accuracy 86.25 % 81.00 % to 91.00 %", "AUC 0.9312 0.9000 to 0.9600", "log loss 0.2930 –",
        "others.csv 50 accuracy 76.00 % 64.00 % to 88.00 %", "column 'same': constant: left out",
        "age number rank and z-score", "town category one of 2 values, or missing",
        "tags categories several of 3 values", "note text bag of 1,500 n-grams", "when date days, month",
        "id skip left out", "test rows 20 %, sampled at random (seed 0)", "class weights balanced",
        "given column kinds id skip", "training rows 700", "validation rows 100", "classes 2",
        "reslab tables train people.csv --target pays", "reslab tables eval run others.csv",
        "Dotted: best validation error, at iteration 160; that net was kept.",
    ):  # fmt: skip
        assert fact in page.text
    assert set(page.figures) == {"importance", "reliability", "classes", "confusion", "errors", "losses"}


def test_columns_by_what_they_are_worth(classes: Path) -> None:
    """Bars from the bottom up; the spread of the shuffles; the mask beside; the numbers under it say both."""
    drop, mask = Page(write(classes)).figures["importance"]
    assert drop["data"][0]["names"] == ["note", "town", "age"]
    assert drop["data"][0]["x"] == pytest.approx([-0.5, 1.1, 10.5])
    assert drop["data"][0]["error_x"]["array"] == pytest.approx([0.1, 0.2, 1])
    assert mask["data"][0]["x"] == [0.5, 0.25, 0.75]
    assert drop["rows"][0] == ["column", "accuracy lost by shuffling (points)", "±"]
    assert drop["rows"][1:] == [["age", 10.5, 1], ["town", 1.1, 0.2], ["note", -0.5, 0.1]]
    assert mask["rows"][1] == ["age", 0.75]


def test_a_net_without_masks_has_none_drawn(classes: Path) -> None:
    path = classes / "results" / "train.json"
    train = json.loads(path.read_text())
    for one in train["importance"]["columns"]:
        one["mask"] = None
    path.write_text(json.dumps(train))
    assert len(Page(write(classes)).figures["importance"]) == 1


def test_what_a_run_of_numbers_says(numbers: Path) -> None:
    page = Page(write(numbers))
    for fact in ("RMSE 1.414 100 test rows; 95 % interval 1.310 to 1.520", "mean absolute error 1.200 –",
                 "R² 0.9976 –", "40 % are above 0", "100 test rows"):  # fmt: skip
        assert fact in page.text
    assert set(page.figures) == {"importance", "residuals", "errors", "losses"}
    scatter, spread = page.figures["residuals"]
    assert scatter["data"][1]["x"][:3] == [0, 1, 2]
    assert scatter["data"][1]["y"][:3] == [-2, 0, 2]
    bars = {round(x, 1): n for x, n in zip(spread["data"][0]["x"], spread["data"][0]["y"], strict=True) if n}
    assert list(bars.values()) == [20] * 5
    assert page.figures["errors"][0]["title"] == "variance unexplained (%)"
    assert page.figures["importance"][0]["data"][0]["x"] == pytest.approx([-0.05, 0.11, 1.05])


def test_what_members_say(members: Path) -> None:
    page = Page(write(members))
    for fact in ("2 × gated", "seeds from 3", "Each member alone", "s0 3 88.00 % 80.00 % to 95.00 % 8 s",
                 "s1 4 89.00 %", "town category one of 2 values, or missing"):  # fmt: skip
        assert fact in page.text
    assert "errors" in page.figures


def test_a_run_that_goes_on(classes: Path) -> None:
    (classes / "results" / "train.json").unlink()
    page = Page(write(classes))
    assert "This run has stored no result yet." in page.text
    assert set(page.figures) == {"errors", "losses"}
    (classes / "metrics.jsonl").unlink()
    assert Page(write(classes)).figures == {}


def test_names_are_no_markup(classes: Path) -> None:
    attack = "</script><img src=x>"
    for name in ("results/train", "encoder", "data"):
        path = classes / f"{name}.json"
        path.write_text(path.read_text().replace("town", attack).replace('"pays"', json.dumps(attack)))
    page = Page(write(classes))
    assert "<img" not in page.body
    assert attack in page.text


def test_a_folder_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has nothing to report"):
        write(tmp_path)


def test_scores_in_words() -> None:
    assert text("accuracy", 0.8534) == "85.34\u00a0%"
    assert [text("rmse", value) for value in (0.55600001, 48123.4, 1234.5, 0.0, None)] == [
        "0.5560", "48,123", "1,234", "0.000", "–"]  # fmt: skip
    assert interval("f1", [0.5, 0.75]) == "50.00\u00a0% to 75.00\u00a0%"
    assert interval("f1", None) == ""
    found = {"n": 1200, "accuracy": 0.5, "intervals": {"accuracy": [0.25, 0.75]}}
    assert main_line(found, "accuracy") == "accuracy 50.00 % (95 % interval 25.00 % to 75.00 %; n = 1,200)"
    assert (loss_text("f1", 0.0493), loss_text("rmse", 0.5176)) == ("4.93 points", "0.518")
    assert [one["column"] for one in ranked(importance("f1"))] == ["age", "town", "note"]
    assert columns({}, {}) == []


@pytest.fixture(params=["classes", "numbers", "members"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("which", "figure", "curve", "point", "said"),
    [
        ("classes", "importance", 0, 2, "age10.5 ± 1 points"),
        ("classes", "reliability", 1, 0, "confidence 60.0 %right 55.0 %40 rows"),
        ("classes", "errors", 1, 9, "validationiteration 2002.5 %"),
        ("numbers", "residuals", 1, 2, "true 2predicted 2"),
    ],
)
def test_hover(
    which: str, figure: str, curve: int, point: int, said: str, tab: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = tab().open(write(request.getfixturevalue(which)))
    assert hovered(page, figure, curve, point).startswith(said)


@pytest.mark.browser
def test_few_classes_have_wide_cells(classes: Path, tab: Callable[..., Any]) -> None:
    """A matrix of two classes is about as wide as high, its names level."""
    page = tab(viewport={"width": 1100, "height": 740}).open(write(classes))
    box = page.locator("#figure-confusion .heatmaplayer").first.bounding_box()
    assert 0.6 < box["width"] / box["height"] < 2
