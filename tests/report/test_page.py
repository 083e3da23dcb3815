"""The page as a file: whole, small, harmless, and true to what was stored."""

import base64
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, UsageError
from reslab.report import library, write, write_many

MakeRun = Callable[..., Path]


class Page(HTMLParser):
    """Tags with their attributes, the text outside scripts and styles, and the figures' JSON."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text = ""
        self.json = ""
        self.inside: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append("json" if dict(attrs).get("id") == "figures" else tag)

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("td", "th", "dt", "dd") else ""
        while self.inside and self.inside.pop() not in (tag, "json"):
            pass

    def handle_data(self, data: str) -> None:
        if "json" in self.inside:
            self.json += data
        elif not {"script", "style"} & set(self.inside):
            self.text += data.replace("\u00a0", " ")

    @property
    def figures(self) -> dict[str, Any]:
        return json.loads(self.json)


@pytest.fixture
def run_page(make_run: MakeRun) -> Page:
    return Page(write(make_run()))


def test_page_lies_in_the_folder_beside_its_script_and_nothing_else_is_left(study_folder: Path) -> None:
    assert write(study_folder) == study_folder / "report.html"
    assert sorted(p.name for p in study_folder.iterdir()) == ["report.html", library.name(), "study.json"]


def test_page_goes_where_out_says(study_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    assert write(study_folder, out=out) == out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_failed_page_leaves_the_old_one(study_folder: Path) -> None:
    page = write(study_folder)
    before = page.read_bytes()
    (study_folder / "study.json").write_text("{")
    with pytest.raises(ReslabError):
        write(study_folder)
    assert page.read_bytes() == before


def test_a_page_that_cannot_be_written_is_a_sentence(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.html").mkdir()
    for out, said in (
        (tmp_path / "folder.html", "it is a folder"),
        (tmp_path / "file" / "page.html", "a file is in the place"),
    ):
        with pytest.raises(ReslabError, match=f"cannot write .*: {said}"):
            write(study_folder, out=out)
    assert sorted(p.name for p in study_folder.iterdir()) == ["study.json"]


def test_the_pages_of_a_study_share_one_script_and_are_small(study_folder: Path, make_run: MakeRun) -> None:
    """4.9 MB each before: the study, two of its runs, and a run elsewhere, which has a script of its own."""
    inside = [make_run(f"{study_folder.name}/plain20-s{seed}") for seed in (0, 1)]
    elsewhere = make_run("elsewhere")
    for folder in (study_folder, *inside, elsewhere):
        page = write(folder)
        script = next(a["src"] for tag, a in Page(page).tags if tag == "script" and "src" in a)
        home = elsewhere if folder == elsewhere else study_folder
        assert (page.parent / script).resolve() == home / library.name()
        assert page.stat().st_size < 500_000
        assert "* plotly.js v" not in page.read_text(encoding="utf-8")
    there = [path.parent for path in study_folder.parent.rglob("*.js")]
    assert sorted(there) == [study_folder, elsewhere]
    assert (study_folder / library.name()).read_text(encoding="utf-8").count("* plotly.js v") == 1


def test_a_page_to_send_holds_its_script_and_stays_under_2_2_mb(study_folder: Path, tmp_path: Path) -> None:
    asked, out = write(study_folder, single_file=True), write(study_folder, out=tmp_path / "page.html")
    assert list(tmp_path.rglob("*.js")) == []
    for page in (asked, out):
        packed = re.search(r'<script type="text/plain" id="plotly">([^<]*)</script>', page.read_text(encoding="utf-8"))
        assert packed is not None
        assert gzip.decompress(base64.b64decode(packed[1])).count(b"* plotly.js v") == 1
        assert page.stat().st_size < 2_200_000
    beside = write(study_folder, out=tmp_path / "page.html", single_file=False)
    assert beside.stat().st_size < 500_000
    assert (tmp_path / library.name()).is_file()


@pytest.mark.parametrize("there", ["damaged", "a link"])
def test_another_script_of_the_name_is_replaced(there: str, study_folder: Path, tmp_path: Path) -> None:
    """A folder from a stranger may bring one, or a link to a file that is not to be written to."""
    script, other = study_folder / library.name(), tmp_path / "other.txt"
    other.write_text("alert(1)")
    script.symlink_to(other) if there == "a link" else script.write_text("alert(1)")
    write(study_folder)
    assert script.read_bytes() == library.source()
    assert (script.is_symlink(), other.read_text()) == (False, "alert(1)")


def test_nothing_is_loaded_from_elsewhere(study_folder: Path, make_run: MakeRun) -> None:
    for page in (Page(write(study_folder)), Page(write(make_run())), Page(write(study_folder, single_file=True))):
        loads = [a[k] for tag, a in page.tags if tag != "a" for k in ("src", "href", "data", "action") if k in a]
        assert loads in (["data:,"], ["data:,", library.name()])
        policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert "default-src 'none'" in policy
        assert "http" not in policy


def test_study_page_says_what_study_json_says(study_folder: Path, study: dict[str, Any]) -> None:
    page = Page(write(study_folder))
    for verdict in study["verdicts"]:
        assert verdict["question"] in page.text
        assert verdict["sentence"] in page.text
    assert "Welch t = 14.3, p < 0.001, n = 3" in page.text
    assert "14.32" not in page.text
    assert study["table"][3]["net"] == "plain56"
    assert f"{study['table'][3]['test_mean']:.2f} ± 0.35" in page.text
    assert study["caveats"][0] in page.text
    assert study["command"] in page.text


def test_a_statistic_is_said_once(study_folder: Path, study: dict[str, Any]) -> None:
    said = "Welch t = 4.33, p = 0.14, n = 2 seeds each"
    study["verdicts"][0] |= {"sentence": f"It is worse ({said}).", "statistic": {"value": 4.333, "words": said}}
    (study_folder / "study.json").write_text(json.dumps(study))
    assert Page(write(study_folder)).text.count("4.33, p") == 1


def test_drops_are_drawn_whether_logged_or_summed_up(make_run: MakeRun) -> None:
    folder = make_run()
    metrics = folder / "metrics.jsonl"
    metrics.write_text("".join(x for x in metrics.read_text().splitlines(True) if '"event": "lr"' not in x))
    figure = Page(write(folder)).figures["errors"][0]
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [240, 360]


def test_study_figure_has_a_panel_a_kind_and_one_y_axis(study_folder: Path, study: dict[str, Any]) -> None:
    plain, residual = Page(write(study_folder)).figures["curves"]
    assert [plain["title"], residual["title"]] == ["plain nets, error (%)", "residual nets, error (%)"]
    assert plain["layout"]["yaxis"]["range"] == residual["layout"]["yaxis"]["range"]
    assert {shape["x0"] for shape in plain["layout"]["shapes"]} == {240, 360}
    lines = {t["name"]: t for t in plain["data"]}
    last = [c["test"][-1][1] for c in study["curves"] if c["net"] == "plain56"]
    assert lines["plain56, test"]["y"][-1] == pytest.approx(sum(last) / 3)
    assert lines["plain56, test, lowest seed"]["y"][-1] == min(last)
    assert lines["plain56, test"]["line"]["width"] > 2 * lines["plain56, train"]["line"]["width"]
    assert lines["plain56, test"]["line"]["color"] == "@plain5"
    assert lines["plain20, test"]["line"]["color"] == "@plain0"


def test_every_figure_has_words_for_those_who_do_not_see_it(study_folder: Path, make_run: MakeRun) -> None:
    for page in (Page(write(study_folder)), Page(write(make_run()))):
        images = [a for _, a in page.tags if a.get("role") == "img"]
        assert len(images) == len(page.figures) >= 2
        assert all(re.search(r"\d.*\.$", a["aria-label"], re.DOTALL) for a in images)
        assert sum(tag == "details" and a.get("class") == "numbers" for tag, a in page.tags) == len(images)


def test_run_page_says_what_the_run_stored(run_page: Page) -> None:
    assert list(run_page.figures) == ["errors", "losses", "classes", "confusion", "choice"]
    for fact in ("7.30 %", "853,018", "125 M", "6 min 31 s", "9f2c61d0a7b4", "7/broken.png", "reslab eval"):
        assert fact in run_page.text
    assert "95 % interval 5.1 % to 10.6 %" in run_page.text
    assert run_page.figures["choice"][0]["data"][0]["x"] == [25.1, 22.7, 17.9]


@pytest.mark.parametrize(
    "other", [{"part": "train"}, {"part": "validation"}, {"data": {"name": "photos", "fingerprint": "another"}}]
)
def test_only_the_runs_own_test_images_make_the_headline(other: dict[str, Any], make_run: MakeRun) -> None:
    folder = make_run()
    seen = json.loads((folder / "results" / "eval.json").read_text()) | {"error": 55.5} | other
    (folder / "results" / "eval.json").write_text(json.dumps(seen))  # as it was once stored
    text = Page(write(folder)).text
    assert "7.30 % last epoch in bf16, 360 images" in " ".join(text.split())
    assert f"{other.get('data', {'name': 'digits'})['name']}, {other.get('part', 'test')}" in text
    assert text.count("55.50 %") == 1
    (folder / "results" / "eval-other.json").write_text(json.dumps(seen))
    own = {**seen, "error": 6.25, "part": "test", "data": {"fingerprint": "9f2c61d0a7b4"}, "precise_bn": True}
    (folder / "results" / "eval.json").write_text(json.dumps(own))
    text = " ".join(Page(write(folder)).text.split())
    assert "6.25 % evaluated in fp32, single view, precise BN, 360 images" in text
    assert "55.50 %" in text


def test_a_cut_last_line_of_metrics_is_left_out(make_run: MakeRun) -> None:
    folder = make_run()
    metrics = folder / "metrics.jsonl"
    whole = Page(write(folder)).figures["errors"]
    metrics.write_text(metrics.read_text() + '{"event":"train","iteration":484,"er')
    assert Page(write(folder)).figures["errors"] == whole
    metrics.write_text('{"event":"tra\n' + metrics.read_text())
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: line 1 is damaged and skipped"):
        assert Page(write(folder)).figures["errors"] == whole


@pytest.mark.filterwarnings("ignore:.*the curves are incomplete")  # a short log, made by hand
def test_a_resume_takes_back_what_came_after_its_checkpoint(make_run: MakeRun) -> None:
    folder = make_run()
    events = [{"event": "eval", "part": "test", "iteration": i, "error": e} for i, e in ((10, 50), (20, 40), (30, 30))]
    events[2:2] = [{"event": "resume", "iteration": 10}, events[1]]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, events)))
    page = Page(write(folder))
    assert page.figures["errors"][0]["data"][0]["x"] == [10, 20, 30]
    assert "Resumed at iteration 10." in page.text


def test_user_text_cannot_break_out(make_run: MakeRun, study_folder: Path, study: dict[str, Any]) -> None:
    attack = "</script><script>alert(1)</script>"
    page = Page(write(make_run(classes=[attack, "b"])))
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    assert page.figures["confusion"][0]["data"][0]["names"] == [attack, "b"]
    assert attack in page.text  # the list of mistakes
    study["title"] = study["curves"][0]["net"] = study["verdicts"][0]["sentence"] = '<img src="x">'
    study["curves"][0]["kind"] = '"><svg onload=alert(1)>'
    (study_folder / "study.json").write_text(json.dumps(study))
    page = Page(write(study_folder))
    assert not {"img", "svg"} & {tag for tag, _ in page.tags}


def test_a_thousand_classes_keep_the_page_small(make_run: MakeRun) -> None:
    path = write(make_run(classes=[f"class {i}" for i in range(1000)]))
    page = Page(path)
    assert path.stat().st_size < 500_000
    assert "classes" not in page.figures
    assert "The 20 hardest classes" in page.text
    matrix = page.figures["confusion"][0]
    assert len(matrix["data"][0]["counts"]) == 200
    assert "texttemplate" not in matrix["data"][0]
    assert sum(map(sum, matrix["data"][0]["counts"])) == 36_000
    assert len(matrix["rows"]) == 1001


@pytest.mark.parametrize(
    "missing", ["study", "title", "data", "recipe", "env", "drops", "runs", "curves", "table", "verdicts"]
)
def test_a_study_without_a_key_lacks_only_that_section(missing: str, study_folder: Path, study: dict[str, Any]) -> None:
    del study[missing]
    (study_folder / "study.json").write_text(json.dumps(study))
    page = Page(write(study_folder))
    assert ("curves" in page.figures) == (missing != "curves")
    assert ("depth" in page.figures) == (missing != "table")
    assert study["command"] in page.text


def test_a_study_of_another_shape_still_gets_a_page(tmp_path: Path) -> None:
    other = {"study": "lesion", "table": [{"block": "layer3.4", "error_mean": 8.25, "error_std": None, "kept": True}],
             "command": "reslab study lesion", "later": {"of": ["another version"]}}  # fmt: skip
    (tmp_path / "study.json").write_text(json.dumps(other))
    page = Page(write(tmp_path))
    assert page.figures == {}
    assert {"layer3.4", "8.25", "yes"} <= set(page.text.split())


def test_one_way_that_was_timed_alone_is_no_choice(make_run: MakeRun) -> None:
    folder = make_run()
    result = json.loads((folder / "results" / "train.json").read_text())
    result["choice"] = {"precision": "fp32", "memory_format": "NCHW", "milliseconds": {"fp32 NCHW": 25.1}}
    (folder / "results" / "train.json").write_text(json.dumps(result))
    page = Page(write(folder))
    assert "choice" not in page.figures
    assert "Speed" not in page.text
    result["choice"]["milliseconds"]["fp32 NCHW compiled"] = 30.2
    (folder / "results" / "train.json").write_text(json.dumps(result))
    text = Page(write(folder)).text
    assert "The net with and without compiling timed before training; chosen: fp32, NCHW." in text


def test_a_run_that_goes_on_is_shown_so_far(make_run: MakeRun) -> None:
    folder = make_run()
    for name in ("results/train.json", "results/eval.json", "recipe.toml", "env.json", "data.json"):
        (folder / name).unlink()
    page = Page(write(folder))
    assert list(page.figures) == ["errors", "losses", "choice"]
    assert "This run has not finished." in page.text
    (folder / "metrics.jsonl").unlink()
    assert "no result yet" in Page(write(folder)).text


def test_skipped_images_are_named_whether_logged_or_summed_up(make_run: MakeRun) -> None:
    folder = make_run()
    train = json.loads((folder / "results" / "train.json").read_text())
    names = [f"{i}.png" for i in range(60)]
    (folder / "results" / "train.json").write_text(json.dumps(train | {"skipped": names}))
    page = Page(write(folder))
    assert {"0.png", "49.png"} <= set(page.text.split())
    assert "And 11 more" in page.text  # these and 7/broken.png of the log


@pytest.mark.filterwarnings("ignore:.*the curves are incomplete")  # a short log, made by hand
def test_numbers_json_cannot_hold_become_gaps(make_run: MakeRun) -> None:
    folder = make_run()
    lines = [
        f'{{"event":"train","iteration":{i},"error":{e},"lr":0.1}}' for i, e in ((1, 90), (2, "null"), (3, "null"))
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    assert Page(write(folder)).figures["errors"][0]["data"][0]["y"] == [90, None, None]


def test_several_runs_share_one_frame(make_run: MakeRun, tmp_path: Path) -> None:
    folders = [make_run("a", end=7.3), make_run("b", end=11.25)]
    page = Page(write_many(folders, out=tmp_path / "both.html"))
    assert {t["meta"] for t in page.figures["overlay"][0]["data"]} == {
        "a, training",
        "a, test",
        "b, training",
        "b, test",
    }
    assert {"11.25 %", "7.30 %"} <= set(re.findall(r"\d+\.\d\d %", page.text))
    assert "cannot be compared" not in page.text
    data = folders[0] / "data.json"
    data.write_text(data.read_text().replace("9f2c61d0a7b4", "another"))
    assert "cannot be compared" in Page(write_many(folders, out=tmp_path / "both.html")).text


def test_wrong_folders_are_refused_in_one_sentence(tmp_path: Path, study_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"has nothing to report: a run folder holds spec\.json"):
        write(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is a study folder; a run folder was asked for"):
        write_many([study_folder], out=tmp_path / "page.html")
    with pytest.raises(UsageError, match="name at least one"):
        write_many([], out=tmp_path / "page.html")


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe{}"])
def test_damaged_json_is_named(content: bytes, make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "results" / "train.json").write_bytes(content)
    with pytest.raises(ReslabError, match=r"train\.json is damaged"):
        write(folder)


def test_importing_the_room_loads_neither_torch_nor_plotly() -> None:
    code = "import sys, reslab.report; print(sorted({'torch', 'plotly', 'jinja2', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
