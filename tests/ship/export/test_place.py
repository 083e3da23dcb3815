"""Whose place an export may take: nothing of others is lost, whatever happens."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.ship.export import staging
from reslab.ship.export.staging import check_place, staged
from reslab.ship.folder import read_config, seal, write_config
from reslab.ship.record import Config


def mark(folder: Path, license: str) -> None:
    """A folder that says that it is an export of digits."""
    folder.mkdir(parents=True)
    write_config(folder, Config(kind="images", engine="openvino", precision="fp32", name="digits", word="digits",
                                files=("m",), inputs=(), outputs=(), license=license))  # fmt: skip


def replaced(out: Path, meanwhile: Callable[[Path], Any] = lambda out: None) -> None:
    """Put an export of digits in the place of `out`, where something happens while it is made."""
    with staged(out, kind="images", name="digits") as folder:
        (folder / "new").touch()
        meanwhile(out)


def a_note(out: Path) -> str:
    (out / "notes.txt").write_text("years of work")
    return "notes.txt"


def a_folder(out: Path) -> str:
    (out / "sub").mkdir()
    mark(out / "sub" / "inner", "MIT")
    return "sub"


def a_link(out: Path) -> str:
    (out / "photos").symlink_to(out.parent)
    return "photos"


@pytest.mark.parametrize("put", [a_note, a_folder, a_link])
@pytest.mark.parametrize("sealed", [True, False])
def test_an_export_that_holds_anything_else_is_not_replaced(tmp_path: Path, put: Any, sealed: bool) -> None:
    out = tmp_path / "out"
    mark(out, "MIT")
    if sealed:
        seal(out)
    name = put(out)
    before = sorted(path.as_posix() for path in out.rglob("*"))
    with pytest.raises(UsageError, match=rf"out holds {name}, which is no part of the export .*another folder"):
        replaced(out)
    assert sorted(path.as_posix() for path in out.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_put_into_the_old_export_meanwhile_is_kept(tmp_path: Path) -> None:
    mark(tmp_path / "out", "MIT")
    with pytest.raises(UsageError, match=r"out holds notes\.txt"):
        replaced(tmp_path / "out", meanwhile=a_note)
    assert (tmp_path / "out" / "notes.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["config.json", "checksums.json"])
@pytest.mark.parametrize("text", ["{", None])
def test_a_damaged_export_says_what_to_do(tmp_path: Path, name: str, text: str | None) -> None:
    """What reading it says, to export the model again, is just what is being done."""
    out = tmp_path / "out"
    mark(out, "MIT")
    seal(out)
    (out / name).unlink() if text is None else (out / name).write_text(text)
    if (name, text) == ("checksums.json", None):  # an export that was not finished may be replaced
        check_place(out, kind="images", name="digits")
        return
    with pytest.raises(UsageError, match=r"out holds a damaged export: remove it, or choose another folder$"):
        check_place(out, kind="images", name="digits")


def test_an_export_lies_neither_in_another_nor_in_a_run(tmp_path: Path) -> None:
    """Whoever replaces or removes the outer one would lose it."""
    mark(tmp_path / "out", "MIT")
    seal(tmp_path / "out")
    (tmp_path / "run").mkdir()
    for name in ("spec.json", "recipe.toml"):
        (tmp_path / "run" / name).touch()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "spec.json").touch()  # of something else
    for place, what in (("out/sub", "an exported folder"), ("out/a/b", "an exported folder"), ("run/sub", "a run")):
        with pytest.raises(UsageError, match=rf"lies in .*, which is {what}; choose another folder"):
            check_place(tmp_path / place, kind="images", name="digits")
    check_place(tmp_path / "specs" / "out", kind="images", name="digits")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run", "specs"]


def test_a_crash_between_the_two_renames_leaves_the_old_folder_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot swap two names; the process dies, so nothing is tidied up."""
    mark(tmp_path / "out", "old")
    mark(tmp_path / "new", "new")
    rename, done = os.rename, list[str]()

    def dying(one: Any, other: Any) -> None:
        if done:
            raise SystemExit
        done.append(str(one))
        rename(one, other)

    monkeypatch.setattr(staging, "swapped", lambda one, other: False)
    monkeypatch.setattr(os, "rename", dying)
    with pytest.raises(SystemExit):
        staging.replace(tmp_path / "new", tmp_path / "out")
    found = {read_config(path).license for path in tmp_path.iterdir() if (path / "config.json").exists()}
    assert found == {"old", "new"}
