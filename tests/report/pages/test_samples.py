"""The gallery of augmented training images: the shares that were stored, harmless, absent without any."""

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

from pages import Page

from reslab.report import write

MakeRun = Callable[..., Path]
JPEG = "data:image/jpeg;base64,AAAA"
HOSTILE = ["</script><script>alert(1)</script>", "b\u202ee", "cat"]


def pictured(make_run: MakeRun, names: list[str], recipe: str = "") -> Path:
    folder = make_run("run", classes=names)
    (folder / "recipe.toml").write_text("# reslab train\nepochs = 1\n" + recipe)
    samples = [
        {"thumbnail": JPEG, "shares": [[1, 0.3], [2, 0.7]]},
        {"thumbnail": "https://a.b/c.jpg", "shares": [[0, 1.0]]},
        {"thumbnail": JPEG, "shares": [[99, 1.0]]},
    ]
    (folder / "results" / "samples.json").write_text(json.dumps({"pictures": samples, "repeats": 3}))
    return folder


def test_shares_are_shown_the_largest_first(make_run: MakeRun) -> None:
    page = Page(write(pictured(make_run, ["ant", "bee", "cat"], "mixup = 0.2\n")))
    assert "Training images, as they were augmented" in page.text
    assert "The first 3 images of the training as the net sees them" in page.text
    assert "each image comes 3 times in a row" in page.text
    assert "Mixup mixes images of one batch" in page.text
    shown = [re.sub(r"\s", " ", unescape(alt)) for alt in re.findall(r'<img src="[^"]*" alt="([^"]*)"', page.body)]
    assert shown == ["cat 70 %, bee 30 %", "–"]  # the second is no picture, the third of a class that there is not


def test_names_cannot_break_out(make_run: MakeRun) -> None:
    page = Page(write(pictured(make_run, HOSTILE)))
    assert set(re.findall(r'<img src="([^"]*)"', page.body)) == {JPEG}
    assert "\u202e" not in page.body
    assert "alert(1)</script>" not in page.body
    assert "Mixup" not in page.text


def test_a_run_without_any_has_no_gallery(make_run: MakeRun) -> None:
    assert "as they were augmented" not in Page(write(make_run())).text
