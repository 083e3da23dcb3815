"""Names of run folders: each setting has its own; the same command finds its run, also one of an older name."""

import re
from pathlib import Path
from typing import Any

import pytest

from reslab.cli import main
from reslab.errors import OtherSettings, ReslabError, ReslabWarning, UsageError
from reslab.run import Run
from reslab.train.naming import changed, of_several, prepared, words
from reslab.train.recipe import read, write

QUICK = ["--precision", "fp32", "--memory-format", "NCHW", "--compile", "off", "--threads", "1", "--device", "cpu"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, ""),
        ({"epochs": 3.0}, "-epochs3"),
        ({"epochs": 0.5, "lr": 0.0005}, "-epochs0.5-lr0.0005"),
        ({"lr": 1e-5}, "-lr1e-5"),
        ({"flip": True, "decay_all": False}, "-flip-no-decay-all"),
        ({"schedule": "cosine", "shortcut": "B"}, "-schedule-cosine-shortcut-B"),
        ({"drops": (0.5, 0.75)}, "-drops0.5+0.75"),
        ({"batch": 1024, "weight_decay": 0.0}, "-batch1024-weight-decay0"),
        ({"init": "normal:0.01"}, "-init-normal-0.01"),
    ],
)
def test_changes_in_words(changes: dict[str, Any], name: str) -> None:
    assert words(changes) == name


def test_a_long_name_ends_in_a_digest() -> None:
    many = {"epochs": 3, "schedule": "cosine", "weight_decay": 0.0005, "label_smoothing": 0.1, "momentum": 0.95}
    found = {words({**many, "lr": rate}) for rate in (0.1, 0.2)}
    assert len(found) == 2
    assert all(re.fullmatch(r"-epochs3-schedule-cosine-weight-decay0\.0005-label-[0-9a-f]{6}", one) for one in found)


def test_only_what_differs_from_the_recipe_is_a_change() -> None:
    """The recipe digits: 40 epochs."""
    assert read("digits").epochs == 40
    assert changed({"epochs": 40.0, "seed": 3, "threads": 1, "lr": 0.3}, "digits") == {"lr": 0.3}


def test_one_run_a_setting(pngs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(write(read("digits", epochs=0, iterations=1, batch=8)))
    command = ["train", "--net", "resnet8", "--data", str(pngs), "--recipe", "mine.toml", *QUICK]

    def folder(*more: str) -> str:
        assert main([*command, *more]) == 0
        out = capsys.readouterr()
        assert "Traceback" not in out.err
        return Path(re.search(r"report: (\S+)", out.out)[1]).parent.name  # type: ignore[index]

    start, end = f"{pngs.name}-resnet8-mine", "-s0"
    kept = "-precision-fp32-memory-format-NCHW-compile-off"
    assert [folder(), folder("--lr", "0.3"), folder()] == [
        f"{start}{kept}{end}", f"{start}-lr0.3{kept}{end}", f"{start}{kept}{end}"
    ]  # fmt: skip
    Path("mine.toml").write_text(write(read("digits", epochs=0, iterations=2, batch=8)))  # edited: another run
    assert [folder(), folder()] == [f"{start}{kept}{end}-2"] * 2
    Path("runs", f"{start}-lr0.3{kept}{end}").rename(f"runs/{start}{end}")  # as an older version named it
    Path("mine.toml").write_text(write(read("digits", epochs=0, iterations=1, batch=8)))
    assert folder("--lr", "0.3") == f"{start}{end}"
    assert folder("--lr", "0.2") == f"{start}-lr0.2{kept}{end}"


def test_numbered_on_where_a_name_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)

    def prepare(folder: Path) -> Run:
        if folder.name in ("a", "a-2"):
            raise OtherSettings(f"{folder} already contains a run with different settings (lr: 1 there, 2 requested); "
                                "choose another folder")  # fmt: skip
        return Run(folder)

    with caplog.at_level("INFO", logger="reslab"):
        assert prepared(["a"], prepare).folder == Path("runs/a-3")
    assert [record.getMessage() for record in caplog.records] == [
        "runs/a-2 already contains a run with different settings (lr: 1 there, 2 requested); this run is runs/a-3"
    ]

    def changed_data(folder: Path) -> Run:
        raise UsageError(f"{folder} already contains a run on different data")

    with pytest.raises(UsageError, match="on different data"):  # the same command must not begin anew
        prepared(["a"], changed_data)


def test_a_damaged_run_of_an_older_name_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Run("runs/old").make()
    Run("runs/old").write_json("spec.json", {})

    def prepare(folder: Path) -> Run:
        if folder.name == "old":
            raise ReslabError(f"{folder}/spec.json is damaged")
        return Run(folder)

    said = r"the run in runs/old cannot be continued \(runs/old/spec.json is damaged\); a new one begins in runs/new"
    with pytest.warns(ReslabWarning, match=said):
        assert prepared(["new", "old"], prepare).folder == Path("runs/new")

    def other(folder: Path) -> Run:
        if folder.name == "old":
            raise OtherSettings(f"{folder} already contains a run with different settings; choose another folder")
        return Run(folder)

    assert prepared(["new", "old"], other).folder == Path("runs/new")  # without a warning


def test_a_study_has_a_folder_for_each_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert of_several("study", {"epochs": 3.0}) == Path("runs/study-epochs3")
    Path("runs/study").mkdir(parents=True)
    Path("runs/study/recipe.toml").write_text(write(read("digits", epochs=3)))
    assert of_several("study", {"epochs": 3.0}) == Path("runs/study")  # of an older version
    assert of_several("study", {"epochs": 1.0}) == Path("runs/study-epochs1")
    assert of_several("study", {}) == Path("runs/study")


@pytest.mark.filterwarnings("ignore:the run ends at iteration 1, before its learning rate drops")
def test_the_same_command_finds_the_run_of_an_older_version(
    pngs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    """Its defaults were resnet20, paper-cifar, and a rate that does not follow the batch."""
    monkeypatch.chdir(tmp_path)
    quick = ["--data", str(pngs), "--batch", "8", "--iterations", "1", *QUICK]
    monkeypatch.setattr("sys.argv", ["reslab", "train", *quick])  # as the older version made it: it named nothing
    folder = f"runs/{pngs.name}-resnet20-paper-cifar-s0"
    assert main(["train", "--net", "resnet20", "--recipe", "paper-cifar", "--lr", "0.1", *quick, "--out", folder]) == 0
    capsys.readouterr()
    assert main(["train", *quick]) == 0
    assert f"{folder} is already finished" in capsys.readouterr().out
    recipe = Path(folder, "recipe.toml")
    recipe.write_text(recipe.read_text().replace("reslab train", "reslab train --lr 0.1"))
    assert main(["train", *quick]) == 0  # that was another command
    assert f"report: runs/{pngs.name}-resnet20-small-batch8" in capsys.readouterr().out
