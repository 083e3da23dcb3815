"""The page of `reslab claims`: every derived number by hand, links, filter and search, print, hostile files."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import claims
import pytest
from pages import Page

from reslab.errors import ReslabError
from reslab.report import write
from reslab.report.figures import claims as figures
from reslab.report.figures import claims_numbers as numbers
from reslab.report.figures import claims_strip as strips
from reslab.report.figures.claims_formula import formula
from reslab.report.figures.claims_glossary import TERMS, key, linked
from reslab.report.figures.claims_points import series
from reslab.report.pages.claims import addresses, lead, meta, sentence

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"\u202egpj\n' + "W" * 90


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of forty claims."""
    return write(claims.write(tmp_path_factory.mktemp("all") / "claims", claims.claims()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one claim."""
    return claims.write(tmp_path / "claims", claims.claims(1))


def rows(page: Page, name: str) -> dict[str, str]:
    """The numbers of one claim as the page shows them."""
    own = page.body.partition(f'id="{name}"')[2].partition("</article>")[0]
    found = re.findall(r"<dt><bdi>(.*?)</bdi></dt><dd><bdi>(.*?)</bdi>", own)
    return {re.sub("<[^>]*>", "", name): value.replace("\u00a0", " ") for name, value in found}


def test_the_top_counts_the_verdicts_and_says_what_ran(whole: Path) -> None:
    """Of each ten claims six hold and one has each of the others: 24 and four times 4 of 40."""
    page = Page(whole)
    assert (
        "Of 40 claims, 24 hold, 4 are contradicted, 4 are equivalent, 4 are not shown and 4 were not run." in page.body
    )
    for name, n in (("holds", 24), ("contradicted", 4), ("equivalent", 4), ("not shown", 4), ("not run", 4)):
        assert f"{n} {name}" in page.text
    assert ("on digits · 5 seeds (0 to 4) · quick edition · trainings and measurements: 18 min 13 s of CPU time, in "
            "this run or earlier ones · this run: 9 min 31 s" in page.text)  # fmt: skip
    assert "reslab claims --data digits --out runs/claims" in page.text


def test_one_of_each_verdict_is_told_in_the_singular() -> None:
    shown = [{"verdict": name} for name in ("holds", "not shown", "not run", "contradicted")]
    assert sentence(shown) == "Of 4 claims, 1 holds, 1 is contradicted, 1 is not shown and 1 was not run."
    assert sentence([]) == "No claim is stored here."


def test_seeds_without_an_order_are_listed() -> None:
    assert meta({"seeds": [0, 2, 7], "wall_seconds": 61}) == "3 seeds (0, 2 and 7) · this run: 1\u00a0min\u00a01\u00a0s"
    assert meta({"seeds": [4]}) == "1 seed (4)"


def test_contents_and_claims_are_by_paper_and_linked(whole: Path) -> None:
    page, stored = Page(whole), claims.claims()
    linked_, shown = (re.findall(pattern, page.body) for pattern in (
        r'<li class="row [^"]*" data-claim="([^"]*)">\s*<a href="#\1">',
        r'<article class="claim [^"]*" id="([^"]*)"'))  # fmt: skip
    assert linked_ == shown == [one["name"] for one in stored["claims"]]
    assert page.body.count('<section class="paper"') == 8
    for paper in stored["papers"]:
        assert f'<a href="{paper["link"]}"' in page.body
        assert f"{paper['authors']} ({paper['year']})" in page.text
    links = set(re.findall(r'href="#([^"]*)"', page.body))
    assert links <= set(re.findall(r' id="([^"]*)"', page.body)), "every link has its target"


def test_a_claim_has_all_that_was_fixed_and_measured(whole: Path) -> None:
    """The first claim's seeds: the mean and Student's interval (t(4) = 2.776) by hand from the shown effects."""
    page, one = Page(whole), claims.claim(0)
    effects = one["judged"]["effects"]
    mean = sum(effects) / 5
    half = 2.776 * (sum((e - mean) ** 2 for e in effects) / 4) ** 0.5 / 5**0.5
    shown = rows(page, "plain-degrades")
    assert shown["mean effect"] == f"+{mean:.3g} points (95 % interval +{mean - half:.3g} to +{mean + half:.3g})"
    assert shown["single effects"].startswith(f"seed 0: +{effects[0]:.3g}, seed 1: +{effects[1]:.3g}")
    assert {key: shown[key] for key in ("n", "p", "p after Holm’s correction", "p of equivalence", "margin")} == {
        "n": "5", "p": "0.0004", "p after Holm’s correction": "0.0048", "p of equivalence": "0.7",
        "margin": "1 point"}  # fmt: skip
    assert [shown["p of equivalence, after Holm’s correction"], shown["train.changes.epochs"]] == ["1", "20"]
    assert shown["power, for the observed spread"] == "n = 5 would show an effect of 1.8 points with power 80 %."
    assert shown["single effects"].endswith(" (in points)")
    assert [shown["CPU time"], shown["plain56"]] == ["41.5 s", "24.3 %"]
    for text in ("The mean effect is above 0 points.", "Fixed on 2026-11-30.", one["hash"], *one["deviations"],
                 one["turns"], one["command"], one["answer"], one["where"]):  # fmt: skip
        assert text in page.text, text
    bare = re.sub(r"<[^>]*>", "", page.body)  # links to the glossary stand within sentences
    assert all(text in bare for text in (one["sentence"], *one["meaning"]))


def test_a_prediction_without_a_hash_was_not_fixed_beforehand(tmp_path: Path) -> None:
    page = Page(write(claims.write(tmp_path / "c", claims.claims() | {"claims": [claims.claim(0) | {"hash": ""}]})))
    assert "Not fixed beforehand: its file holds no hash." in page.text
    assert "fixed before the run The" not in page.text
    assert "No prediction was fixed before the run" in page.text


def test_the_top_says_which_predictions_were_fixed_before_the_run(whole: Path) -> None:
    assert "one number, fixed before the run with its threshold and margin, and was then tested" in Page(whole).text
    some = lead([{"hash": "a"}, {"hash": ""}, {"hash": ""}])
    assert some.endswith("Only 1 of the 3 predictions was fixed before the run; the others hold no hash, and say so.")


def test_power_after_the_run_names_the_spread_that_was_planned_with() -> None:
    told = numbers.power({"unit": "points", "spread": 5.0}, {"n": 3, "power": "3 seeds see 1.2 points."})
    assert told == "3 seeds see 1.2 points. The plan assumed a standard deviation of 5\u00a0points."


def test_the_names_of_p_follow_the_question() -> None:
    judged = {"p": 0.01, "p_holm": 0.02, "p_equivalent": 0.01, "p_opposite": 0.5, "p_opposite_holm": 0.00001}
    assert numbers.p_values(judged, same=True) == [
        ("p of lying within the margin", "0.01"), ("the same, after Holm’s correction", "0.02"),
        ("p of lying outside the margin", "0.5"),
        ("p of lying outside the margin, after Holm’s correction", "< 0.0001")]  # fmt: skip


def test_a_paper_may_lack_authors_and_year(tmp_path: Path) -> None:
    papers = [{"key": "notes", "title": "Notes on residual learning"}, {"key": "b", "authors": "B", "year": 2020}]
    listed = [{"name": "x", "paper": "notes"}, {"name": "y", "paper": "b"}]
    page = Page(write(claims.write(tmp_path / "c", {"claims": listed, "papers": papers})))
    assert page.body.count("<h2><bdi>Notes on residual learning</bdi></h2>") == 1
    assert "<h2><bdi>B (2020)</bdi></h2>" in page.body


def test_what_was_not_run_says_why(whole: Path) -> None:
    assert "Not run . needs a trained language model: give texts with --data FOLDER" in Page(whole).text


@pytest.mark.parametrize(("direction", "threshold", "margin", "judged", "expected"), [
    ("above", 1.0, 0.5, (2.0, 1.5, 2.5), (2.0, 1.0, 3.0, False)),
    ("below", 1.0, 0.5, (2.0, 1.5, 2.5), (-2.0, -3.0, -1.0, False)),
    ("same", 1.0, 0.1, (1.02, 0.95, 1.09), (0.2, -0.5, 0.9, True)),
    ("exact", 0.01, 0.1, (None, None, None), (-0.6, -0.6, 0.4, True)),  # the furthest case, the range of all
])  # fmt: skip
def test_an_effect_in_margins(direction: str, threshold: float, margin: float, judged: Any, expected: Any) -> None:
    told = {"direction": direction, "threshold": threshold, "margin": margin}
    found = strips.effect(told, dict(zip(("mean", "low", "high"), judged, strict=True)) | {"effects": [-0.05, 0.05]})
    assert found is not None
    assert [found.mean, found.low, found.high] == pytest.approx(expected[:3])
    assert found.within is expected[3]


def test_without_a_margin_there_is_no_place_on_the_axis() -> None:
    assert strips.effect({"threshold": 0.0, "margin": 0.0, "direction": "above"}, {"mean": 1.0}) is None
    assert strips.effect({"threshold": 0.0, "direction": "above"}, {"mean": 1.0}) is None
    assert strips.effect({"threshold": 0.0, "margin": 1.0}, {"mean": None}) is None
    exact = {"threshold": 2.0, "margin": 0.0, "direction": "exact"}
    assert strips.effect(exact, {"effects": [2.0, 3.0]}) is None
    assert strips.effect(exact, {"effects": [2, 2.0]}) == strips.Effect(mean=0.0, low=0.0, high=0.0, within=True)


def test_places_on_the_axis() -> None:
    """From -10 to 100 margins are five steps of 97 / 5 = 19.4 % each, from 1.5 %: 0 at 40.3, 1 at 59.7, 10 at 79.1."""
    on = strips.axis([strips.Effect(mean=30.0, low=20.0, high=99.0, within=False)])
    assert (on.left, on.right) == (-2, 3)
    assert [on.place(margins) for margins in (-10, 0, 0.5, 1, 10, 100, 5000)] == [
        1.5,
        40.3,
        50.0,
        59.7,
        79.1,
        98.5,
        98.5,
    ]
    assert [tick["text"] for tick in on.ticks] == ["−10", "−1", "0", "1", "10", "100"]
    shown = strips.strip(strips.Effect(mean=-300.0, low=None, high=None, within=True), on)
    assert shown == {"mean": 1.5, "zone": [20.9, 59.7], "margin": [20.9, 59.7], "interval": None, "beyond": "left",
                     "said": "−300\u00a0margins"}  # fmt: skip


def test_numbers_in_words() -> None:
    assert numbers.amount(-1.0, "decades") == "−1\u00a0decade"
    assert numbers.amount(12.345, "points", plus=True) == "+12.3\u00a0points"
    assert numbers.amount(None, "points") == "–"
    assert numbers.prediction({"direction": "same", "threshold": 1.0, "margin": 0.2}) == (
        "The mean effect is 1, give or take the margin of 0.2.")  # fmt: skip
    assert numbers.prediction({"direction": "sideways"}) == ""
    assert numbers.power({"unit": "points"}, {"n": 5, "sees": 1.2, "power": "n = 5 sees a lot."}) == "n = 5 sees a lot."
    assert numbers.single({"effects": [0.1 * k for k in range(30)], "cases": ["a"]}, plus=False).endswith(
        "1, 1.1, and 18 more"
    )
    assert numbers.single({"effects": [0.5] * 30, "cases": ["a"]}, plus=True) == "+0.5 in each of 30 cases"


def test_formulas_are_set_and_harmless() -> None:
    assert formula("y_i = F(x)^2 <b>\ntrain_error_of(a)") == [
        "<i>y</i><sub><i>i</i></sub> = <i>F</i>(<i>x</i>)<sup>2</sup> &lt;<i>b</i>&gt;",
        "train\u00a0error\u00a0of(<i>a</i>)",
    ]  # fmt: skip
    assert formula("log_10 r, dy/dx = 1 + F'(x)") == [
        "log<sub>10</sub> <i>r</i>, d<i>y</i>/d<i>x</i> = 1 + <i>F</i>′(<i>x</i>)"]  # fmt: skip
    assert formula("a x, 3 pixels a layer") == ["<i>a</i> <i>x</i>, 3 pixels a layer"]
    assert formula("<script>x^{-1}</script>")[0].startswith("&lt;script&gt;<i>x</i><sup>-1</sup>")


def test_the_first_use_of_a_term_links_to_it() -> None:
    first, second = linked(["Plain nets & <b>blocks</b>: plain nets", "another block of a residual net"])
    assert first == ('<a class="term" href="#term-plain-net">Plain nets</a> &amp; &lt;b&gt;'
                     '<a class="term" href="#term-block">blocks</a>&lt;/b&gt;: plain nets')  # fmt: skip
    assert second == 'another block of a <a class="term" href="#term-residual-net">residual net</a>'
    assert len({key(term) for term, _, _ in TERMS}) == len(TERMS)


def test_every_address_is_its_own_and_hides_nothing_of_the_page() -> None:
    assert addresses(["a b", "A-B", "figures", "paper-1", "<>", "a-b-2"]) == [
        "a-b", "a-b-2", "claim-figures", "claim-paper-1", "claim", "a-b-2-2"]  # fmt: skip


def test_pairs_have_their_mean_and_on_a_logarithmic_axis_the_geometric_one() -> None:
    stored = {
        "kind": "pairs",
        "y": "error, %",
        "series": [
            {"name": "seed 0", "x": ["a", "b"], "y": [1.0, 10.0]},
            {"name": "seed 1", "x": ["a", "b"], "y": [4.0, 1000.0]},
        ],
    }
    made, log = figures.figure("x", stored), figures.figure("x", stored | {"log_y": True})
    assert made is not None
    assert log is not None
    assert made["plots"][0]["data"][-1]["y"] == [2.5, 505.0]
    assert log["plots"][0]["data"][-1]["y"] == [2.0, 100.0]
    assert made["plots"][0]["rows"][-1] == ["mean", 2.5, 505.0]


def test_lines_keep_their_intervals_and_lose_what_an_axis_cannot_show() -> None:
    one = {"name": "plain-20", "x": [8, 20, 56], "y": [1.0, 0.0, None], "low": [0.5, 0.0, 0.0], "high": [3.0, 1.0]}
    made = figures.figure("x", {"kind": "lines", "x": "depth", "y": "norm", "series": [one], "log_y": True})
    assert made is not None
    (trace,) = made["plots"][0]["data"]
    assert trace["y"] == [1.0, None, None]
    assert [trace["error_y"][side] for side in ("array", "arrayminus")] == [[2.0, None, None], [0.5, None, None]]
    assert made["plots"][0]["rows"] == [["depth", "plain-20", "plain-20, low", "plain-20, high"],
                                        [8, 1.0, 0.5, 3.0], [20, None, None, 1.0], [56, None, None, None]]  # fmt: skip
    assert made["caption"].endswith("2 values cannot be drawn (not above 0).")


def test_colors_are_those_of_the_kinds_of_nets() -> None:
    names = ("plain-20", "resnet20", "plain-56", "warm-up")
    found = series([{"name": name, "x": [1], "y": [1.0]} for name in names], log_x=False, log_y=False)
    assert [one.color for one in found] == ["@plain0", "@residual3", "@plain5", "@hue2"]


def test_bars_are_dots_where_the_axis_has_no_zero_and_side_by_side_only_where_they_share_a_place() -> None:
    series_ = [{"name": "a", "x": ["p", "q"], "y": [1.0, None]}, {"name": "b", "x": ["q"], "y": [20.0]}]
    made, log = (figures.figure("x", {"kind": "bars", "series": series_, "log_y": log}) for log in (False, True))
    both = figures.figure("x", {"kind": "bars", "series": [series_[0], series_[1] | {"x": ["p"]}]})
    assert made is not None
    assert log is not None
    assert both is not None
    assert [one["plots"][0]["data"][0]["type"] for one in (made, log)] == ["bar", "scatter"]
    assert [one["plots"][0]["layout"]["barmode"] for one in (made, both)] == ["overlay", "group"]


@pytest.mark.parametrize(("values", "form"), [([0.05, 20.0], "~g"), ([2.0, 3e6], "~s"), ([1e-7, 2.0], "~e")])
def test_ticks_of_a_logarithmic_axis(values: list[float], form: str) -> None:
    one = {"kind": "bars", "series": [{"name": "a", "x": ["p", "q"], "y": values}], "log_y": True}
    made = figures.figure("x", one)
    assert made is not None
    assert made["plots"][0]["layout"]["yaxis"]["tickformat"] == form


def test_a_logarithmic_axis_spans_a_decade_at_least() -> None:
    """Around sqrt(100 * 121) = 110, whose log10 is 2.041; 1 to 10 needs no more room."""
    for kind, values, expected in (("lines", [100.0, 121.0], [1.541, 2.541]), ("lines", [1.0, 10.0], None),
                                   ("pairs", [100.0, 121.0], None)):  # fmt: skip
        made = figures.figure(
            "x", {"kind": kind, "series": [{"name": "a", "x": ["p", "q"], "y": values}], "log_y": True}
        )
        assert made is not None
        assert made["plots"][0]["layout"]["yaxis"].get("range") == expected


def test_twins_of_one_value_lie_on_one_another_and_both_are_seen() -> None:
    twins = [{"name": name, "x": ["p", "q"], "y": [1.0, 20.0]} for name in "ab"]
    made = figures.figure("x", {"kind": "bars", "series": twins, "log_y": True})
    assert made is not None
    assert [one["marker"]["symbol"] for one in made["plots"][0]["data"]] == ["circle", "square-open"]
    assert [one["shape"] for one in made["key"]] == ["circle", "square-open"]
    assert made["caption"].endswith("Marks of one place that lie on one another have the same value.")


def test_intervals_without_a_width_are_not_named() -> None:
    one = {"name": "a", "x": [1, 2], "y": [1.0, 2.0], "low": [1.0, 2.0], "high": [1.0, 2.0]}
    made = figures.figure("x", {"kind": "lines", "series": [one]})
    assert made is not None
    assert made["caption"] == "All seeds give the same curve."


def test_empty_settings_are_left_out() -> None:
    found = numbers.settings({"experiment": "compare", "settings": {"a": {"net": "plain20"}, "b": {}, "c": [8, 16]}})
    assert found == [("experiment", "compare"), ("a.net", "plain20"), ("c", "8, 16")]


def test_a_long_title_is_whole_in_the_caption() -> None:
    long = "training error of the last epoch, with the weights as they ended, %"
    made = figures.figure("x", {"kind": "bars", "y": long, "series": [{"name": "a", "x": ["b"], "y": [1.0]}]})
    assert made is not None
    assert made["caption"] == f"Values: {long}."
    assert len(made["plots"][0]["title"]) == 46


@pytest.mark.parametrize("broken", [
    {"kind": "lines", "series": []}, {"kind": "pies", "series": [{"x": [1], "y": [1.0]}]}, {},
    {"kind": "bars", "series": [{"name": "a", "x": ["a"], "y": [None]}]}, {"kind": "pairs", "series": [{"x": [1]}]},
])  # fmt: skip
def test_a_figure_without_numbers_is_left_out(broken: dict[str, Any]) -> None:
    assert figures.figure("x", broken) is None


@pytest.mark.parametrize("partial", [
    {}, {"claims": []}, {"claims": [{}]}, {"claims": [{"verdict": "holds"}], "papers": []},
    {"claims": [{"name": "a", "paper": "unknown", "judged": None, "figure": None}, {"name": "a"}]},
    {"claims": [{"judged": {"mean": 1.0}, "prediction": {"direction": "above"}}], "seeds": [], "env": {}},
])  # fmt: skip
def test_a_partial_file_is_a_page(tmp_path: Path, partial: dict[str, Any]) -> None:
    page = Page(write(claims.write(tmp_path / "c", partial)))
    assert page.body.count("<article") == len(partial.get("claims", []))
    assert not re.search("None|undefined", page.text)


@pytest.mark.parametrize(("text", "said"), [
    ('{"claims": [{"verdict": "perhaps"}]}', r"\.claims\[0\]\.verdict must be one of holds, .*, got 'perhaps'"),
    ('{"claims": [{"judged": {"mean": NaN}}]}', r"claims\.json is damaged: .*NaN"),
    ('{"claims": {}}', r"\.claims must be a list"),
    ('{"claims"', r"claims\.json is damaged"),
])  # fmt: skip
def test_a_damaged_file_ends_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = claims.write(tmp_path / "c", {}) / "results" / "claims.json"
    path.write_text(text)
    with pytest.raises(ReslabError, match=said):
        write(tmp_path / "c")


def hostile(folder: Path) -> Path:
    """Claims whose every text tries to break out of the page."""

    def bad(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {HOSTILE if name in ("numbers", "settings") else key: bad(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [bad(one) for one in value]
        return (
            HOSTILE
            if isinstance(value, str) and name not in ("verdict", "direction", "kind", "key", "paper")
            else value
        )

    stored = claims.claims(5)
    stored = bad(stored)
    stored["papers"][0]["link"] = "javascript:alert(1)"
    return claims.write(folder, stored)


def test_texts_cannot_break_out(tmp_path: Path) -> None:
    page = Page(write(hostile(tmp_path / "h")))
    assert not re.search("<script>alert|<img|javascript:", page.body)
    assert "&lt;/script&gt;" in page.body
    assert len(set(re.findall(r'<article class="claim [^"]*" id="([^"]*)"', page.body))) == 5


def test_a_study_links_to_the_claims_beside_it(tmp_path: Path, study_folder: Path) -> None:
    assert "reslab claims" in Page(write(study_folder)).text
    assert "The results beside this page" not in Page(write(study_folder)).text
    for name in ("claims", "claims <b>&2"):
        write(claims.write(study_folder.parent / name, claims.claims(1)))
    claims.write(study_folder.parent / "claims-undrawn", claims.claims(1))
    page = write(study_folder)
    links = re.findall(r'<a href="(\.\./claims[^"]*)"><bdi>(.*?)</bdi>', page.read_text())
    assert links == [("../claims/report.html", "claims"),
                     ("../claims%20%3Cb%3E%262/report.html", "claims &lt;b&gt;&amp;2")]  # fmt: skip
    alone = write(study_folder, out=tmp_path / "elsewhere" / "study.html")
    assert "../claims" not in alone.read_text()


def test_a_page_of_forty_claims_is_small_and_holds_the_library_once(whole: Path, tmp_path: Path) -> None:
    """The page itself is below 0.6 MB; sent alone it grows by the packed library, about 2 MB."""
    single = write(whole.parent, out=tmp_path / "single.html")
    assert whole.stat().st_size < 600_000 < single.stat().st_size < 3_000_000
    assert single.read_text().count('id="plotly"') == 1


DRAWN = "document.querySelectorAll('.plot .main-svg:first-child').length"


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_filter_search_links_and_lazy_figures(tab: Callable[..., Any], whole: Path, width: int) -> None:
    one = tab(viewport={"width": width, "height": 900})
    page = one.open(whole)
    shown = "[...document.querySelectorAll('.claim')].filter(c => c.checkVisibility()).length"
    listed = "[...document.querySelectorAll('li.row')].filter(c => c.checkVisibility()).length"
    assert page.evaluate(DRAWN) == 0  # the first figure is far below
    page.locator("#plain-degrades").scroll_into_view_if_needed()
    page.locator("#figure-plain-degrades .main-svg").first.wait_for()
    assert 0 < page.evaluate(DRAWN) < 15
    page.locator("button[data-verdict=contradicted]").focus()
    page.keyboard.press("Enter")
    assert [page.evaluate(shown), page.evaluate(listed)] == [4, 4]
    assert page.locator("#filter-status").inner_text() == "4 of 40 claims"
    page.locator("#filter-paper").select_option("paper-2")
    assert [page.evaluate(shown), page.locator(".paper:visible").count()] == [1, 1]
    page.locator("#filter-reset").click()
    page.locator("#filter-text").fill("Veit  GRADIENT")
    assert page.evaluate(shown) == 2  # claims 5 and 8 of Veit's five are of the third text
    page.locator("#filter-text").fill("no such words")
    assert page.locator("#nothing").is_visible()
    page.evaluate("location.hash = '#plain-degrades'")
    page.locator("#plain-degrades").wait_for(state="visible")
    assert page.evaluate(shown) == 40
    assert page.evaluate("document.getElementById('plain-degrades').getBoundingClientRect().top") < 60
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert one.noise == []


@pytest.mark.browser
def test_the_command_is_copied(tab: Callable[..., Any], whole: Path) -> None:
    one = tab(permissions=["clipboard-read", "clipboard-write"])
    page = one.open(whole)
    button = page.locator("#plain-degrades .copy")
    button.click()
    button.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "reslab claims --only plain-degrades --data digits"
    assert one.noise == []


@pytest.mark.browser
def test_on_paper_every_figure_stands_whole_and_papers_begin_pages(tab: Callable[..., Any], tmp_path: Path) -> None:
    """Two papers: at least the title, the contents, a page for each paper and the glossary; nothing wider than A4."""
    stored = claims.claims() | {"claims": [claims.claim(k) for k in (0, 2, 8)]}
    one = tab(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    page = one.open(write(claims.write(tmp_path / "c", stored)))
    printed = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 5
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    drawn = page.eval_on_selector_all(".plot", "all => all.map(p => p.querySelector('.main-svg').clientWidth)")
    assert len(drawn) == 3
    assert all(200 < width <= 660 for width in drawn)
    styles = page.evaluate("""() => [".paper", ".claim .head", "#glossary", ".filter", ".copy"].map((s) => {
        const c = getComputedStyle(document.querySelector(s)); return [c.breakBefore, c.breakInside, c.display]; })""")
    assert [styles[0][0], styles[1][1], styles[2][0]] == ["page", "avoid", "page"]
    assert [styles[3][2], styles[4][2]] == ["none", "none"]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tall = page.eval_on_selector_all(".claim .head", "all => Math.max(...all.map(e => e.offsetHeight))")
    assert tall < 1017, (
        "the part that is kept together fits a page of A4 (297 mm less the margins, at 96 pixels an inch)"
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert one.noise == []


@pytest.mark.browser
def test_hostile_texts_stay_within_a_phone(tab: Callable[..., Any], tmp_path: Path) -> None:
    one = tab(viewport={"width": 390, "height": 800})
    page = one.open(write(hostile(tmp_path / "h")))
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("figure").first.scroll_into_view_if_needed()
    page.locator("figure .main-svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert one.noise == []


def test_claims_are_reported_from_their_folder_alone(folder: Path) -> None:
    assert write(folder) == folder / "report.html"
    assert json.loads((folder / "results" / "claims.json").read_text())["claims"]
