"""The pages of a net that answers questions, and of heads compared: what they say, and how a browser shows them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import Page, hovered, test_drawn_in_silence_at_any_width, test_the_dark_is_followed  # noqa: F401

from reslab.report import write

DATA = {"name": "stories", "train": 156, "dev": 18, "test": 20, "about": "stories.json", "fingerprint": "d0a04112",
        "problems": {}}  # fmt: skip
ENV = {"reslab": "0.1.0", "device": "cpu", "device_name": "a CPU with two cores", "threads": 2}
RECIPE = {"batch": 32, "lr": 0.003, "iterations": 200, "schedule": "linear"}
BINS = [
    {"low": 0.4, "high": 0.5, "n": 0, "confidence": 0.0, "accuracy": 0.0},
    {"low": 0.6, "high": 0.7, "n": 5, "confidence": 0.65, "accuracy": 0.4},
    {"low": 0.9, "high": 1.0, "n": 15, "confidence": 0.98, "accuracy": 1.0},
]


def store(folder: Path, **files: Any) -> None:
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / f"{name.replace('__', '/')}.json").write_text(json.dumps(value))


@pytest.fixture
def qa_run(tmp_path: Path) -> Path:
    """A finished training of questions with and without an answer, judged on other questions too."""
    part = {"exact": 80.0, "f1": 85.5, "n": 15}
    test = {"rule": "squad2", "exact": 85.0, "f1": 89.25, "n": 20, "missing": 0, "threshold": 0.375,
            "intervals": {"exact": [64.0, 94.8], "f1": [76.5, 98.4]},
            "has_answer": part, "no_answer": {"exact": 100.0, "f1": 100.0, "n": 5}}  # fmt: skip
    train = {
        "net": "small-tokens", "test": test, "dev": {"exact": 77.75, "f1": 81.25}, "iterations": 200, "seed": 3,
        "temperature": {"temperature": 1.43}, "ece": 0.0775, "ece_before": 0.125, "parameters": 176130,
        "trained_parameters": 5000, "windows": 160, "epochs": 41.0, "seconds": 8.25, "problems": {"duplicate id": 2},
        "reliability": {"ece": 0.0775, "n": 20, "bins": BINS}, "command": "reslab qa train --data stories.json",
        "choice": {"precision": "fp32", "memory_format": "NCHW",
                   "milliseconds": {"bf16 NCHW": 22.2, "fp32 NCHW": 24.4}},
    }  # fmt: skip
    other = {"rule": "squad1", "exact": 31.25, "f1": 40.5, "n": 64, "ece": 0.31, "data": {"name": "letters.json"},
             "command": "reslab qa eval run --data letters.json"}  # fmt: skip
    folder = tmp_path / "run"
    spec = {"family": "qa", "name": "small-tokens", "head": "tokens", "length": 64}
    store(folder, spec=spec, data=DATA, env=ENV, results__train=train, results__qa_eval=test)
    (folder / "results" / "qa-eval-letters.json").write_text(json.dumps(other))
    (folder / "recipe.toml").write_text("batch = 32\nlr = 0.003\n")
    events: list[dict[str, Any]] = []
    for i in range(20, 201, 20):
        events.append({"event": "train", "iteration": i, "loss": 20 / i, "error": 50.0, "lr": 0.003 * (1.01 - i / 200)})
        for name, more in (("validation", 0.0), ("test", i / 20)):
            scores = {"exact": i / 2.5 + more / 2, "f1": i / 2.5 + more}
            events.append({"event": "eval", "iteration": i, "part": name, **scores, "error": 100 - scores["exact"]})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    """Two heads from two seeds each, one of which has still to be trained."""
    rows = [
        {"head": "linear", "seeds": 2, "lr": 0.003, "step_milliseconds": 3.25, "head_parameters": 770, "exact": 60.5,
         "exact_std": 0.71, "exact_each": [60.0, 61.0], "f1": 70.0, "f1_std": 1.41, "f1_each": [69.0, 71.0],
         "ece": 0.04, "ece_std": 0.01, "ece_each": [0.03, 0.05]},
        {"head": "tokens", "seeds": 1, "lr": 0.001, "step_milliseconds": 132.5, "head_parameters": 2957570,
         "exact": 64.0, "exact_std": None, "exact_each": [64.0], "f1": 73.0, "f1_std": None, "f1_each": [73.0],
         "ece": 0.03, "ece_std": None, "ece_each": [0.03]},
        {"head": "sds", "seeds": 0, "lr": 0.001, "step_milliseconds": 190.0, "exact": None, "exact_std": None,
         "exact_each": [], "f1": None, "f1_std": None, "f1_each": [], "ece": None, "ece_std": None, "ece_each": []},
    ]  # fmt: skip
    found = {"heads": rows, "encoder": "/home/me/minilm/model", "train_last": 0, "length": 384, "seeds": 2,
             "reading": {"rule": "squad1", "stride": 128}, "data": DATA, "recipe": RECIPE, "env": ENV,
             "command": "reslab qa compare --data stories.json"}  # fmt: skip
    folder = tmp_path / "compare"
    store(folder, results__compare=found)
    return folder


def test_what_a_run_says(qa_run: Path) -> None:
    page = Page(write(qa_run))
    text = page.text
    for fact in (
        "85.00 % 20 test questions, by squad2's rules; 95 % interval 64.0 % to 94.8 %",
        "F1 89.25 % 95 % interval 76.5 % to 98.4 %", "80.00 %, 85.50 % (n = 15)",
        "without an answer 100.00 % (n = 5)", "0.375, chosen on the dev part", "77.75 %, 81.25 %",
        "temperature, fitted on dev 1.43", "7.8 % (12.5 % at temperature 1)", "176,130, 5,000",
        "letters.json squad1 31.25 % 40.50 % 31.0 % 64", "duplicate id 2", "reslab qa eval run --data letters.json",
        "training questions 156",
    ):  # fmt: skip
        assert fact in text
    assert set(page.figures) == {"scores", "losses", "reliability", "choice"}


def test_the_curves_hold_what_was_measured(qa_run: Path) -> None:
    (plot,) = Page(write(qa_run)).figures["scores"]
    ends = {trace["name"]: (trace["x"][-1], trace["y"][-1]) for trace in plot["data"]}
    assert ends == {"exact match, dev": (200, 80), "exact match, test": (200, 85), "F1, dev": (200, 80),
                    "F1, test": (200, 90)}  # fmt: skip
    assert plot["layout"]["xaxis"]["range"] == [0, 200]


def test_reliability_shows_the_bins_that_hold_answers(qa_run: Path) -> None:
    (plot,) = Page(write(qa_run)).figures["reliability"]
    points = plot["data"][1]
    assert (points["x"], points["y"], points["customdata"]) == ([65, 98], [40, 100], [5, 15])


def test_the_chosen_way_is_the_colored_one(qa_run: Path) -> None:
    """Which need not be the fastest: bf16 must be faster by a margin to be taken."""
    (plot,) = Page(write(qa_run)).figures["choice"]
    bars = plot["data"][0]
    assert dict(zip(bars["y"], bars["marker"]["color"], strict=True)) == {
        "fp32 NCHW": "@residual2", "bf16 NCHW": "@rule"}  # fmt: skip


def test_a_run_that_goes_on(qa_run: Path) -> None:
    (qa_run / "results" / "train.json").unlink()
    page = Page(write(qa_run))
    assert "85.00 %" in page.text  # the last evaluation
    assert "This run has not finished." in page.text
    (qa_run / "metrics.jsonl").unlink()
    page = Page(write(qa_run))
    assert "This run has stored no result yet." in page.text
    assert page.figures == {}


def test_names_are_no_markup(qa_run: Path, compared: Path) -> None:
    attack = "</script><img src=x>"
    for path, key in (
        (qa_run / "results" / "qa-eval-letters.json", None),
        (compared / "results/compare.json", "heads"),
    ):
        found = json.loads(path.read_text())
        found["data"]["name"] = attack
        if key:
            found[key][0]["head"] = attack
        path.write_text(json.dumps(found))
    for folder in (qa_run, compared):
        page = Page(write(folder))
        assert "<img" not in page.body
        assert attack in page.text


def test_what_a_comparison_says(compared: Path) -> None:
    page = Page(write(compared))
    text = page.text
    for fact in (
        "Heads compared (frozen encoder)", "On minilm/model · stories · 2 seeds",
        "Not finished: some heads have not been trained from every seed yet.",
        "linear 770 60.50 ± 0.71 70.00 ± 1.41 4.00 ± 1.00 3.25 0.003 2", "tokens 2,957,570 64.00 73.00 3.00 132.5",
        "/home/me/minilm/model", "one batch of 32 windows", "in CPU time",
    ):  # fmt: skip
        assert fact in text
    exact, f1 = page.figures["heads"]
    assert (exact["data"][0]["x"], exact["data"][0]["y"]) == ([60, 61, 64], ["linear", "linear", "tokens"])
    assert (exact["data"][1]["x"], f1["data"][1]["x"]) == ([60.5, 64], [70, 73])
    low, high = exact["layout"]["xaxis"]["range"]
    assert (low, high) == (59.2, 64.8)  # a fifth of the four points on either side


def test_a_comparison_with_nothing_trained_yet(compared: Path) -> None:
    path = compared / "results" / "compare.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "heads": found["heads"][2:]}))
    page = Page(write(compared))
    assert page.figures == {}
    assert "Not finished:" in page.text


@pytest.fixture(params=["qa_run", "compared"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("which", "figure", "curve", "point", "said"),
    [
        ("qa_run", "scores", "F1, test", 9, "F1, testiteration 20090"),
        ("qa_run", "reliability", "answers", 0, "confidence 65.0 %right 40.0 %5 answers"),
        ("compared", "heads", "one seed", 1, "linear, one seed61.00 %"),
        ("compared", "heads", "mean", 1, "tokens, mean64.00 %"),
    ],
)
def test_hover(
    which: str, figure: str, curve: str, point: int, said: str, tab: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = tab().open(write(request.getfixturevalue(which)))
    assert hovered(page, figure, curve, point).startswith(said)


@pytest.mark.browser
def test_circles_at_the_edge_are_whole(qa_run: Path, tab: Callable[..., Any]) -> None:
    """Answers that are all right stand at 100 %: no clip path cuts their upper half off."""
    page = tab().open(write(qa_run))
    for figure in ("scores", "reliability"):
        layers = page.locator(f"#figure-{figure} .scatterlayer")
        assert layers.count() == 1
        assert layers.first.evaluate("e => !e.closest('[clip-path]')")
