"""The server's page in a browser: questions, rows of a table, the page of the API; and the files themselves."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reslab

pytest.importorskip("uvicorn")
from stand_in import WEB, StandIn, quiet

Serve = Callable[..., StandIn]
Tab = Callable[..., Any]
TEXT = "😀😀 <i>The Nile</i> is a river.\n \n\nAnd the Nile floods.\nNile!"  # two characters beyond 16 bits
browser = pytest.mark.browser


def plain(found: Any) -> list[str]:
    """The texts, with ordinary spaces."""
    return [" ".join(text.split()) for text in found.all_inner_texts()]


@browser
def test_answers_are_marked_where_they_stand(serve: Serve, tab: Tab) -> None:
    server, one = serve("reader"), tab()
    page = one.visit(server.home)
    page.get_by_label("Question").fill("Which river is the Nile?")
    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#answer").wait_for()
    assert server.posts[0]["contexts"] == ["😀😀 <i>The Nile</i> is a river.", "And the Nile floods.\nNile!"]
    assert plain(page.locator("#answer-text")) == ["Nile 60.0 %"]
    assert plain(page.locator("#answers li")) == ["Nile 60.0 %", "Nile 20.0 %", "Nile 10.0 %"]
    assert page.locator("#read p").all_text_contents() == server.posts[0]["contexts"]
    assert page.locator("#read mark").all_text_contents() == ["Nile"] * 3
    assert page.locator("#read mark.best").evaluate("mark => mark.previousSibling.data") == "😀😀 <i>The "
    page.locator("#answers button").nth(2).click()
    assert page.locator("mark.found").evaluate("mark => mark.previousSibling.data") == " floods.\n"
    page.get_by_label("Question").fill("Where is the Amazon?")
    page.get_by_label("Text", exact=True).press("Control+Enter")
    page.get_by_text("No answer in the text 90.0 %").wait_for()
    assert (page.locator("#read mark").count(), plain(page.locator("#answers li"))) == (0, ["no answer 90.0 %"])
    assert one.noise == []


@browser
def test_answers_within_answers_are_marked_together(serve: Serve, tab: Tab) -> None:
    """aaa stands twice in aaaa: both cover the middle."""
    page = tab().visit(serve("reader").home)
    page.get_by_label("Question").fill("Where is aaa?")
    page.get_by_label("Text", exact=True).fill("x aaaa y")
    page.get_by_label("Question").press("Enter")
    page.locator("#answer").wait_for()
    marks = page.locator("#read mark")
    assert marks.all_text_contents() == ["a", "aa", "a"]
    assert marks.evaluate_all("all => all.map(one => one.className)") == ["best", "best several", ""]


@browser
def test_what_is_missing_and_what_the_server_refuses_is_one_sentence(serve: Serve, tab: Tab) -> None:
    server, one = serve("reader", refuse=[(422, "the question is too long")]), tab()
    page = one.visit(server.home)
    ask = page.get_by_role("button", name="Ask", exact=True)
    ask.click()
    page.get_by_text("Enter a question.").wait_for()
    page.get_by_label("Question").fill("Why?")
    ask.click()
    page.get_by_text("Paste the text to read.").wait_for()
    assert page.evaluate("document.activeElement.id") == "context"
    page.get_by_label("Text", exact=True).fill("Why? For that.")
    ask.click()
    assert page.get_by_role("alert").locator("p").inner_text() == "the question is too long"
    assert server.posts == []
    page.get_by_role("button", name="Try again").click()
    page.locator("#answer").wait_for()
    assert (page.get_by_role("alert").count(), quiet(one)) == (0, [])


@browser
def test_a_row_is_filled_and_predicted(serve: Serve, tab: Tab) -> None:
    server, one = serve("income"), tab()
    page = one.visit(server.home)
    predict = page.get_by_role("button", name="Predict")
    assert page.get_by_label("age", exact=True).get_attribute("placeholder") == "37"
    assert page.locator("#field-0-hint").inner_text() == "17 to 90"
    assert page.locator("datalist option").evaluate_all("all => all.map(one => one.value)")[2] == "<b>odd</b>"
    predict.click()
    page.locator("#predicted").wait_for()
    assert server.posts[-1]["rows"] == [dict.fromkeys(("age", "work", "tags", "review", "since"))]  # all missing
    page.get_by_role("button", name="Fill with an example").click()
    page.get_by_label("review").fill("two\nlines ")
    page.get_by_label("tags").fill("new\n old ")
    predict.click()
    page.get_by_text("Prediction: low, 63.0 %.").wait_for()
    assert page.locator("#field-0-hint").inner_text() == "17 to 90"
    row = {"age": 37, "work": "Private", "tags": ["new", "old"], "review": "two\nlines ", "since": "2011-05-04"}
    assert server.posts[-1]["rows"] == [row]
    assert plain(page.locator("#probabilities li")) == ["low 63.0 %", "high 37.0 %"]
    page.get_by_label("age", exact=True).fill("seventy")
    predict.click()
    page.get_by_text('age: "seventy" is not a number.').wait_for()
    assert page.locator("#field-0-hint").inner_text() == '"seventy" is not a number.'
    assert page.get_by_label("age", exact=True).get_attribute("aria-invalid") == "true"
    page.get_by_label("age", exact=True).fill("70,5")
    page.get_by_label("work").fill("never heard of")
    page.get_by_label("age", exact=True).press("Enter")
    page.get_by_text("Prediction: high, 70.5 %.").wait_for()
    assert (server.posts[-1]["rows"][0]["age"], server.posts[-1]["rows"][0]["work"]) == (70.5, "never heard of")
    page.get_by_role("button", name="Empty all fields").click()
    assert page.get_by_label("age", exact=True).input_value() == ""
    assert one.noise == []


@browser
def test_a_number_is_predicted_of_the_servers_example(serve: Serve, tab: Tab) -> None:
    page = tab().visit(serve("price").home)
    page.get_by_role("button", name="Fill with an example").click()
    page.get_by_role("button", name="Predict").click()
    page.locator("#predicted").wait_for()
    assert page.locator("#predicted-text").inner_text() == "40,020"  # 40 times 1000.5
    assert not page.locator("#probabilities").is_visible()


@browser
@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_forms_stay_within_the_window_and_everything_has_a_name(serve: Serve, tab: Tab, width: int) -> None:
    one = tab(viewport={"width": width, "height": 800})
    page = one.visit(serve("reader", "income").home)
    page.get_by_label("Question").fill("Where is " + "x" * 100)
    page.get_by_label("Text", exact=True).fill("y" * 300 + "x" * 100)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("#answer").wait_for()
    widths = [page.evaluate("document.documentElement.scrollWidth")]
    page.get_by_label("Model").select_option("income")
    page.get_by_role("button", name="Predict").click()
    page.locator("#predicted").wait_for()
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.goto(page.url.partition("#")[0] + "docs")
    page.locator(".operation").first.wait_for()
    widths.append(page.evaluate("document.documentElement.scrollWidth"))
    assert max(widths) <= width
    page.go_back()
    page.locator("#fields input").first.wait_for()
    nameless = """all => all.filter(one => !one.labels?.length && !one.getAttribute("aria-label")
        && !one.textContent.trim()).map(one => one.outerHTML)"""
    assert page.locator("input, textarea, select, button").evaluate_all(nameless) == []
    assert one.noise == []


@browser
def test_the_api_is_described_with_commands(serve: Serve, tab: Tab) -> None:
    server, one = serve("reader"), tab()
    page = one.visit(server.home, "docs")
    page.locator(".operation").first.wait_for()
    assert page.locator("h3").all_inner_texts() == ["GET /api/models", "POST /api/models/{name}/ask"]
    commands = page.locator(".operation > pre").all_inner_texts()
    assert commands[0] == f"curl {server.home}api/models"
    assert commands[1].splitlines() == [
        f"curl '{server.home}api/models/{{name}}/ask' \\", "  -H 'Content-Type: application/json' \\",
        """  -d '{"question":"who'\\''s it?","top":3}'""",
    ]  # fmt: skip
    assert "<b>what</b> is asked" in page.get_by_role("table", name="Parameters").inner_text()
    assert one.noise == []


def test_the_files_name_no_other_place_and_hold_no_code_in_the_html() -> None:
    for path in WEB.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"\w+://[^\s\"'<>]*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text), path.name


def test_the_colors_and_fonts_are_the_reports() -> None:
    def values(path: Path) -> list[tuple[str, str]]:
        """In order: those of the light, then of the dark."""
        return re.findall(r"--([\w-]+): ([^;]+);", path.read_text(encoding="utf-8"))

    reports = values(Path(reslab.__file__).parent / "report" / "templates" / "style.css")
    own = values(WEB / "style.css")
    assert len(own) > 20
    assert own == [pair for pair in reports if pair[0] in {name for name, _ in own}]
