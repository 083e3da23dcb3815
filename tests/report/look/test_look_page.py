"""The page of a look as a file: whole, light, harmless, and true to what was stored."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, UsageError
from reslab.report import library, look, write, write_look
from reslab.report.look.folder import VERBS, has_results

Facts = dict[str, Any]
MakeLook = Callable[..., Path]
SECTIONS = ["lesions", "many", "paths", "influence", "readout", "responses", "gradients"]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, Facts]] = []
        self.text, self.inside = "", [""]
        self.feed(self.html)
        self.text = " ".join(self.text.replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while len(self.inside) > 1 and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += "" if self.inside[-1] in ("script", "style") else f" {data}"

    def ids(self, tag: str) -> list[str]:
        return [found["id"] for name, found in self.tags if name == tag and "id" in found]

    @property
    def figures(self) -> Facts:
        return json.loads(re.search(r'id="figures">(.*?)</script>', self.html, re.DOTALL)[1])  # type: ignore[index]


def test_the_page_lies_in_the_folder_with_a_section_a_measure(make_look: MakeLook) -> None:
    folder = make_look()
    assert look.write(folder) == folder / "look.html"
    page = Page(folder / "look.html")
    assert page.ids("section") == ["network", *SECTIONS]
    assert sum(found.get("class") == "block" for tag, found in page.tags if tag == "tr") == 27
    for fact in ("16.8 %", "27", "1.3 × 10⁸ paths", "25 of 27 can be removed", "853,018 parameters", "reslab look all"):
        assert fact in page.text
    assert [a["src"] for tag, a in page.tags if tag == "script" and "src" in a] == [library.name()]


def test_every_figure_has_words_for_those_who_do_not_see_it(make_look: MakeLook) -> None:
    page = Page(look.write(make_look()))
    images = [found["aria-label"] for _, found in page.tags if found.get("role") == "img"]
    assert len(images) == len(page.figures) == 10
    assert all(re.search(r"\d.*\.$", text, re.DOTALL) for text in images)


@pytest.mark.parametrize("missing", VERBS)
def test_what_was_not_measured_lacks_only_its_section(
    missing: str, make_look: MakeLook, net: Callable[..., Facts]
) -> None:
    results = net((3, 3))
    del results[missing]
    gone = {"lesions": {"lesions", "many"}, "merges": set()}.get(missing, {missing})
    page = Page(look.write(make_look("part", results)))
    assert page.ids("section") == ["network", *(name for name in SECTIONS if name not in gone)]


def test_the_headline_names_what_is_missed_most_and_least(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    results = net((5,))
    for each, error in zip(results["lesions"]["single"], (0.2, 0.51, 0.168, 0.3, 0.19), strict=True):
        each["values"]["error"] = error
    text = Page(look.write(make_look("five", results))).text
    assert "Removing it hurts most block 1 1 51.0 % +34.2 points (30.3 to 38.0) block 3 3 30.0 % +13.2 points" in text
    assert "Removing it is not shown to hurt block 2 2 16.8 % +0.0 points (−3.3 to 3.3) block 4" in text
    assert "3 of 5 blocks: the 95 % interval of each difference (n = 1,000) contains zero" in text


def test_numbers_that_are_none_are_gaps(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    def broken(value: Any, at: list[int]) -> Any:
        if isinstance(value, dict):
            return {key: broken(item, at) for key, item in value.items()}
        if isinstance(value, list):
            return [broken(item, at) for item in value]
        if isinstance(value, float):
            at[0] += 1
            return (None, None, None, value)[at[0] % 4]
        return value

    page = Page(look.write(make_look("holes", broken(net((3, 3)), [0]))))
    assert "NaN" not in re.search(r'id="blocks">(.*?)</script>', page.html, re.DOTALL)[1]  # type: ignore[index]
    assert page.ids("section")[0] == "network"
    nothing = json.loads(re.sub(r"-?\d+\.\d+(e-?\d+)?", "null", json.dumps(net((3, 3)))))
    assert "network" in Page(look.write(make_look("nothing", nothing))).ids("section")


@pytest.mark.parametrize("kind", [[], {}, "words", 3, None])
def test_results_of_another_shape_are_said_in_a_sentence(
    kind: Any, make_look: MakeLook, net: Callable[..., Facts]
) -> None:
    shapes = {verb: dict.fromkeys(found, kind) for verb, found in net((2,)).items()}
    with pytest.raises(ReslabError, match=r"look-merges\.json is damaged: \.\w+ must be .*, got "):
        look.write(make_look("odd", shapes))


def test_user_text_cannot_break_out(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    attack = "</script><script>alert(1)</script>\u202e" + "x" * 280
    results = net((2, 2), module=attack + ".{stage}.{block}")
    results["merges"]["merges"][0]["why"], results["lesions"]["notes"] = attack, [attack]
    results["lesions"]["metrics"] = [attack]
    results["lesions"]["whole"] = {attack: 1.0}
    for each in results["lesions"]["single"]:
        each["values"] = {attack: 2.0}
    page = Page(look.write(make_look(attack, results, model={"class": attack})))
    assert sum(tag == "script" for tag, _ in page.tags) == 5  # two of data, plotly, the figures', the network's
    assert "alert(1)" in page.text


def test_six_hundred_blocks_stay_light(make_look: MakeLook, net: Callable[..., Facts]) -> None:
    folder = make_look("resnet1202", net((200, 200, 200)))
    page = Page(look.write(folder))
    assert (folder / "look.html").stat().st_size < 2_200_000
    assert "4.1 × 10¹⁸⁰ paths" in page.text
    assert len(page.ids("tr")) == 600


def test_a_model_without_merges_gets_a_page_too(make_look: MakeLook, plain: Callable[..., Facts]) -> None:
    page = Page(look.write(make_look("vgg16", plain(12))))
    assert page.ids("section") == ["network", "lesions", "responses", "gradients"]
    assert "No residual blocks" in page.text
    assert "The intact model’s error is 16.8 %; with one layer disabled, the median is 80.0 %" in page.text
    assert len(page.ids("tr")) == 12


def test_several_models_share_their_figures(
    make_look: MakeLook, net: Callable[..., Facts], plain: Callable[..., Facts], tmp_path: Path
) -> None:
    folders = [make_look("resnet20", net((3, 3, 3))), make_look("resnet56"), make_look("plain20", plain(19))]
    page = Page(look.write(folders, out=tmp_path / "many.html"))
    assert page.ids("section") == SECTIONS
    order, ranked = page.figures["responses"]
    assert [trace["name"] for trace in order["data"]] == ["resnet20", "resnet56", "plain20"]
    assert [trace["line"]["dash"] for trace in order["data"]] == ["solid", "solid", "dash"]
    assert [trace["line"]["color"] for trace in order["data"]] == ["@residual0", "@residual5", "@plain3"]
    assert all(trace["y"] == sorted(trace["y"], reverse=True) for trace in ranked["data"])
    assert (
        "Every residual net has smaller responses than every plain net, as in the paper (by this median)." in page.text
    )
    twins = [make_look("same"), make_look("same")]
    text = Page(look.write(twins, out=tmp_path / "twins.html")).text
    assert all(folder.name in text for folder in twins)


def test_a_folder_of_a_foreign_model_is_drawn_by_report_too(make_look: MakeLook) -> None:
    folder = make_look()
    assert write(folder) == folder / "look.html"
    with pytest.raises(UsageError, match="holds no results of `reslab look`"):
        look.write(folder / "results")
    with pytest.raises(UsageError, match="name at least one"):
        look.write([])
    (folder / "results" / "look-paths.json").write_text("{")
    with pytest.raises(ReslabError, match=r"look-paths\.json is damaged"):
        look.write(folder)


def test_a_run_keeps_its_page_and_links_to_what_was_seen(
    make_run: Callable[..., Path], net: Callable[..., Facts], tmp_path: Path
) -> None:
    run = make_run()
    assert "look.html" not in write(run).read_text(encoding="utf-8")
    for verb, found in net((3, 3)).items():
        (run / "results" / f"look-{verb}.json").write_text(json.dumps(found))
    assert look.write(run) == run / "look.html"
    assert 'href="look.html"' in write(run).read_text(encoding="utf-8")
    assert 'href="look.html"' not in write(run, out=tmp_path / "page.html").read_text(encoding="utf-8")
    assert write_look(run) == run / "look.html"
    assert 'id="plotly"' in (run / "look.html").read_text(encoding="utf-8")


def test_a_study_shows_the_deepest_plain_net_that_learned(
    study_folder: Path, study: Facts, net: Callable[..., Facts], plain: Callable[..., Facts]
) -> None:
    seen = {"resnet56-s0": net((9, 9, 9)), "plain20-s0": plain(19), "plain44-s0": plain(43), "plain56-s0": plain(55)}
    for name, results in seen.items():
        (study_folder / name / "results").mkdir(parents=True)
        for verb, found in results.items():
            (study_folder / name / "results" / f"look-{verb}.json").write_text(json.dumps(found))
    errors = {"plain44": 61.25, "plain56": 84.3}
    for run in study["runs"]:
        run["train_error"] = errors.get(run["net"], run["train_error"])
    (study_folder / "study.json").write_text(json.dumps(study))
    text = Page(write(study_folder)).text
    assert "A look inside resnet56 and plain20, seed 0" in text
    assert (
        "plain56 did not learn (training error 84.30 %), plain44 did not learn (training error 61.25 %), "
        "so plain20 is shown beside resnet56."
    ) in " ".join(text.split())
    study["data"]["classes"] = ["cat", "dog"]  # guessing errs on 50 %, so a net at 40 % has hardly learned
    for run in study["runs"]:
        run["train_error"] = {"plain44": 40.0, "plain56": 50.0}.get(run["net"], 1.0)
    (study_folder / "study.json").write_text(json.dumps(study))
    assert "A look inside resnet56 and plain20, seed 0" in Page(write(study_folder)).text
    for run in study["runs"]:
        run["train_error"] = 86.0 if run["kind"] == "plain" else 0.0
    (study_folder / "study.json").write_text(json.dumps(study))
    assert "A look inside resnet56 and plain56, seed 0" in Page(write(study_folder)).text


def test_a_study_shows_its_deepest_twins_from_inside(
    study_folder: Path, net: Callable[..., Facts], plain: Callable[..., Facts]
) -> None:
    before = Page(write(study_folder))
    assert "A look inside" not in before.text
    seen = {"resnet20-s0": net((3, 3, 3)), "resnet56-s0": net((9, 9, 9)), "plain56-s0": plain(55)}
    for name, results in seen.items():
        (study_folder / name / "results").mkdir(parents=True)
        for verb, found in results.items():
            (study_folder / name / "results" / f"look-{verb}.json").write_text(json.dumps(found))
    look.write(study_folder / "resnet56-s0")
    page = Page(write(study_folder))
    assert "A look inside resnet56 and plain56, seed 0" in page.text
    assert page.ids("section") == ["lesions", "paths", "responses"]
    assert list(page.figures)[2:] == ["lesions", "paths-published-resnet56", "paths-exact-resnet56", "responses"]
    assert [plot["title"].partition(":")[0] for plot in page.figures["lesions"]] == ["resnet56", "plain56"]
    assert [found["href"] for tag, found in page.tags if tag == "a" and "look.html" in found["href"]] == [
        "resnet56-s0/look.html"
    ]


def test_a_run_of_a_study_with_an_impossible_name_is_not_looked_at(tmp_path: Path) -> None:
    """A name of 600 bytes cannot be on a disk: found by damaging study.json."""
    assert not has_results(tmp_path / ("é" * 300))
