"""The page of nets for tables compared: what it says, and how a browser shows it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import Page, hovered, test_drawn_in_silence_at_any_width, test_the_dark_is_followed  # noqa: F401

from reslab.report import write
from reslab.report.figures.comparison import around


def scored(net: str, *, parameters: int | None = 1000, **scores: list[float]) -> dict[str, Any]:
    """A row of compare-tables.json; of each score the mean, half the range, and each."""
    found: dict[str, Any] = {"net": net, "seeds": len(next(iter(scores.values()))), "parameters": parameters}
    for key, each in scores.items():
        spread = (max(each) - min(each)) / 2 if len(each) > 1 else None
        found |= {key: sum(each) / len(each), f"{key}_std": spread, f"{key}_each": each}
    return found


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three nets, of which one has still a seed before it."""
    rows = [
        scored("gated", parameters=12345, accuracy=[0.90, 0.92], auc=[0.95, 0.96], epochs=[3, 4], seconds=[8.0, 9.0]),
        scored("mlp", accuracy=[0.89], auc=[0.94], epochs=[3], seconds=[2.0]),
        scored("trees", parameters=None, accuracy=[0.88, 0.89], auc=[0.93, 0.93], seconds=[1.0, 1.0]),
    ]
    return store(tmp_path / "compare", rows, "accuracy", "people.csv")


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    rows = [scored("gated", rmse=[1200.5, 1300.5], mae=[900.0, 950.0], r2=[0.5, -0.5], seconds=[8.0, 9.0])]
    return store(tmp_path / "compare", rows, "rmse", "houses.csv")


def store(folder: Path, rows: list[dict[str, Any]], main: str, data: str) -> Path:
    (folder / "results").mkdir(parents=True)
    found = {"nets": rows, "main": main, "data": f"/home/me/{data}", "seeds": 2, "recipe": {"batch": 256, "lr": 0.003},
             "reading": {"target": ["pays"], "kind": None, "test": 0.2}, "trees": {},
             "env": {"device": "cpu", "device_name": "a CPU with two cores"},
             "command": f"reslab tables compare {data} --target pays"}  # fmt: skip
    (folder / "results" / "compare-tables.json").write_text(json.dumps(found))
    return folder


def test_what_a_comparison_of_classes_says(classes: Path) -> None:
    page = Page(write(classes))
    for fact in (
        "Nets compared on people.csv", "2 seeds · a CPU with two cores", "A higher accuracy is better",
        "Not finished: some nets have not been trained from every seed yet.",
        "net accuracy (%) AUC parameters seconds seeds",
        "gated 91.00 ± 1.00 0.9550 ± 0.0050 12,345 8.5 ± 0.5 2", "mlp 89.00 0.9400 1000 2.0 1",
        "trees 88.50 ± 0.50 0.9300 ± 0.0000 – 1.0 ± 0.0 2", "reslab tables compare people.csv --target pays",
    ):  # fmt: skip
        assert fact in page.text
    accuracy, auc = page.figures["nets"]
    assert accuracy["data"][0]["x"] == pytest.approx([90, 92, 89, 88, 89])
    assert accuracy["data"][0]["y"] == ["gated", "gated", "mlp", "trees", "trees"]
    assert accuracy["data"][1]["x"] == pytest.approx([91, 89, 88.5])
    assert accuracy["layout"]["xaxis"]["range"] == [87.2, 92.8]  # a fifth of the four points on either side
    assert auc["data"][1]["x"] == pytest.approx([0.955, 0.94, 0.93])


def test_what_a_comparison_of_numbers_says(numbers: Path) -> None:
    page = Page(write(numbers))
    for fact in ("A lower RMSE is better", "gated 1250.5000 ± 50.0000 925.0000 ± 25.0000 0.0000 ± 0.5000"):
        assert fact in page.text
    assert "Not finished" not in page.text
    assert [plot["title"] for plot in page.figures["nets"]] == ["RMSE", "mean absolute error"]


def test_axes_stand_around_the_values() -> None:
    assert around([80.0, 90.0], share=True) == [78, 92]
    assert around([99.9, 100.0], share=True) == [99.4, 100.5]
    assert around([], share=True) == [0, 101]
    assert around([2.0, 3.0], share=False) == pytest.approx([1.8, 3.2])
    assert around([2.0], share=False) == pytest.approx([1.9, 2.1])
    assert around([0.0], share=False) == [-1, 1]


def test_names_are_no_markup(classes: Path) -> None:
    attack = "</script><img src=x>"
    path = classes / "results" / "compare-tables.json"
    path.write_text(path.read_text().replace("mlp", attack).replace("people.csv", "people<img>.csv"))
    page = Page(write(classes))
    assert "<img" not in page.body
    assert attack in page.text


@pytest.fixture(params=["classes", "numbers"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.browser
def test_every_net_has_its_name_and_its_mean_a_hover(classes: Path, tab: Callable[..., Any]) -> None:
    page = tab(viewport={"width": 1100, "height": 740}).open(write(classes))
    ticks = page.locator("#figure-nets .plot").first.locator(".ytick text").all_text_contents()
    assert sorted(ticks) == ["gated", "mlp", "trees"]
    assert hovered(page, "nets", "mean", 1).startswith("mlp, mean89.00 %")
