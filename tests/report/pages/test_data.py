"""The page of a data set: no script, nothing wider than the window, and what is in doubt is named."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reslab.report.pages.data import write

RED = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"
PART: dict[str, Any] = {
    "images": 3, "by_class": [2, 1], "sizes": [{"height": 8, "width": 9, "images": 3}], "other_sizes": 2,
    "modes": {"RGB": 3}, "broken": 0, "broken_examples": [], "repeated": 1,
}  # fmt: skip
LONG = "a" * 200 + ".png"
ACCOUNT = {
    "name": "pets", "about": "Images of folder pets.", "line": "", "classes": ["cat", "dog"], "shape": [3, 8, 9],
    "parts": [{"name": "train", **PART},
              {"name": "test", **PART, "broken": 2, "broken_examples": [f"{LONG}: it is empty"]}],
    "ignored": [{"reason": ".heic", "files": 2, "examples": [LONG]}], "notes": ["1 gray image read as RGB"],
    "shared": 21, "shared_elsewhere": 1, "contradictory": 1,
    "shared_examples": [{"train": LONG, "test": LONG, "train_class": "cat", "test_class": "dog"}],
}  # fmt: skip


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return write(ACCOUNT, [("cat", [SimpleNamespace(url=RED, name=LONG)] * 8)], out=tmp_path / "data.html")


def test_what_is_in_doubt_is_named(page: Path) -> None:
    whole = page.read_text(encoding="utf-8")
    assert "<script" not in whole
    text = " ".join(html.unescape(re.sub(r"(?s)<style.*?</style>|<[^>]*>", " ", whole)).split())
    for words in ("21 test images with the content of a training image; 1 of them in another class",
                  "1 image occurs in more than one class", "1 gray image read as RGB", "8 x 9 (3) and 2 more sizes",
                  "The first 1 of 21", "Broken test images", "And 1 more", "0 broken, 1 repeated within the part",
                  "RGB, 8 x 9", "Drawn by reslab data"):  # fmt: skip
        assert words in text


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_window(page: Path, width: int, tab: Callable[..., Any]) -> None:
    one = tab(viewport={"width": width, "height": 800})
    one.allowed = {page.as_uri()}
    shown = one.page
    shown.goto(page.as_uri())  # not `open`, which waits for figures
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
    assert one.noise == []
