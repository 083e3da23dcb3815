"""From found cells to table, CSV and page; and the whole of it once, in a real worker."""

import csv
import json
from pathlib import Path

import pytest

from reslab.cli import main
from reslab.errors import Sentence, UsageError
from reslab.report import write
from reslab.run import Run
from reslab.study.grid import Found
from reslab.study.grid.combine import Asked
from reslab.study.grid.keys import read_keys
from reslab.study.grid.study import Grid, as_csv, failure, gathered, planned, refuse_another


def made(tmp_path: Path) -> Grid:
    asked = Asked(nets=["resnet8"], keys=read_keys(["lr=0.1,0.01", "widths=4+4+4"]), seeds=(5, 6),
                  changes={"iterations": 2})  # fmt: skip
    return planned(asked, tmp_path / "cells")


def found_by(grid: Grid, errors: list[float]) -> dict[object, Found]:
    return {one: Found(folder=Path("cells") / one.key, seconds=2.0,
                       values={"test_error": error, "train_error": error / 2, "train_error_eval": None, "iterations": 2,
                               "parameters": 10})
            for one, error in zip(grid.cells, errors, strict=False)}  # fmt: skip


def test_mean_and_deviation_over_seeds(tmp_path: Path) -> None:
    """4 and 6: mean 5, deviation √2; of one seed no deviation; what failed is named."""
    grid = made(tmp_path)
    failures = {grid.cells[3]: Sentence("train resnet8 seed 6: out of memory")}
    result = gathered(grid, found_by(grid, [4.0, 6.0, 8.0]), failures, command="c", device="cpu", on="local")  # type: ignore[arg-type]
    first, second = result["table"]
    assert (first["lr"], first["widths"], first["n"], first["test_mean"]) == (0.1, "4+4+4", 2, 5.0)
    assert first["test_std"] == pytest.approx(2**0.5)
    assert first["train_eval_mean"] is None
    assert (second["n"], second["test_mean"], second["test_std"]) == (1, 8.0, None)
    assert result["cpu_seconds"] == 6.0
    error = failure(result)
    assert str(error) == "train resnet8 seed 6: out of memory; the others are done"
    assert failure({"failed": []}) is None
    lines = list(csv.DictReader(as_csv(result["runs"]).splitlines()))
    assert [(line["lr"], line["widths"], line["seed"], line["test_error"]) for line in lines] == [
        ("0.1", "4+4+4", "5", "4.0"), ("0.1", "4+4+4", "6", "6.0"), ("0.01", "4+4+4", "5", "8.0")]  # fmt: skip
    assert lines[0]["train_error_eval"] == ""
    run = Run(tmp_path / "out")
    run.make()
    run.write_json("results/grid.json", result)
    run.read_json("results/grid.json")  # as its type says
    page = write(run.folder).read_text(encoding="utf-8")
    assert "train resnet8 seed 6: out of memory" in page
    assert "test error (%), by lr" in page
    assert page.count('class=" best"') == 1
    assert page.index('class=" best"') < page.index(">0.1<") < page.index(">0.01<"), "5 is lower than 8"


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UsageError, match=r"not the folder of a grid \(it holds letter\.txt\); choose another folder$"):
        refuse_another(Run(tmp_path))
    refuse_another(Run(tmp_path / "new"))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Shown without training, trained, read from the cache by the same command and by another grid."""
    monkeypatch.chdir(tmp_path)
    command = ["study", "grid", "--net", "resnet8", "--vary", "lr=0.1,0.01", "--seeds", "1", "--iterations", "2",
               "--seed", "900", "--jobs", "1"]  # fmt: skip
    assert main([*command, "--dry-run"]) == 0
    assert "0 of 1" in (shown := capsys.readouterr()).out
    assert "2 cells: 0 cached, 2 to do" in shown.out
    assert not Path("runs").exists()
    assert main(command) == 0
    out = capsys.readouterr().out
    folder = Path("runs/grid-digits-resnet8-lr0.1+0.01-iterations2")
    assert f"report: {folder}/report.html" in out
    assert (folder / "report.html").exists()
    before = json.loads((folder / "results/grid.json").read_text())
    assert len(before["runs"]) == 2
    assert before["runs"][0]["seed"] == 900
    assert Path(before["runs"][0]["folder"], "weights.safetensors").exists()
    assert f"next:   reslab look all {Path(before['runs'][0]['folder']).parents[1]}/" in out
    assert out.count(" lowest ") == 2
    assert "seed 900: the first seed of the lowest test error)" in out
    assert "with final weights: on the training images in\nevaluation mode" in out
    assert main([*command, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["table"] == before["table"]
    assert "2 cells: 2 cached, 0 to do" in told.err
    assert main(["study", "grid", "--vary", "lr=0.1", "--net", "resnet8", "--iterations", "2", "--seeds", "1", "--seed",
                 "900", "--dry-run"]) == 0  # fmt: skip
    assert "1 of 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "0"], "seeds must be positive, got 0"),
        (["--jobs", "-1"], "jobs must be positive, or 0 for one per core, got -1"),
        (["--vary", "lr"], "'lr' does not say which values to try; write it as --vary lr=0.1,0.01"),
        (["--vary", "seed=1"], "every combination is trained from the same seeds: set how many with --seeds 3"),
        (["--device", "tpu"], "device 'tpu' is not available on this machine; run `reslab doctor` to see which are"),
    ],
)
def test_refused_before_anything(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["study", "grid", *words]) == 2
    assert capsys.readouterr().err == f"reslab: {sentence}\n"
    assert list(tmp_path.iterdir()) == []
