"""Galleries of single images on the page of a run: the right images, harmless, bounded, reachable by keyboard."""

import base64
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pages
import pytest
from PIL import Image

from reslab.report import write, write_many
from reslab.report.pages.pictures import address

MakeRun = Callable[..., Path]
NAMES = ["ant", "bee", "cat"]


class Page(pages.Page, HTMLParser):
    """The text and the figures, and every tag with its attributes."""

    def __init__(self, path: Path) -> None:
        HTMLParser.__init__(self)
        pages.Page.__init__(self, path)
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append((tag, dict(attrs)))


def jpeg(color: tuple[int, int, int] = (90, 20, 200)) -> str:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(out, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def stored(names: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """Ten images of three classes: an ant and a bee taken for cats, a cat for an ant; the rest is right."""
    files = ["train/ant/1.jpg", "bee 2.jpg", "cat 3.jpg", "cat 4.jpg"]
    facts = [(0, 2, 0.9), (1, 2, 0.8), (2, 0, 0.7), (2, 2, 0.4)]
    images = [{"name": name, "thumbnail": jpeg((60 * k, 90, 200)), "true": a, "predicted": b, "confidence": p,
               "own": 0.1} for k, (name, (a, b, p)) in enumerate(zip(files, facts, strict=True))]  # fmt: skip
    cells = {"true": [0, 1, 2, 0, 1, 2], "predicted": [2, 2, 0, 0, 1, 2], "n": [1, 1, 1, 2, 2, 3]}
    return {
        "part": "test", "n": 10, "several": False, "size": [64, 64], "classes": names or NAMES, "error": 30.0,
        "confusion": cells, "worst": [0, 1, 2], "uncertain": [3, 2], "images": images,
        "cells": [{"true": a, "predicted": b, "images": [k]} for k, (a, b, _) in enumerate(facts)],
        "doubts": {"n": 7, "images": [0], "likely": [2], "probability": [0.9]},
        "reliability": {"n": 10, "ece": 0.05, "bins": [{"n": 10, "confidence": 0.75, "accuracy": 0.7}]},
        "reliability_before": {"n": 10, "ece": 0.2, "bins": [{"n": 10, "confidence": 0.9, "accuracy": 0.7}]}, **more,
    }  # fmt: skip


PAIRS = {
    "train": 30, "test": 10, "compared": True, "exact": 1, "near": 1, "elsewhere": 1,
    "pairs": [{"train": "a/1.jpg", "test": "b/1.jpg", "train_class": "ant", "test_class": "bee", "exact": True,
               "correlation": 1.0, "train_thumbnail": jpeg(), "test_thumbnail": jpeg()},
              {"train": "a/2.jpg", "test": "a/3.jpg", "train_class": "ant", "test_class": "ant", "exact": False,
               "correlation": 0.971, "train_thumbnail": jpeg(), "test_thumbnail": None}],
}  # fmt: skip


@pytest.fixture
def pictured(make_run: MakeRun) -> Callable[..., Path]:
    """pictured(names, **changes): a trained run that was not evaluated since, with its pictures."""

    def make(names: list[str] | None = None, *, evaluated: bool = False, **more: Any) -> Path:
        folder = make_run(f"run{len(list(names or NAMES))}", classes=names or NAMES)
        if not evaluated:
            (folder / "results" / "eval.json").unlink()
        (folder / "results" / "pictures.json").write_text(json.dumps(stored(names, **more)))
        (folder / "results" / "duplicates.json").write_text(json.dumps(PAIRS))
        return folder

    return make


def titles(page: Page, gallery: int) -> list[str]:
    """The full texts of the images of a gallery, in order."""
    found: list[list[str]] = []
    for tag, attributes in page.tags:
        if "gallery" in (attributes.get("class") or ""):
            found.append([])
        if tag == "img":
            assert attributes["alt"] == attributes["title"]
            found[-1].append(attributes["alt"])
    return found[gallery]


def test_without_an_evaluation_the_matrix_is_that_of_the_pictures(pictured: Callable[..., Path]) -> None:
    page = Page(write(pictured()))
    assert page.figures["confusion"][0]["data"][0]["counts"] == [[2, 0, 1], [0, 2, 1], [1, 0, 3]]
    assert "3 of 3 mistakes are shown, in 3 of 3 cells" in page.text
    assert titles(page, 4) == ["train/ant/1.jpg: true ant, predicted cat (90.0 %)".replace(" %", "\u00a0%"),
                               "bee 2.jpg: true bee, predicted cat (80.0\u00a0%)",
                               "cat 3.jpg: true cat, predicted ant (70.0\u00a0%)"]  # fmt: skip
    assert "7 of 10 test images; the strongest 1" in page.text
    assert "With a test error of 30.0 %, most of them are probably mistakes of the net." in page.text
    assert "cat? (90.0 %)" in page.text
    assert "labeled: ant" in page.text


def test_precision_recall_and_f1_by_hand(pictured: Callable[..., Path]) -> None:
    """cat: 3 right, 2 false, 1 missed: 3/5, 3/4, 6/9; Wilson's interval of 3/4 is 30 to 95 %."""
    text = Page(write(pictured())).text
    assert "cat 4 60.0 % 23–88 75.0 % 30–95 66.7 % 32–90 ant" in text
    assert "Means over all 3 classes: precision 75.6 %, recall 69.4 %, F1 71.1 %." in text


def test_a_class_never_predicted_counts_0_in_all_three_means(pictured: Callable[..., Path]) -> None:
    """ant: 2 of 4 predictions, 2 of 2 images, F1 4/6; cat: 3/4, 3/4, 3/4; bee: two images, never predicted, 0."""
    confusion = {"true": [0, 1, 1, 2, 2], "predicted": [0, 0, 2, 2, 0], "n": [2, 1, 1, 3, 1]}
    text = Page(write(pictured(confusion=confusion))).text
    assert "bee 2 – 0.0 %" in text
    assert "Means over all 3 classes: precision 41.7 %, recall 58.3 %, F1 47.2 %; a share that is not defined" in text


def test_pairs_stand_side_by_side_with_both_classes(pictured: Callable[..., Path]) -> None:
    page = Page(write(pictured()))
    text = page.text
    assert "1 of 10 test images has the pixels of a training image, and 1 is nearly the same as one" in text
    assert "1 of them has another label there" in text
    assert "bee , but ant in training same pixels" in text
    assert titles(page, -1) == ["test image b/1.jpg, bee", "training image a/1.jpg, ant", "training image a/2.jpg, ant"]
    assert "cannot be read" in text


def test_calibration_before_and_after_a_temperature(pictured: Callable[..., Path]) -> None:
    figure = Page(write(pictured())).figures["reliability"][0]
    assert [trace["name"] for trace in figure["data"]] == ["confidence = accuracy", "before calibration", "images"]
    assert [trace["x"] for trace in figure["data"][1:]] == [[90.0], [75.0]]


def test_several_labels_have_a_table_and_no_matrix(pictured: Callable[..., Path]) -> None:
    images = [{"name": "1.jpg", "thumbnail": jpeg(), "labels": [0, 2], "said": [2], "label": 0, "confidence": 0.1,
               "own": 0.1}]  # fmt: skip
    more: dict[str, Any] = {"several": True, "images": images, "counts": [[1, 1, 2], [3, 0, 0], [4, 0, 1]],
                            "worst": [0], "uncertain": [], "cells": [],
                            "doubts": {"n": 1, "images": [0], "likely": [0], "probability": [0.1]}}  # fmt: skip
    folder = pictured(**more)
    found = json.loads((folder / "results" / "pictures.json").read_text())
    del found["confusion"]
    (folder / "results" / "pictures.json").write_text(json.dumps(found))
    page = Page(write(folder))
    assert "confusion" not in page.figures
    assert "Label by label" in page.text
    assert "ant 3 50.0 % 9–91 33.3 % 6–79 40.0 % 9–82" in page.text  # 1 right, 1 false, 2 missed
    assert titles(page, 0) == ["1.jpg: labels ant, cat; predicted cat; ant 10.0\u00a0%"]


HOSTILE = ["</script><script>alert(1)</script>", '" onerror="alert(1)', "a&amp;b\nc\u202egpj.exe" + "x" * 300]


def test_names_cannot_break_out_of_text_or_attributes(pictured: Callable[..., Path]) -> None:
    more = stored(HOSTILE)
    for one, name in zip(more["images"], [*HOSTILE, "\ud800.jpg"], strict=True):
        one["name"] = name
    more["images"][1]["thumbnail"] = "data:image/svg+xml;base64,PHN2Zz4="
    more["images"][2]["thumbnail"] = 'data:image/jpeg;base64,AA" onerror="alert(1)'
    page = Page(write(pictured(HOSTILE, images=more["images"])))
    assert {key for tag, attributes in page.tags if tag == "img" for key in attributes} == {"src", "alt", "title"}
    assert all(attributes["src"] in (jpeg((0, 90, 200)), jpeg((180, 90, 200)), jpeg())
               for tag, attributes in page.tags if tag == "img")  # fmt: skip
    assert sum(tag == "script" for tag, _ in page.tags) == 4
    assert "\u202e" not in page.body
    assert 'alt="&lt;/script&gt;' in page.body


@pytest.mark.parametrize("url", [None, 5, "", "https://a.b/c.jpg", "data:image/png;base64,AAAA",
                                 "data:image/jpeg;base64,", "data:image/jpeg;base64,AAAA\n",
                                 "data:image/jpeg;base64," + "A" * 10_000])  # fmt: skip
def test_only_a_short_jpeg_of_ours_is_an_address(url: Any) -> None:
    assert address(url) is None
    assert address(jpeg()) == jpeg()


def test_numbers_that_point_nowhere_are_left_out(pictured: Callable[..., Path]) -> None:
    """A file that was changed by hand, its digest removed."""
    more: dict[str, Any] = {"worst": [99, 0], "cells": [{"true": 7, "predicted": 9, "images": [3, 50]}],
            "doubts": {"n": 1, "images": [80], "likely": [70], "probability": []}}  # fmt: skip
    page = Page(write(pictured(**more)))
    assert len(titles(page, 1)) == 1


def test_a_run_without_pictures_has_the_page_it_had(make_run: MakeRun) -> None:
    page = Page(write(make_run()))
    assert "gallery" not in {attributes.get("class") for _, attributes in page.tags}
    assert "The worst mistakes" not in page.text
    assert sum(tag == "script" for tag, _ in page.tags) == 3


def test_the_balanced_error_stands_beside_the_error(make_run: MakeRun, tmp_path: Path) -> None:
    folders = [make_run("a"), make_run("b")]
    assert "balanced" not in Page(write_many(folders, out=tmp_path / "both.html")).text
    for folder, balanced in zip(folders, (9.25, 11.5), strict=True):
        path = folder / "results" / "eval.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"balanced": balanced, "majority": 88.5}))
    assert "9.25 %" in Page(write_many(folders, out=tmp_path / "both.html")).text
    assert "Balanced error 9.25 %; always predicting the most frequent class: 88.50 %" in Page(write(folders[0])).text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_cell_opens_the_images_behind_it(tab: Callable[..., Any], pictured: Callable[..., Path], width: int) -> None:
    """By a click on the matrix, by the keyboard, by a link; a cell whose images are not stored says so."""
    one = tab(viewport={"width": width, "height": 900})
    page = one.open(write(pictured(cells=stored()["cells"][:2] + stored()["cells"][3:])))
    shown = page.locator("#behind img")
    boxes = page.locator(".over button")
    boxes.nth(0).focus()  # ant taken for cat, the first in the order of rows
    page.keyboard.press("Enter")
    assert shown.get_attribute("alt").startswith("train/ant/1.jpg: true ant, predicted cat")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert shown.get_attribute("alt").startswith("bee 2.jpg: true bee, predicted cat")
    page.evaluate("document.getElementById('figure-confusion').scrollIntoView()")
    place = boxes.nth(0).bounding_box()

    def click(right: int, down: int, told: str) -> None:
        """Click the cell that lies so many cells right of the first and below it."""
        page.mouse.click(place["x"] + place["width"] * (right + 0.5), place["y"] + place["height"] * (down + 0.5))
        page.get_by_text(told).first.wait_for()
        page.wait_for_timeout(400)  # or the next click is the second of a double click

    click(0, 0, "ant predicted as cat: 1 image")
    assert shown.get_attribute("alt").startswith("train/ant/1.jpg")
    click(0, 2, "cat, correctly predicted: 3 images, the least certain 1")
    assert shown.get_attribute("alt").startswith("cat 4.jpg")
    click(-2, 2, "1 image of cat predicted as ant; none of them is stored on this page.")
    click(-1, 2, "No image of cat was predicted as bee.")
    page.locator('a[href="#cell-1-2"]').click()
    assert shown.get_attribute("alt").startswith("bee 2.jpg")
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    assert one.noise == []


@pytest.mark.browser
def test_the_table_of_classes_sorts_by_the_column_that_is_clicked(
    tab: Callable[..., Any], pictured: Callable[..., Path]
) -> None:
    one = tab()
    page = one.open(write(pictured()))
    rows = page.locator("table.sortable tbody td:first-child")
    assert rows.all_inner_texts() == ["ant", "cat", "bee"]  # F1 66.7, 66.7, 80: by name where equal
    page.get_by_role("button", name="class").click()
    assert rows.all_inner_texts() == ["ant", "bee", "cat"]
    page.get_by_role("button", name="recall").click()
    page.get_by_role("button", name="recall").click()
    assert rows.all_inner_texts()[0] == "cat"  # 75 %, above two of 66.7 %
    assert page.locator("th[aria-sort]").all_inner_texts() == ["recall"]
    assert one.noise == []


@pytest.mark.browser
def test_without_scripts_every_gallery_is_shown(tab: Callable[..., Any], pictured: Callable[..., Path]) -> None:
    page = tab(java_script_enabled=False).page
    page.goto(write(pictured()).as_uri())
    page.locator("details.behind summary").click()
    assert page.locator(".gallery img").count() == 4 + 3 + 2 + 1 + 3
    assert page.locator(".cell").first.is_visible()


@pytest.mark.browser
def test_names_of_any_length_and_kind_stay_within_a_phone(
    tab: Callable[..., Any], pictured: Callable[..., Path]
) -> None:
    more = stored(HOSTILE)
    for one, name in zip(more["images"], ["W" * 160, "<b>x</b>", "\u202eabc", "a b c"], strict=True):
        one["name"] = name
    tabbed = tab(viewport={"width": 390, "height": 800})
    page = tabbed.open(write(pictured(HOSTILE, images=more["images"])))
    page.locator("details.behind summary").click()
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    assert tabbed.noise == []
