"""Ensembles: what a failure removes, and what belongs to another process."""

from pathlib import Path
from typing import Any

import pytest
from tests.tables.conftest import QUICK, SMALL

from reslab.errors import ReslabError, UsageError
from reslab.run import Run
from reslab.tables.members import prepare_members, train_members, withdraw_members
from reslab.tables.reading import Reading
from reslab.tables.train import load
from reslab.train.recipe import Recipe


def two(folder: Path, file: Path, recipe: Recipe = QUICK) -> tuple[Run, dict[str, Any]]:
    """A prepared ensemble of two nets, and its table for `train_members`."""
    reading = Reading(target=("large",), sizes=SMALL)
    data = load(str(file), reading, recipe)
    run = prepare_members(folder, members=2, word=str(file), reading=reading, data=data, preset="gated", recipe=recipe)
    return run, {"data": data, "device": "cpu"}


def files(folder: Path) -> set[str]:
    """All files below the folder but the locks, which stay behind."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("held", ["s0", "s1"])
def test_a_member_that_another_process_trains_stays(held: str, file: Path, tmp_path: Path) -> None:
    """The same command, started twice: the second one ends, and the first one's folders are whole."""
    run, given = two(tmp_path / "both", file)
    before = files(run.folder)
    assert {"members.json", "s0/spec.json", "s1/spec.json"} <= before
    with Run(run.path(held)).lock():
        two(run.folder, file)
        if held == "s0":
            with pytest.raises(ReslabError, match="s0: another process is training here"):
                train_members(run.folder, **given)
        withdraw_members(run, [Run(run.path("s0")), Run(run.path("s1"))])
        assert files(run.folder) == before
    assert train_members(run.folder, **given)["test"]["n"] == 12


def test_an_error_of_the_lock_removes_nothing(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the other process has just ended."""
    run, given = two(tmp_path / "both", file)
    before = files(run.folder)

    def train(folder: Path, **options: Any) -> None:
        with Run(folder).lock(), Run(folder).lock():
            raise AssertionError

    monkeypatch.setattr("reslab.tables.members.train", train)
    with pytest.raises(ReslabError, match="another process is training here"):
        train_members(run.folder, **given)
    assert files(run.folder) == before


def test_what_cannot_start_leaves_no_folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, given = two(tmp_path / "both", file)

    def broken(*given: Any, **more: Any) -> None:
        raise UsageError("no such thing")

    monkeypatch.setattr("reslab.tables.train.make_task", broken)
    with pytest.raises(UsageError, match="no such thing"):
        train_members(run.folder, **given)
    assert not run.folder.exists()


def test_a_member_that_cannot_be_prepared_takes_back_only_the_new_ones(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reslab.tables import members

    made = members.prepare

    def full(folder: Path, **options: Any) -> Run:
        if folder.name == "s1":
            raise ReslabError("no space left")
        return made(folder, **options)

    monkeypatch.setattr(members, "prepare", full)
    for there in (False, True):
        if there:
            monkeypatch.undo()
            two(tmp_path / "both", file)
            monkeypatch.setattr(members, "prepare", full)
        with pytest.raises(ReslabError, match="no space left"):
            two(tmp_path / "both", file)
        assert (tmp_path / "both").exists() == there
    assert {"s0/spec.json", "s1/spec.json", "members.json"} <= files(tmp_path / "both")
