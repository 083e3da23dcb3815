"""Files that a command replaces: only those that reslab wrote."""

import re
import shutil
from pathlib import Path

import pytest

from reslab.cli import main
from reslab.errors import UsageError
from reslab.report import look, write

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / "tests" / "golden" / "folders"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the run folders `images`, `tables` and `looked`, and five rows to predict."""
    for name, stored in (("images", "images-finished"), ("tables", "tables-finished"), ("looked", "looked")):
        shutil.copytree(FOLDERS / stored, tmp_path / name)
    lines = (ROOT / "docs" / "examples" / "rooms.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "rows.csv").write_text("\n".join(lines[:6]) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["images/weights.safetensors", "notes.txt", "page", "page.htmlx"])
def test_a_page_is_html(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(name).read_bytes() if Path(name).exists() else None
    assert main(["report", "images", "--out", name]) == 2
    said = f"pages are written as .html, got {Path(name).name!r}; choose another file with --out"
    assert capsys.readouterr().err == f"reslab: {said}\n"
    assert (Path(name).read_bytes() if Path(name).exists() else None) == before


@pytest.mark.parametrize("folders", [["images"], ["images", "images"], ["looked"]])
def test_a_page_replaces_pages_only(folders: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, mine = Path("existing.html"), "<html><footer>Drawn by hand</footer></html>"
    page.write_text(mine)
    assert main(["report", *folders, "--out", "existing.html"]) == 2
    said = "existing.html exists and is not a page of reslab; choose another file with --out"
    assert capsys.readouterr().err == f"reslab: {said}\n"
    assert page.read_text() == mine
    page.write_text("")  # nothing is lost
    assert main(["report", *folders, "--out", "existing.html"]) == 0
    text = page.read_text(encoding="utf-8")
    head, marks = text.partition("<style>")[0], re.findall(r'<meta name="generator" content="reslab [^"]+">', text)
    assert len(marks) == 1
    assert marks[0] in head
    page.write_text(text.replace(marks[0], ""), encoding="utf-8")  # as pages were before
    assert main(["report", *folders, "--out", "existing.html"]) == 0


@pytest.mark.parametrize(("folder", "name"), [("images", "report.html"), ("looked", "look.html")])
def test_a_foreign_page_in_a_folder_stays(folder: str, name: str, here: Path) -> None:
    page = here / folder / name
    page.write_text("mine")
    said = rf"{name} exists and is not a page of reslab; move it to another folder and run `reslab report` again"
    with pytest.raises(UsageError, match=said):
        write(here / folder)
    if name == "look.html":
        with pytest.raises(UsageError, match=said):
            look.write(here / folder)
    assert page.read_text() == "mine"


def test_predictions_replace_predictions_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tables", "predict", "tables", "rows.csv", "--device", "cpu", "--out"]
    for number, mine in enumerate(("id,row\n1,2\n", "row,predicted,note\n1,2,3\n", "row,true\n1,2\n", "\x00\n")):
        Path("mydata.csv").write_text(mine)
        assert main([*words, "mydata.csv"]) == 2, number
        said = "mydata.csv exists and does not look like predictions; choose another file with --out"
        assert capsys.readouterr().err == f"reslab: {said}\n"
        assert Path("mydata.csv").read_text() == mine
    assert main([*words, "new.csv", "--keep", "town"]) == 0
    assert capsys.readouterr().out.endswith("predictions: new.csv\n")
    assert main([*words, "new.csv"]) == 0
    assert capsys.readouterr().out.endswith("replaced new.csv\n")
    assert main([*words, "tables/predictions.csv"]) == 0  # with the true values; ours, too


def test_predictions_as_parquet_replace_predictions_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    words = ["tables", "predict", "tables", "rows.csv", "--device", "cpu", "--out", "mydata.parquet"]
    Path("mydata.parquet").write_text("mine")
    assert main(words) == 2
    assert "mydata.parquet exists and does not look like predictions" in capsys.readouterr().err
    Path("mydata.parquet").unlink()
    assert main(words) == 0
    assert main(words) == 0
    assert capsys.readouterr().out.endswith("replaced mydata.parquet\n")
