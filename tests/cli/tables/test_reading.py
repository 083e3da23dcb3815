"""What the command line understands of a file, and that the library says and predicts the same."""

import csv
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reslab.cli import main
from reslab.cli.dashes import joined
from reslab.tables import ResidualClassifier, load, read

pytest.importorskip("pyarrow")

SIZES = {"depth": 1, "width": 8, "inner": 8, "embedding": 4, "bins": 4}
QUICK = ["--epochs", "2", "--precision", "fp32", "--compile", "off", "--threads", "1", "--device", "cpu"]
TINY = ["--members", "1", "--sizes", *(f"{key}={value}" for key, value in SIZES.items())]


def rows(n: int) -> list[list[Any]]:
    """A dose with gaps, whether it was fasted, a day, and what came of it."""
    draws = np.random.default_rng(0)
    return [["?" if k % 9 == 0 else round(float(draws.normal(5, 2)), 2), bool(k % 3), f"2024-01-{k % 28 + 1:02d}",
             "ill" if k % 4 else "well"] for k in range(n)]  # fmt: skip


def write(path: Path, lines: Sequence[Sequence[Any]], mark: str = ",") -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(lines)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reading")
    write(folder / "t.csv", [["dose", " fasted", "day", "end"], *rows(80)])
    words = ["tables", "train", str(folder / "t.csv"), "--target", "end", *TINY, *QUICK]
    assert main([*words, "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_the_first_lines_say_what_was_understood(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run.parent / "t.csv"
    words = ["tables", "train", str(table), "--target", "end", *TINY, *QUICK, "--out", str(run.parent / "again")]
    assert main([*words, "--missing", "-", "?", "NA"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:3] == [
        "t.csv: 80 rows, 4 columns; UTF-8, columns separated by commas, names in the first row, decimal point",
        "columns by kind: number 1, category 1, date 1",
        "missing values: '?' in 9 cells",
    ]
    assert err.count("warning: column 'dose': '?' in 9 of 80 rows are read as missing\n") == 1
    stored = json.loads((run.parent / "again" / "data.json").read_text())["reading"]
    assert stored["missing"] == ["-", "?", "NA"]
    assert joined(["--missing", "-", "--", "x", "--out", "-"]) == ["--missing=-", "--missing=--", "x", "--out", "-"]


@pytest.mark.filterwarnings("ignore:column")
def test_both_doors_say_and_predict_the_same(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another country: semicolons, decimal commas, TRUE and FALSE, days first, other words for gaps."""
    odd = tmp_path / "odd.csv"
    lines = [["DE", *row[1:3]] for row in rows(40)]
    for k, (line, row) in enumerate(zip(lines, rows(40), strict=True)):
        line[0] = "n/k" if k == 7 else "NA" if row[0] == "?" else str(row[0]).replace(".", ",")
        line[1], line[2] = str(row[1]).upper(), "{2}.{1}.{0}".format(*row[2].split("-"))
    write(odd, [["dose", "fasted", "day"], *lines], ";")
    plain = tmp_path / "plain.csv"
    write(plain, [["dose", "fasted", "day"], *([None if k == 7 else row[0], int(row[1]), row[2]]
                                               for k, row in enumerate(rows(40)))])  # fmt: skip
    model = load(run, device="cpu")
    known = model.predict_proba(plain)
    assert main(["tables", "predict", str(run), str(odd), "--out", str(tmp_path / "p.csv"), "--device", "cpu"]) == 0
    said = [line.removeprefix("warning: ") for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "column 'dose': 'NA' in 5 of 40 rows are read as missing",
        "column 'dose': 1 of 40 values is no number (e.g. 'n/k'); treated as missing",
    ]
    with (tmp_path / "p.csv").open() as file:
        assert [float(row["p(well)"]) for row in csv.DictReader(file)] == known[:, 1].tolist()
    with pytest.warns(UserWarning, match="column") as caught:
        assert np.array_equal(model.predict_proba(odd), known)
    assert [str(one.message) for one in caught] == said


def test_the_estimator_reads_as_the_command_line(run: Path) -> None:
    """From frames of pandas, too, whose strings pandas left as they are; each word is warned of and kept."""
    pd = pytest.importorskip("pandas")
    table = [row[:3] for row in rows(80)]
    frame = pd.DataFrame(table, columns=["dose", " fasted", "day"]).astype({"dose": str})
    y = [row[3] for row in rows(80)]
    with pytest.warns(UserWarning, match=r"column 'dose': '\?' in 9 of 80 rows are read as missing"):
        found = ResidualClassifier(sizes=SIZES, recipe={"epochs": 1}, device="cpu", random_state=0).fit(frame, y)
    assert found.problems_ == ["column 'dose': '?' in 9 of 80 rows are read as missing"]
    assert dict(found.model_.members[0].encoder.kinds) == dict(load(run, device="cpu").members[0].encoder.kinds)
    other = frame.assign(**{" fasted": [str(row[1]).lower() for row in table]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(found.predict_proba(other), found.predict_proba(frame))
    again = ResidualClassifier(sizes=SIZES, recipe={"epochs": 1}, kinds={"dose": "category"}, missing=[], device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.fit(frame, y)
    assert not any("read as missing" in line for line in again.problems_)
    (dose,) = (one.code for one in again.model_.members[0].encoder.table.columns if one.owner == "dose")
    assert "?" in dose.values  # type: ignore[union-attr]


def test_a_file_without_names_is_trained_on_and_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "t.data", rows(60))
    words = [
        "tables",
        "train",
        str(tmp_path / "t.data"),
        "--target",
        "x3",
        *TINY,
        *QUICK,
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("t.data: 60 rows, 4 columns; UTF-8, columns separated by commas, no names in the first row")
    assert "t.data has no row of names: its columns are x0 to x3; --header takes its first row as names" in err
    write(tmp_path / "one.csv", [row[:3] for row in rows(1)])
    assert main(["tables", "predict", str(tmp_path / "run"), str(tmp_path / "one.csv"), "--json",
                 "--out", str(tmp_path / "p.csv")]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["n"] == 1
    assert main(["tables", "eval", str(tmp_path / "run"), str(tmp_path / "t.data"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["n"] == 60
    with pytest.warns(UserWarning, match="column") as caught:
        values = read(tmp_path / "t.data")
    assert [str(one.message).rpartition("; ")[2] for one in caught] == [
        "header=True takes its first row as names", "column 'x0': '?' in 7 of 60 rows are read as missing"
    ]  # fmt: skip
    with pytest.warns(UserWarning, match="read as missing"):
        names = read(tmp_path / "t.data", header=True)
    assert (len(values), len(names)) == (60, 59)
    y = values["x3"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ResidualClassifier(sizes=SIZES, recipe={"epochs": 1}, device="cpu").fit(values.without("x3"), y)
        assert found.predict(values).tolist() == found.predict(values.without("x3")).tolist()
    assert main([*words[:-1], str(tmp_path / "second"), "--header"]) == 2
    assert "no column named 'x3'" in capsys.readouterr().err
