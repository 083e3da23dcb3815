"""Run folders that were made before train/life.py: they still evaluate, resume and report.

tests/golden/folders holds three of commit 003814c, each made by the command at the head of its recipe.toml.
"""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reslab.cli import main
from reslab.images.data import load
from reslab.images.train import prepare, train
from reslab.nets import spec
from reslab.run import Run
from reslab.tables.parts import fingerprint
from reslab.tables.reading import read_reading
from reslab.tables.train import load as load_table
from reslab.tables.train import parts_of
from reslab.train.folder import finished, read_recipe
from reslab.train.recipe import read

FOLDERS = Path(__file__).parents[1] / "golden" / "folders"
ROOT = Path(__file__).parents[2]
Copied = Callable[[str], Run]


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    """A copy of one of the folders, to work in."""

    def copy(name: str) -> Run:
        shutil.copytree(FOLDERS / name, tmp_path / name)
        return Run(tmp_path / name)

    return copy


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command prints with --json."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_finished_images_evaluate_as_they_did(copied: Copied, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied("images-finished")
    stored = run.read_json("results/train.json")
    found = printed(capsys, "eval", str(run.folder), "--device", "cpu")
    assert (stored["choice"]["precision"], stored["test_n"], found["n"]) == ("fp32", 360, 360)
    assert found["error"] == stored["test_error"] == pytest.approx(20 / 360 * 100, abs=1e-12)  # 5.56 %
    assert main(["report", str(run.folder)]) == 0
    assert re.search(r"5\.56\s%", run.path("report.html").read_text(encoding="utf-8"))


def test_finished_images_are_not_trained_again(copied: Copied) -> None:
    run = copied("images-finished")
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    assert train(run.folder, device="cpu") == json.loads(before[run.path("results/train.json")])
    again = prepare(run.folder, net=spec("resnet8"), data=load("digits"), word="digits",
                    recipe=read(run.path("recipe.toml")))  # fmt: skip
    assert again.folder == run.folder  # it is the same run: nothing differs
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_stopped_images_end_as_a_run_of_today_does(copied: Copied, tmp_path: Path) -> None:
    """Resumed from iteration 20 of 40; bit-equal on one machine, and 1e-5 leaves room for another's arithmetic."""
    run = copied("images-stopped")
    assert not finished(run.folder)
    straight = prepare(tmp_path / "straight", net=spec("resnet8"), data=load("digits"), word="digits",
                       recipe=read(run.path("recipe.toml")))  # fmt: skip
    threads = torch.get_num_threads()
    try:
        results = [train(one.folder, device="cpu") for one in (run, straight)]
    finally:
        torch.set_num_threads(threads)
    resumed, whole = (load_file(one.path("weights.safetensors")) for one in (run, straight))
    assert resumed.keys() == whole.keys()
    for name, weight in resumed.items():
        torch.testing.assert_close(weight, whole[name], rtol=1e-5, atol=1e-5)
    assert [result["iterations"] for result in results] == [40, 40]
    assert results[0]["command"].startswith("reslab train --net resnet8")  # the folder's first
    assert [event["iteration"] for event in run.metrics() if event["event"] == "resume"] == [20]
    assert main(["report", str(run.folder)]) == 0


def test_a_finished_table_evaluates_and_predicts(
    copied: Copied, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On the 120 rows that it was tested on: 72 right, and the predictions stored then."""
    run = copied("tables-finished")
    with run.path("predictions.csv").open(newline="") as file:
        stored = list(csv.DictReader(file))
    lines = (ROOT / "docs" / "examples" / "rooms.csv").read_text(encoding="utf-8").splitlines()
    rows = tmp_path / "rows.csv"
    rows.write_text("\n".join([lines[0], *(lines[1 + int(one["row"])] for one in stored)]) + "\n", encoding="utf-8")
    found = printed(capsys, "tables", "eval", str(run.folder), str(rows), "--device", "cpu")["test"]
    assert (found["n"], found["accuracy"]) == (120, 0.6)
    assert found["accuracy"] == run.read_json("results/train.json")["test"]["accuracy"]
    out = tmp_path / "predicted.csv"
    assert main(["tables", "predict", str(run.folder), str(rows), "--out", str(out), "--device", "cpu"]) == 0
    with out.open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert [one["predicted"] for one in predicted] == [one["predicted"] for one in stored]
    for now, then in zip(predicted, stored, strict=True):
        assert float(now["p(quickly)"]) == pytest.approx(float(then["p(quickly)"]), abs=1e-5)
    assert main(["report", str(run.folder)]) == 0


def test_a_finished_table_is_the_same_run_today(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table is cut as it was then: the fingerprint is of every row that it trained on."""
    run = copied("tables-finished")
    monkeypatch.chdir(ROOT)  # data.json names the table from there
    about = run.read_json("data.json")
    word, reading = read_reading(run)
    data = load_table(word, reading, read_recipe(run))
    assert fingerprint(parts_of(data, reading)) == about["fingerprint"]
    assert {part: len(frame) for part, frame in data.frames.items()} == {
        part: about[part] for part in ("train", "validation", "test")
    }
