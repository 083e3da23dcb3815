"""reslab export: what it prints, what it refuses in one sentence, and that Ctrl-C leaves nothing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from exports import Digits, Net, trained

from reslab import ship
from reslab.cli import main
from reslab.ship.export import job
from reslab.ship.folder import read_config, verify

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def net() -> Net:
    return trained(60)


@pytest.fixture
def digits(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """What any word names, in an empty folder."""
    subject = Digits(net=net)
    monkeypatch.setattr(job, "exportable", lambda word, **options: subject)
    monkeypatch.setattr("reslab.ship.export.speed.SECONDS", 0.0)
    monkeypatch.setattr("reslab.ship.export.speed.SHORTEST", 0.0)
    monkeypatch.chdir(tmp_path)
    return subject


def test_it_says_what_it_will_do_and_prints_the_numbers(
    digits: Digits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "runs/digits", "--precision", "fp32", "--license", "MIT", "--threads", "1"]) == 0
    said = capsys.readouterr()
    before = said.err.splitlines()
    assert any(re.search(r"digits: converts it for OpenVINO, compares the file with the model on 597 examples, digits, "
                         r"in batches of 1, 2 and 7, and times it; about \d+ s", line) for line in before)  # fmt: skip
    folder = tmp_path / "exported" / "runs-digits-openvino"
    verify(folder)
    config = read_config(folder)
    assert (config.precision, config.license) == ("fp32", "MIT")
    lines = said.out.splitlines()
    assert lines[0] == "digits: openvino fp32"
    assert any(line.startswith("decisions that agree: 100.00 % of 597") for line in lines)
    assert "note: pixels are 0 to 16" in lines
    assert f"folder: {folder.relative_to(tmp_path)}" in lines
    assert [line for line in lines if line.startswith("next:")] == [
        "next:   reslab predict exported/runs-digits-openvino photo.jpg",
        "next:   reslab serve exported/runs-digits-openvino",
    ]


def test_the_same_as_json(digits: Digits, capsys: pytest.CaptureFixture[str]) -> None:
    digits.random = True
    assert main(["export", "word", "--out", "out dir", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "out dir"
    assert found["config"]["precision"] == "fp32"
    assert found["proof"] == {key: value for key, value in json.loads(Path("out dir/proof.json").read_text()).items()
                              if key in found["proof"]}  # fmt: skip


def test_layers_that_differ_are_a_table_and_the_error_one_sentence(
    digits: Digits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def differ(*rest: Any, **options: Any) -> None:
        layer = ship.export.results.Layer(name="second", kind="Conv2d", difference=3.0, size=8.9)
        raise ship.NotEqual("the exported model is not the original one", batch=7, first=0, layers=[layer])

    monkeypatch.setattr(job.Job, "result", differ)
    assert main(["export", "word", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert re.fullmatch(r"second +Conv2d +3 +8.9", lines[-2])
    assert lines[-1] == "reslab: the exported model is not the original one"
    assert not Path("out").exists()


def test_ctrl_c_leaves_nothing(
    digits: Digits, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*rest: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "graphs", stopped)
    assert main(["export", "word", "--out", "out"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "reslab: stopped"
    assert list(Path().iterdir()) == []


def study(folder: Path) -> None:
    (folder / "r1").mkdir(parents=True)
    (folder / "study.json").write_text("{}")
    (folder / "r1" / "spec.json").write_text("{}")


def unfinished(folder: Path) -> None:
    folder.mkdir()
    (folder / "spec.json").write_text('{"family": "resnet"}')


def slimming(folder: Path) -> None:
    (folder / "results").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "results" / "slim.json").write_text("{}")


def exported(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"reslab_export": 1}')


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (study, "x is the folder of a study; export one of its runs, such as x/r1"),
        (unfinished, "x is a run that is not finished: resume its training, then export it"),
        (slimming, "x is the folder of a slimming; export the model in it, x/model"),
        (exported, "x is an exported folder already; export the model that it was made of, its run"),
    ],
)
def test_a_folder_that_is_no_model_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("x"))
    assert main(["export", "x"]) == 2
    assert capsys.readouterr().err == f"reslab: {said}\n"
    assert [path.name for path in Path().iterdir()] == ["x"]
