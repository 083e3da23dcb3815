"""The page in a browser: drawn, silent, offline, and readable on a phone and in the dark."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.report import library, write, write_many

pytestmark = pytest.mark.browser
DARK_BACKGROUND = "rgb(23, 24, 26)"
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


def drawn(page: Any) -> list[bool]:
    """For each place of a figure: is there a drawing in it?"""
    return page.eval_on_selector_all(".plot", "all => all.map(p => !!p.querySelector('.main-svg'))")


def test_study_page_is_drawn_in_silence(tab: Callable[..., Any], study_folder: Path, study: dict[str, Any]) -> None:
    one = tab()
    page = one.open(write(study_folder))
    assert drawn(page) == [True] * 4
    row = page.locator("main table").first.locator("tbody tr", has_text="plain56")
    assert row.locator("td").nth(4).inner_text() == f"{study['table'][3]['test_mean']:.2f}\u00a0±\u00a00.35"
    page.locator("#figure-depth summary").click()
    numbers = page.locator("#figure-depth table").nth(1)
    assert numbers.locator("tr").last.locator("td").nth(1).inner_text() == f"{study['table'][3]['test_mean']:g}"
    assert one.noise == []


def test_run_pages_are_drawn_in_silence(tab: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path) -> None:
    names = ["</script><script>alert(1)</script>", "<b>bold</b>", *"cdefgh"]
    folders = [make_run("a", classes=names), make_run("b", end=9.5)]
    one = tab()
    page = one.open(write(folders[0]))
    assert drawn(page) == [True] * 6
    assert "<b>bold</b>" in page.locator("#figure-classes svg").first.text_content()
    page.locator("#figure-confusion summary").click()
    assert page.locator("#figure-confusion th").nth(2).inner_text() == "<b>bold</b>"
    assert drawn(one.open(write_many(folders, out=tmp_path / "both.html"))) == [True]
    assert one.noise == []


def test_a_page_sent_alone_is_whole_or_lists_its_numbers(
    tab: Callable[..., Any], study_folder: Path, tmp_path: Path
) -> None:
    """A single file draws its figures; any other names the script that it lacks and shows every figure's numbers."""
    (tmp_path / "sent").mkdir()
    one = tab(viewport={"width": 390, "height": 740})
    whole = shutil.move(write(study_folder, single_file=True), tmp_path / "sent" / "whole.html")
    assert drawn(one.open(Path(whole))) == [True] * 4
    assert one.noise == []
    page = one.open(Path(shutil.move(write(study_folder), tmp_path / "sent" / "part.html")))
    assert page.locator(".missing").inner_text().startswith(f"The figures are not drawn: they need {library.name()},")
    assert not page.locator(".plots").first.is_visible()
    assert page.locator("#figure-depth table").nth(1).locator("tbody tr").count() == 4  # its depths
    assert page.evaluate(WIDTHS) == [390, 390]


def test_class_bars_carry_their_own_names(tab: Callable[..., Any], make_run: Callable[..., Path]) -> None:
    """Classes called by numbers, and two of one name: neither may be mixed up."""
    folder = make_run()
    seen = json.loads((folder / "results" / "eval.json").read_text())
    seen |= {"classes": ["2", "0", "0"], "confusion": [[9, 1, 0], [4, 6, 0], [0, 2, 8]]}
    (folder / "results" / "eval.json").write_text(json.dumps(seen))
    page = tab().open(write(folder))
    bars, matrix = page.locator("#figure-classes"), page.locator("#figure-confusion")
    ticks = bars.locator(".ytick text").all()
    assert [tick.text_content() for tick in sorted(ticks, key=lambda t: t.bounding_box()["y"])] == ["0", "0", "2"]
    bars.locator("summary").click()
    bars.locator("tbody tr").last.wait_for()
    cells = [row.locator("td").all_inner_texts() for row in bars.locator("tbody tr").all()]
    assert cells == [["0", "40"], ["0", "20"], ["2", "10"]]
    matrix.locator("summary").click()
    matrix.locator("tbody tr").last.wait_for()
    assert matrix.locator("tbody tr").nth(2).locator("td").all_inner_texts() == ["0", "0", "2", "8"]


def test_equal_shares_have_equal_strength_right_or_wrong(
    tab: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    """10 of 20 right and 10 of 20 wrong: the same distance from the middle of one scale."""
    folder = make_run()
    seen = json.loads((folder / "results" / "eval.json").read_text())
    seen |= {"classes": ["a", "b"], "confusion": [[10, 10], [1, 19]]}
    (folder / "results" / "eval.json").write_text(json.dumps(seen))
    drawn = (
        tab()
        .open(write(folder))
        .evaluate("""() => {
        const { z, zmin, zmax, colorscale } = document.querySelector("#figure-confusion .plot").data[0];
        return [z[0], zmin, zmax, colorscale.map(([at]) => at)];
    }""")
    )
    assert drawn == [[-(0.5**0.5), 0.5**0.5], -1, 1, [0, 0.5, 1]]


def test_a_box_that_scrolls_says_so(tab: Callable[..., Any], make_run: Callable[..., Path]) -> None:
    page = tab(viewport={"width": 1280, "height": 740}).open(write(make_run()))
    page.locator("#figure-errors summary").click()
    sign = page.locator("#figure-errors .more-sign")
    sign.get_by_text("↓ more rows").wait_for()
    page.eval_on_selector("#figure-errors .numbers .scroll", "box => { box.scrollTop = box.scrollHeight; }")
    sign.get_by_text("↓ more rows").wait_for(state="detached")  # the page's policy forbids wait_for_function


def test_hover_tells_net_iteration_and_value(tab: Callable[..., Any], study_folder: Path) -> None:
    page = tab().open(write(study_folder))
    page.evaluate("""() => {
        const plot = document.querySelector(".plot");
        const curve = plot.data.findIndex((trace) => trace.name === "plain56, test");
        Plotly.Fx.hover(plot, [{ curveNumber: curve, pointNumber: 19 }]);
    }""")
    assert page.locator("g.hovertext").first.text_content().startswith("plain56, testiteration 480")


def test_phone_does_not_scroll_sideways(
    tab: Callable[..., Any], study_folder: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    one = tab(viewport={"width": 360, "height": 740})
    run = make_run()
    for path in (write(study_folder), write(run), write_many([run], out=tmp_path / "one.html")):
        page = one.open(path)
        for summary in page.locator("summary").all():
            summary.click()
        scroll, inner = page.evaluate(WIDTHS)
        assert scroll <= inner == 360
        assert page.eval_on_selector_all(".plot svg", "all => Math.max(...all.map(s => s.clientWidth))") <= 420
    assert one.noise == []


def test_tables_show_what_counts(
    tab: Callable[..., Any], study_folder: Path, make_run: Callable[..., Path], tmp_path: Path
) -> None:
    """On a phone every error of a study's final table; on a screen the whole table that compares runs."""
    page = tab(viewport={"width": 360, "height": 740}).open(write(study_folder))
    errors = page.locator("main table").first.locator("tbody tr").first.locator("td")
    assert [errors.nth(i).inner_text()[-4:] for i in (2, 3, 4)] == ["0.21", "0.17", "0.35"]
    box = errors.nth(4).bounding_box()
    assert box["x"] + box["width"] <= 360
    runs = [make_run(f"fashion-mnist-cifar_resnet110-paper-cifar-s{seed}") for seed in (0, 1)]
    page = tab(viewport={"width": 1280, "height": 740}).open(write_many(runs, out=tmp_path / "many.html"))
    wide, seen = page.eval_on_selector("main > .scroll", "e => [e.scrollWidth, e.clientWidth]")
    assert wide == seen


def test_dark_mode_is_followed_while_the_page_is_open(tab: Callable[..., Any], study_folder: Path) -> None:
    one = tab(color_scheme="light")
    page = one.open(write(study_folder))
    paper = "getComputedStyle(document.body).backgroundColor"
    figure = "getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
    before = page.evaluate(f"[{paper}, {figure}]")
    assert before[0] == before[1]
    page.emulate_media(color_scheme="dark")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate(f"[{paper}, {figure}]") == [DARK_BACKGROUND] * 2 != before
    assert one.noise == []


def test_figures_are_sized_for_paper(tab: Callable[..., Any], study_folder: Path) -> None:
    page = tab(color_scheme="dark").open(write(study_folder))
    width = "document.querySelector('.main-svg').clientWidth"
    before = page.evaluate(width)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(width) <= 330  # two panels on 660 pixels of paper
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(253, 252, 249)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK_BACKGROUND
    assert page.evaluate(width) == before > 330
