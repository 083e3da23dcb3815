"""Exported readers and tables on the command line: the lines of their runs, without torch, nothing written to them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reslab
from reslab.cli import main
from reslab.ship.folder import verify

pytest.importorskip("openvino")


@pytest.fixture
def here(
    tiny_reader: Path, tiny_table: Path, shipped_reader: Path, shipped_table: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """reader/ and table/, their exports reader-shipped/ and table-shipped/, facts.json, flats.csv, text.txt."""
    monkeypatch.chdir(tmp_path)
    for run, shipped in ((tiny_reader, shipped_reader), (tiny_table, shipped_table)):
        shutil.copytree(run, run.name)
        shutil.copytree(shipped, f"{run.name}-shipped")
    shutil.copy(tiny_reader.parent / "facts.json", "facts.json")
    shutil.copy(tiny_table.parent / "flats.csv", "flats.csv")
    Path("text.txt").write_text("Ada was born in Paris in 1807. Bob was born in London in 1817.")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_rows_are_predicted_alike(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = verify(here / "table-shipped")
    lines = [said(capsys, "tables", "predict", name, "flats.csv", "--out", f"{name}.csv", "--keep", "city")
             .replace(name, "X") for name in ("table", "table-shipped")]  # fmt: skip
    assert lines[0] == lines[1]
    assert "predicted 60 rows of flats.csv" in lines[0]
    one, other = (Path(f"{name}.csv").read_text().splitlines() for name in ("table", "table-shipped"))
    assert one[0] == other[0] == "city,row,predicted,p(no),p(yes)"
    for row, same in zip(one[1:], other[1:], strict=True):
        a, b = row.split(","), same.split(",")
        assert a[:3] == b[:3]
        assert [float(x) for x in a[3:]] == pytest.approx([float(x) for x in b[3:]], abs=1e-5)
    assert verify(here / "table-shipped") == mark


def test_rows_are_scored_alike_and_nothing_is_stored(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in (here / "table-shipped").rglob("*"))
    run, shipped = (said(capsys, "tables", "eval", name, "flats.csv") for name in ("table", "table-shipped"))
    assert run.replace("table on", "X on").splitlines()[:-1] == shipped.replace("table-shipped on", "X on").splitlines()
    assert run.splitlines()[-1] == "next:   reslab report table"
    assert sorted(path.name for path in (here / "table-shipped").rglob("*")) == before


def test_questions_are_answered_alike(here: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("Where was Ada born?", "When was Bob born?", "--context", "text.txt")
    run, shipped = (said(capsys, "qa", "ask", name, *asked) for name in ("reader", "reader-shipped"))
    assert run == shipped
    with_device = main(["qa", "ask", "reader-shipped", *asked, "--device", "cuda"])
    assert (with_device, capsys.readouterr().err) == (
        2, f"reslab: reader-shipped was exported for {engine}, which runs on the CPU: leave out --device\n"
    )  # fmt: skip


def test_questions_of_a_file_are_scored_alike(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in (here / "reader-shipped").rglob("*"))
    run, shipped = (json.loads(said(capsys, "qa", "eval", name, "--data", "facts.json", "--json"))
                    for name in ("reader", "reader-shipped"))  # fmt: skip
    for key in ("exact", "f1", "n", "rule", "missing", "precision"):
        assert run[key] == shipped[key]
    assert (run["predictions"] is None, shipped["predictions"]) == (False, None)
    assert sorted(path.name for path in (here / "reader-shipped").rglob("*")) == before
    assert main(["qa", "eval", "reader-shipped"]) == 2
    assert "is an exported folder, which holds no questions: name some with --data" in capsys.readouterr().err


def test_one_verb_for_every_kind(here: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`reslab predict` and `reslab.predict` find out what the folder is for."""
    assert "predicted 60 rows" in said(capsys, "predict", "table-shipped", "flats.csv", "--out", "p.csv")
    asked = ("Where was Ada born?", "--context", "text.txt", "--top", "2")
    assert said(capsys, "predict", "reader-shipped", *asked) == said(capsys, "predict", "reader", *asked)
    mark = verify(here / "reader-shipped")
    found = json.loads(said(capsys, "predict", "reader-shipped", "facts.json", "--out", "a.json", "--json"))
    assert found["predictions"] == "a.json"
    assert json.loads(Path("a.json").read_text()).keys() == set(
        json.loads(Path(said_by_the_run(capsys)).read_text())
    )  # fmt: skip
    model = reslab.predict("reader-shipped", threads=1)
    assert model.version == verify(here / "reader-shipped") == mark
    assert [one.text for one in model.ask(asked[0], Path("text.txt").read_text(), top=2)] != []
    assert main(["predict", "table-shipped", "flats.csv", "--device", "cuda"]) == 2
    assert f"exported for {engine}, which runs on the CPU: leave out --device" in capsys.readouterr().err


def said_by_the_run(capsys: pytest.CaptureFixture[str]) -> str:
    """The file of predictions that the run itself writes."""
    found: str = json.loads(said(capsys, "predict", "reader", "facts.json", "--json"))["predictions"]
    return found


def test_a_net_for_something_else_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "predict", "reader-shipped", "flats.csv"]) == 2
    assert "reader-shipped holds an exported net for questions, not for tables" in capsys.readouterr().err
    assert main(["qa", "ask", "table-shipped", "Who?", "--context", "text.txt"]) == 2
    assert "table-shipped holds an exported net for tables, not for questions" in capsys.readouterr().err


SLOW = pytest.mark.slow


@pytest.mark.parametrize("words", [
    ["tables", "predict", "table-shipped", "flats.csv", "--out", "p.csv"],
    ["qa", "ask", "reader-shipped", "Where was Ada born?", "--context", "text.txt"],
    pytest.param(["tables", "eval", "table-shipped", "flats.csv"], marks=SLOW),
    pytest.param(["qa", "eval", "reader-shipped", "--data", "facts.json"], marks=SLOW),
])  # fmt: skip
def test_torch_is_not_imported(words: list[str], here: Path) -> None:
    code = f"import sys; from reslab.cli import main; code = main({words!r}); print(code, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
