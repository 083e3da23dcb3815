"""`reslab runs`: every run below a folder as a row; filters, order, comparison; damage is a row, never a traceback."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slims

from reslab.cli import main
from reslab.cli.found import locked, read
from reslab.report import write
from reslab.run import Run

GOLDEN = Path(__file__).parents[1] / "golden" / "folders"


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four runs: of a table (newest), of images finished and stopped, and one of a study."""
    monkeypatch.chdir(tmp_path)
    for k, (name, place) in enumerate([("images-stopped", "stopped"), ("images-finished", "study/resnet8-s0"),
                                       ("images-finished", "finished"), ("tables-finished", "table")]):  # fmt: skip
        shutil.copytree(GOLDEN / name, Path("runs") / place)
        for file in (Path("runs") / place).rglob("*"):
            os.utime(file, (1_700_000_000 + 86_400 * k,) * 2)
    return tmp_path / "runs"


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["runs", *words, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def names(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return [Path(row["folder"]).name for row in rows(capsys, *words)]


def test_newest_first_with_what_a_run_is(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, finished, study, stopped = rows(capsys)
    assert (table["net"], table["data"], table["score"], table["n"]) == (
        "gated", "rooms.csv", "accuracy 0.6 (n = 120)", 120)  # fmt: skip
    assert table["error"] == pytest.approx(40)
    assert (finished["net"], finished["data"], finished["recipe"], finished["state"]) == (
        "resnet8", "digits", "digits", "finished")  # fmt: skip
    assert finished["score"] == "5.56 % (n = 360)"
    assert finished["when"].startswith("2023-11-1")
    assert study["folder"] == "runs/study/resnet8-s0"
    assert (stopped["state"], stopped["iteration"], stopped["iterations"]) == ("stopped", 12, 40)
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "stopped at iteration 12 of 40" in out
    assert "runs/study/resnet8-s0   resnet8   digits      digits" in out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--data", "ROOMS"], ["table"]),
        (["--net", "resnet"], ["finished", "resnet8-s0", "stopped"]),
        (["--recipe", "digits", "--finished"], ["finished", "resnet8-s0"]),
        (["--no-finished"], ["stopped"]),
        (["--sort", "error"], ["table", "finished", "resnet8-s0", "stopped"]),  # two data sets, the newer first
        (["--limit", "1"], ["table"]),
        (["--since", "2023-11-16"], ["table", "finished"]),
        (["--since", "1d"], []),
        (["runs/study"], ["resnet8-s0"]),
        (["runs/table"], ["table"]),
    ],
)
def test_filters_and_order(below: Path, words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, *words) == found


def evaluated(folder: Path, **found: Any) -> None:
    data = Run(folder).read_json("data.json")
    seen = {"part": "test", "n": 360, "views": "single view", "data": {"fingerprint": data["fingerprint"]}, **found}
    Run(folder).write_json("results/eval.json", seen)


def test_the_headline_is_that_of_the_page(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluation of the run's own test images, and no other one, counts before the end of the training."""
    evaluated(below / "finished", error=4.25)
    evaluated(below / "study" / "resnet8-s0", error=1.0, part="validation")
    assert [row["score"] for row in rows(capsys, "--finished", "--data", "digits")] == [
        "4.25 % (n = 360)", "5.56 % (n = 360)"]  # fmt: skip
    text = " ".join(write(below / "finished").read_text().split())
    assert re.search(r'class="big">4.25\W*%', text)


def test_errors_are_sorted_among_runs_that_can_be_compared(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An RMSE of 0.3 is no error of 0.3 %, and ten crops are another measure than one view."""
    shutil.copytree(below / "table", below / "numbers")
    run = Run(below / "numbers")
    run.write_json("results/train.json", {**run.read_json("results/train.json"), "main": "rmse", "test": {"rmse": 0.3}})
    evaluated(below / "finished", error=7.0)
    evaluated(below / "study" / "resnet8-s0", error=5.0)
    shutil.copytree(below / "finished", below / "crops")
    evaluated(below / "crops", error=6.0, views="10-crop")
    found = rows(capsys, "--sort", "error", "--finished")
    groups = [(row["data"], row["measure"]) for row in found]
    assert sorted(groups) == sorted([("rooms.csv", "rmse"), ("rooms.csv", "accuracy"), ("digits", "error, 10-crop"),
                                     *[("digits", "error")] * 2])  # fmt: skip
    assert [row["error"] for row in found if row["measure"] == "error"] == [5, 7]
    together = [key for key, _ in itertools.groupby(groups)]
    assert len(together) == len(set(together)) == 4


def test_the_validation_error_is_shown(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["validation_error"] for row in rows(capsys, "--finished")] == [pytest.approx(34.722222), None, None]
    assert main(["runs", "runs/table"]) == 0
    assert "34.72 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none"], "there is no folder 'none'"),
        (["--since", "yesterday"], "--since must be a date such as 2026-07-01, or 30m, 12h, 3d or 2w, got 'yesterday'"),
        (["--limit", "0"], "--limit must be positive, got 0"),
        (["--sort", "lr"], "lr"),
    ],
)
def test_wrong_words(below: Path, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_settings_that_differ(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The two runs on digits are of one net, the stopped one for 40 iterations; the copies differ in nothing."""
    assert main(["runs", "--net", "resnet8", "--compare", "--json"]) == 0
    differ = json.loads(capsys.readouterr().out)["differ"]
    recipes = [Path(below, name, "recipe.toml").read_text() for name in ("finished", "stopped")]
    lines = [{line.partition(" = ")[0]: line for line in text.splitlines() if " = " in line} for text in recipes]
    assert set(differ) == {key for key in {**lines[0], **lines[1]} if lines[0].get(key) != lines[1].get(key)}
    assert all(len(values) == 3 and values[0] == values[1] != values[2] for values in differ.values())
    assert main(["runs", "--net", "resnet8", "--finished", "--compare"]) == 0
    out = capsys.readouterr().out
    assert "their settings are the same" in out
    assert "next:   reslab report runs/finished runs/study/resnet8-s0" in out
    assert main(["runs", "--data", "rooms", "--compare"]) == 0
    assert "there are no two runs to compare" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["spec.json", "data.json", "results/train.json"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"[]", b'{"family": 3, "name": [], "classes": 1, "net": 5}'])
def test_a_damaged_run_is_a_row_that_says_so(
    below: Path, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (below / "finished" / name).write_bytes(content)
    found = {Path(row["folder"]).name: row for row in rows(capsys)}
    assert len(found) == 4
    assert found["finished"]["state"] == "damaged"
    assert found["finished"]["fault"]
    assert main(["runs", "--compare"]) == 0
    assert "damaged: " in capsys.readouterr().out


def test_no_control_character_reaches_the_terminal(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (below / "finished").rename(below / "\x1b[31mred\nrow")
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"runs/\x1b[31mred\nrow" in out


def test_links_are_not_followed(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (below / "loop").symlink_to(below)
    (below / ".hidden").mkdir()
    shutil.copytree(GOLDEN / "images-finished", below / ".hidden" / "run")
    assert len(rows(capsys)) == 4


def test_a_run_that_trains_now(below: Path) -> None:
    run = Run(below / "stopped")
    assert not locked(run)
    with run.lock():
        assert locked(run)
        assert read(run.folder).status == "running at iteration 12 of 40"
    assert not locked(run)


def test_an_ensemble_is_one_row(below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(below / "table", below / "many" / "s0")
    Run(below / "many").write_json("members.json", {"members": ["s0"]})
    (row,) = rows(capsys, "runs/many")
    assert (row["folder"], row["net"], row["state"]) == ("runs/many", "ensemble", "prepared")


def test_nothing_is_said_plainly(tmp_path: Path, below: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--data", "none"]) == 0
    assert capsys.readouterr().out == "no runs below runs match; it holds 4\n"


def test_torch_is_not_imported(below: Path) -> None:
    code = "import sys; from reslab.cli import main; main(['runs', '--compare']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_table_fits_the_terminal(
    below: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns are left out and named, then names are folded; no character of a folder's name is lost."""
    (below / "finished").rename(below / ("long-" * 20))
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("TERM", "dumb")  # of 80 columns, without colors
    assert main(["runs", "--compare"]) == 0
    out = capsys.readouterr().out
    table = out.partition("\n1: ")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert table[-1] == "not shown in 80 columns: seconds, recipe, validation, data"
    assert "".join(line.split()[0] for line in table if line.split()).count("long-") == 20
    monkeypatch.delenv("FORCE_COLOR")
    assert main(["runs"]) == 0
    assert f"runs/{'long-' * 20}   resnet8   digits      digits" in capsys.readouterr().out


def test_a_folder_of_slim_is_a_row_and_so_are_its_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    slims.write(Path("runs/planned"), slims.plan())
    slims.write(Path("runs/slim"), slims.plan(), slims.slimmed(slims.plan()))
    shutil.copytree(GOLDEN / "images-finished", "runs/slim/trainings/healed-s0")
    found = {row["folder"]: row for row in rows(capsys)}
    assert sorted(found) == ["runs/planned", "runs/slim", "runs/slim/trainings/healed-s0"]
    assert found["runs/slim"]["score"] == "14 blocks removed, 1.81x as fast"
    assert found["runs/slim"]["seconds"] == 9 * 1900
    assert (found["runs/planned"]["state"], found["runs/planned"]["score"]) == ("planned", "14 of 27 blocks to go")
    assert main(["runs", "--compare"]) == 0
    assert "there are no two runs to compare" in capsys.readouterr().out
    Path("runs/slim/results/slim.json").write_text("{")
    assert main(["runs"]) == 0
    assert "slim.json is damaged" in capsys.readouterr().out
