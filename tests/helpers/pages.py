"""What every page is asked, whatever it shows: its text and figures, and how a browser draws it.

The tests here are run where a module imports them, on its own fixture `folder`.
"""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.report import write

DARK = [23, 24, 26]


class Page:
    """The text outside scripts and styles, and the figures' JSON."""

    def __init__(self, path: Path) -> None:
        whole = path.read_text(encoding="utf-8")
        self.figures = json.loads(re.search(r'id="figures">(.*?)</script>', whole, re.DOTALL)[1])
        self.body = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", whole)
        self.text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.body)).replace("\u00a0", " ").split())


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 400, 1100])
def test_drawn_in_silence_at_any_width(folder: Path, width: int, tab: Callable[..., Any]) -> None:
    """With all details open: every figure is drawn, nothing is wider than the window, the console stays empty."""
    one = tab(viewport={"width": width, "height": 740})
    page = one.open(write(folder))
    for summary in page.locator("summary").all():
        summary.click()
    assert all(page.eval_on_selector_all(".plot", "all => all.map(p => !!p.querySelector('.main-svg'))"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.noise == []


@pytest.mark.browser
def test_the_dark_is_followed(folder: Path, tab: Callable[..., Any]) -> None:
    one = tab(color_scheme="dark")
    page = one.open(write(folder))
    colors = "[document.body, document.querySelector('.main-svg')].map(e => getComputedStyle(e).backgroundColor)"
    assert page.evaluate(colors) == [f"rgb({', '.join(map(str, DARK))})"] * 2
    assert one.noise == []


def hovered(page: Any, figure: str, curve: int | str, point: int) -> str:
    """The hover text of a point in a figure's first plot; the curve by its index or name."""
    page.evaluate(
        """([figure, curve, point]) => {
            const plot = document.querySelector(`#figure-${figure} .plot`);
            const place = typeof curve === "number" ? curve : plot.data.findIndex((trace) => trace.name === curve);
            Plotly.Fx.hover(plot, [{ curveNumber: place, pointNumber: point }]);
        }""",
        [figure, curve, point],
    )
    said: str = page.locator("g.hovertext").first.text_content()
    return said
