"""The page of a range test: its numbers in the picture, at every width, without a script."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.report.pages.lr_find import HEIGHT, LEFT, RIGHT, TOP, WIDTH, drawing, ticks, write

RATES = [10.0 ** (-5 + k / 10) for k in range(51)]
LOSSES = [2.3 / (1 + 10 * rate) for rate in RATES]
FOUND: dict[str, Any] = {"rates": RATES, "losses": LOSSES, "averages": LOSSES, "suggestion": 0.1, "diverged": True,
                         "batch": 64, "optimizer": "sgd"}  # fmt: skip


def page(folder: Path, **changes: Any) -> Path:
    return write({**FOUND, **changes}, out=folder / "lr-find.html", title="<b>net</b>", about="recipe x",
                 command="reslab train --lr-find", then="reslab train --lr 0.1")  # fmt: skip


def test_the_picture_by_hand() -> None:
    """Five decades from 1e-5 to 1: the suggestion 0.1 lies four fifths to the right; lower losses lie lower."""
    found = drawing(FOUND)
    assert found["mark"] == pytest.approx(LEFT + 0.8 * (WIDTH - LEFT - RIGHT), abs=0.1)
    assert [label for _, label in found["x"]] == ["1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]
    points = [tuple(map(float, point.split(","))) for point in found["means"].split()]
    assert points[0][0] == LEFT
    assert points[-1][0] == WIDTH - RIGHT
    assert all(a[1] <= b[1] for a, b in itertools.pairwise(points))
    assert all(TOP <= y <= HEIGHT for _, y in points)


def test_a_loss_that_diverges_does_not_hide_the_rest() -> None:
    wild = [*LOSSES[:-1], 1e9]
    found = drawing({**FOUND, "losses": wild, "averages": wild})
    assert max(float(label) for _, label in found["y"]) < 6


def test_round_ticks() -> None:
    assert list(ticks(0.0, 2.3)) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert list(ticks(0.11, 0.19)) == [0.12, 0.14, 0.16, 0.18]


def test_no_suggestion_and_no_steps(tmp_path: Path) -> None:
    text = page(tmp_path, suggestion=None).read_text(encoding="utf-8")
    assert "the loss did not fall, so none is suggested" in text
    assert 'class="mark"' not in text
    text = page(tmp_path, rates=[], losses=[], averages=[]).read_text(encoding="utf-8")
    assert "<svg" not in text


def test_a_page_is_safe_and_a_foreign_file_stays(tmp_path: Path) -> None:
    text = page(tmp_path).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>net</b>" not in text
    (tmp_path / "lr-find.html").write_text("mine")
    with pytest.raises(UsageError):
        page(tmp_path)


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser(width: int, tmp_path: Path, tab: Callable[..., Any]) -> None:
    """It fits the screen, the drawing fills its column, the mark is where the suggestion is."""
    one = tab(viewport={"width": width, "height": 900})
    path = page(tmp_path)
    one.allowed = {path.as_uri()}
    one.page.goto(path.as_uri())
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    box = one.page.locator("svg.range").bounding_box()
    mark = one.page.locator("line.mark").bounding_box()
    assert box["width"] > 0.8 * min(width, 992) - 40
    wanted = box["x"] + box["width"] * (LEFT + 0.8 * (WIDTH - LEFT - RIGHT)) / WIDTH
    assert math.isclose(mark["x"] + mark["width"] / 2, wanted, abs_tol=2)
    assert one.page.locator("text.told").text_content() == "0.1"
    assert one.noise == []
