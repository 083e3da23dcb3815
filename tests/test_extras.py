"""Optional packages: the errors if one is missing or broken."""

import sys
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.extras import need


def test_what_is_installed_is_imported() -> None:
    assert need("json.decoder", why="reading").__name__ == "json.decoder"


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UsageError, match=r"^reading parquet files needs the package pyarrow: pip install 'reslab\[data\]'$"
    ):
        need("pyarrow", extra="data", why="reading parquet files")
    with pytest.raises(UsageError, match=r"^x needs the package no_such: pip install no_such, from the same index as"):
        need("no_such", why="x")


@pytest.mark.parametrize(
    "fault", ["ImportError('cannot import y')", "RuntimeError('no operator nms')", "OSError('libz.so')",
              "AttributeError('partially initialized module')"],
)  # fmt: skip
def test_what_is_broken_is_told_from_what_is_missing(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_one.py").write_text(f"raise {fault}")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = fault.partition("'")[2].partition("'")[0]
    with pytest.raises(UsageError, match=rf"needs broken_one, which is installed but cannot be imported \({said}\)"):
        need("broken_one", why="timm:x")


def test_other_faults_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_two.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        need("broken_two", why="x")
