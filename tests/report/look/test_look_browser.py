"""The page of a look in a browser: sorted, opened, silent, and readable on a phone and on paper."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.report import look

pytestmark = pytest.mark.browser
Facts = dict[str, Any]
MakeLook = Callable[..., Path]
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"
SHOWN = "rows => rows.filter(row => row.checkVisibility()).map(row => row.id || row.className)"


def blocks(page: Any) -> list[int]:
    """The blocks in the order in which they stand."""
    found = page.eval_on_selector_all("tr.block", "rows => rows.map(row => row.id)")
    return [int(name.removeprefix("block-")) for name in found]


def head(page: Any, name: str) -> Any:
    return page.locator(".network thead th", has_text=name).first


@pytest.fixture
def four(net: Callable[..., Facts]) -> Facts:
    """Four blocks in two stages whose errors, when taken out, are 20, 50, 30 and unknown."""
    results = net((2, 2))
    for each, error in zip(results["lesions"]["single"], (0.2, 0.5, 0.3, None), strict=True):
        each["values"]["error"] = error
    return results


def test_blocks_are_sorted_by_any_column(tab: Callable[..., Any], make_look: MakeLook, four: Facts) -> None:
    one = tab()
    page = one.open(look.write(make_look("four", four)))
    column, order = head(page, "error if disabled"), head(page, "block")
    assert [order.get_attribute("aria-sort"), column.get_attribute("aria-sort")] == ["ascending", "none"]
    assert page.eval_on_selector_all(".network tbody tr", SHOWN) == [
        "stage", "block-0", "block-1", "stage", "block-2", "block-3",
    ]  # fmt: skip
    column.locator("button").click()
    assert (blocks(page), column.get_attribute("aria-sort")) == ([1, 2, 0, 3], "descending")  # what is unknown is last
    assert "stage" not in page.eval_on_selector_all(".network tbody tr", SHOWN)
    column.locator("button").press("Enter")
    assert (blocks(page), column.get_attribute("aria-sort")) == ([0, 2, 1, 3], "ascending")
    order.locator("button").click()
    assert blocks(page) == [0, 1, 2, 3]
    assert page.locator("tr.stage").count() == 2
    order.locator("button").click()
    assert (blocks(page), order.get_attribute("aria-sort")) == ([3, 2, 1, 0], "descending")
    assert one.noise == []


def test_a_block_opens_by_mouse_keyboard_and_link(tab: Callable[..., Any], make_look: MakeLook, four: Facts) -> None:
    one = tab()
    page = one.open(look.write(make_look("four", four)))
    page.locator("#block-1 td").nth(2).click()
    opened = page.locator("#block-1 + tr.more")
    text = opened.inner_text()
    for fact in ("stages.0.1", "16 × 32 × 32", "the ReLU after the addition changes nothing", "50.0 %", "branch.conv2"):
        assert fact in text.replace("\u00a0", " ")
    button = page.locator("#block-1 .open")
    assert button.get_attribute("aria-expanded") == "true"
    button.press("Enter")
    assert (button.get_attribute("aria-expanded"), opened.count()) == ("false", 0)
    button.press("Space")
    assert opened.count() == 1
    page.locator(".ranked a", has_text="block 2").first.click()
    page.locator("#block-2 + tr.more").wait_for()
    assert page.evaluate("document.activeElement.closest('tr').id") == "block-2"
    head(page, "influence").locator("button").click()
    assert page.locator("tr.more").count() == 0  # sorting closes what is open
    page.locator("#block-0 td.n").first.hover()
    assert (
        page.locator("#block-0 td.n")
        .first.get_attribute("title")
        .endswith(", error (%) with this block disabled; the intact model: 16.8\u00a0%")
    )
    assert one.noise == []


def test_every_page_is_drawn_in_silence(
    tab: Callable[..., Any], make_look: MakeLook, net: Callable[..., Facts], plain: Callable[..., Facts], tmp_path: Path
) -> None:
    attack = "<img src=x onerror=alert(1)>\u202e" + "y" * 300
    pages = [
        make_look("resnet20", net((3, 3, 3))),
        make_look(attack, net((2, 2), module=attack + ".{stage}.{block}")),
        make_look("language", net((12,), module="model.layers.{block}", labels=False)),
        make_look("vgg16", plain(12)),
    ]
    one = tab(viewport={"width": 360, "height": 740})
    many = look.write([pages[0], pages[3]], out=tmp_path / "many.html")
    for path in [*map(look.write, pages), many]:
        page = one.open(path)
        places = page.eval_on_selector_all(".plot", "all => all.map(p => !!p.querySelector('.main-svg'))")
        assert len(places) >= 5
        assert all(places)
        if path != many:
            page.locator("tr.block .open").first.click()
            page.locator("tr.more").wait_for()
            assert page.eval_on_selector(".inside", "e => e.clientWidth") <= 360
        page.eval_on_selector_all("details", "all => all.forEach(details => { details.open = true; })")
        assert page.evaluate(WIDTHS) == [360, 360]
    assert one.noise == []


def test_a_wide_screen_and_paper_hold_the_whole_table(tab: Callable[..., Any], make_look: MakeLook) -> None:
    page = tab(viewport={"width": 1280, "height": 900}).open(look.write(make_look()))
    assert page.eval_on_selector(".network", "e => e.scrollWidth - e.clientWidth") == 0
    assert page.evaluate(WIDTHS)[0] <= 1280
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.eval_on_selector(".network > table", "e => e.getBoundingClientRect().right") <= 718  # nor a column
    assert page.eval_on_selector(".network", "e => e.scrollHeight - e.clientHeight") == 0  # no row is cut off


def test_six_hundred_blocks_sort_at_once(
    tab: Callable[..., Any], make_look: MakeLook, net: Callable[..., Facts]
) -> None:
    one = tab()
    page = one.open(look.write(make_look("resnet1202", net((200, 200, 200)))))
    head(page, "error if disabled").locator("button").click()
    assert set(blocks(page)[:2]) == {200, 400}  # those that change the shape
    assert page.eval_on_selector(".network", "e => e.clientHeight") < 900  # scrolls in its own frame
    assert one.noise == []
