"""Files of text as they are found: without names, with comments, in any encoding, by any decimal mark; and bounds."""

import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reslab.cli import say
from reslab.errors import Argument, ReslabError, UsageError
from reslab.tables.data import bounds
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, read_frame
from reslab.tables.data.gaps import USUAL
from reslab.tables.data.report import Report

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def read(path: Path, content: str | bytes, **how: Any) -> tuple[Frame, Report]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = Report()
    return read_frame(path, report=report, how=Format(**how)), report


IRIS = "5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n6.1,3.2,Iris-virginica\n6.0,3.1,Iris-virginica\n"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (IRIS, 3),
        ("republican,n,y,n\ndemocrat,y,y,n\nrepublican,n,n,n\ndemocrat,y,?,y\n", 4),
        ("63.0,1.0,?,0\n67.0,1.0,4.0,2\n37.0,1.0,3.0,0\n", 4),
        ("39, State-gov, 77516\n50, Private, 83311\n38, Private, 215646\n53, State-gov, 1\n", 3),
        ("5;red\n7;blue\n3;red\n1;blue\n", 2),
        ("2024-02-29,a\n2024-03-01,b\n2024-03-02,a\n2024-03-03,b\n", 2),
    ],
)
def test_a_file_without_names_loses_no_row(tmp_path: Path, content: str, names: int) -> None:
    frame, report = read(tmp_path / "iris.data", content)
    assert frame.names == tuple(f"x{k}" for k in range(names))
    assert len(frame) == content.count("\n")
    (line,) = report.lines()
    told = f"has no row of names: its columns are x0 to x{names - 1}; header=True takes its first row as names"
    assert line.endswith(told)
    (argument,) = (part for part in line.parts if isinstance(part, Argument))
    assert say.argument(argument) == "--header"
    if "n,n" in content.replace("n,y,n", "n,n").splitlines()[0]:  # names must differ
        return
    taken, report = read(tmp_path / "iris.data", content, header=argument.value)
    assert (len(taken), list(report.lines())) == (len(frame) - 1, [])
    if ";" not in content:  # as that of a model that was trained on x0, ..., a row is one even alone
        one, report = read(tmp_path / "one.csv", content.splitlines()[0] + "\n", names=frame.names)
        assert (len(one), list(report.lines())) == (1, [])


@pytest.mark.parametrize(
    ("content", "names", "said"),
    [
        ("a,b\n1,x\n2,y\n", "a b", 0),
        ("name,city\nAda,Rome\nBob,Oslo\n", "name city", 0),
        ("color,size\nred,big\nblue,small\nred,small\nblue,big\n", "color size", 0),
        ("red,blue\n1,0\n0,1\n", "red blue", 0),
        ("0,1,2\n5,6,7\n8,9,1\n", "0 1 2", 1),
        ("2019,2021\n5,6\n8,9\n", "2019 2021", 1),
        ("place,2019,2020\n1.5,2,3\n2.5,4,5\n", "place 2019 2020", 0),
        ("kind,400.5,402.5,404.5,406.5\n" + "a,1.5,2,3,4\nb,3,4,5,6\n" * 3, "kind 400.5 402.5 404.5 406.5", 1),
        ("a,b\n", "", 0),
    ],
)
def test_a_row_of_names_is_no_value(tmp_path: Path, content: str, names: str, said: int) -> None:
    """Numbers that count are names, and that is said; header=False takes them as values."""
    if not names:
        with pytest.raises(UsageError, match="the table has no rows, only columns: a, b"):
            read(tmp_path / "a.csv", content)
        return
    frame, report = read(tmp_path / "a.csv", content)
    assert frame.names == tuple(names.split())
    assert len(list(report.lines())) == said
    for line in report.lines():
        assert "is taken as the columns' names; header=False takes it as values" in line
        assert len(read(tmp_path / "a.csv", content, header=False)[0]) == len(frame) + 1


@pytest.mark.parametrize(
    ("content", "account"),
    [
        ("a, b\n1.5, x\n2, y\n", "UTF-8, columns separated by commas, names in the first row, decimal point"),
        ("sep=;\na;b\n1,5;x\n2;y\n", "UTF-8, columns separated by semicolons, names in the first row, decimal comma"),
        ('"sep=|"\r\na|b\r\n1.5|x\r\n2|y\r\n', "UTF-8, columns separated by |, names in the first row, decimal point"),
        ("# by R\n# today\na,b\n1.5,x\n# between\n2,y\n", "UTF-8, columns separated by commas, names in the first row, "
         "decimal point, 3 comment lines left out"),
        ("# by R\n#a,b\n1.5,x\n2,y\n3.5,x\n3,y\n", "UTF-8, columns separated by commas, names in the first row, "
         "decimal point, 1 comment line left out"),
        ("|1x3 Cross validator\na,b\n1.5,x\n2,y\n", "UTF-8, columns separated by commas, names in the first row, "
         "decimal point, 1 comment line left out"),
        ('a, "b"\n1.5, "x"\n2, "y"\n', "UTF-8, columns separated by commas, names in the first row, decimal point"),
        ("a,b\r1.5,x\r2,y\r", "UTF-8, columns separated by commas, names in the first row, decimal point"),
        ("\n\na,b\n1.5,x\n\n2,y\n\n", "UTF-8, columns separated by commas, names in the first row, decimal point"),
    ],
)  # fmt: skip
def test_how_a_file_is_written_is_found_and_told(tmp_path: Path, content: str, account: str) -> None:
    frame, report = read(tmp_path / "t.csv", content)
    assert frame.names == ("a", "b")
    assert frame["a"][:2].tolist() == [1.5, 2.0]
    assert [text.strip() for text in frame["b"][:2]] == ["x", "y"]
    assert report.account == [f"t.csv: {len(frame)} rows, 2 columns; {account}"]


@pytest.mark.parametrize(
    ("content", "names", "first", "said"),
    [
        ("#color,n\nred,1\n#ff0000,2\nblue,3\n", "color n", ["red", "#ff0000", "blue"], 0),
        ("#color,n\n#ff0000,1\n#00ff00,2\n", "color n", ["#ff0000", "#00ff00"], 0),
        ("# by R\n#color,n\nred,1\n# checked\n#ff0000,2\n", "color n", ["red", "#ff0000"], 1),
        ("# by R, in May\ncolor,n\nred,1\n#ff0000,2\n", "color n", ["red", "#ff0000"], 1),
        ('# 5" wide\ncolor,n\n"red",1\n"a\n#b",2\n#ff0000,3\n', "color n", ["red", "a\n#b", "#ff0000"], 0),
        ("# by R\ncolor\nred\n#ff0000\n", "color", ["red"], 1),  # with one column, it cannot be told from a comment
        ("#ff0000,1.5,x\nred,2.5,y\nred,0.5,x\n", "x0 x1 x2", ["#ff0000", "red", "red"], 1),
    ],
)
def test_a_line_with_a_cell_for_each_column_is_no_comment(
    tmp_path: Path, content: str, names: str, first: list[str], said: int
) -> None:
    """A # may be that of a color, or stand before the names; what is left out below them is told."""
    frame, report = read(tmp_path / "t.csv", content)
    assert frame.names == tuple(names.split())
    assert frame[frame.names[0]].tolist() == first
    assert len(list(report.lines())) == said, list(report.lines())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"])
def test_every_encoding_that_shows_itself_is_read(tmp_path: Path, encoding: str) -> None:
    text = "name,straße\n1,Köln\n2,Zürich\n" + "3,Oslo\n" * 50
    frame, report = read(tmp_path / "t.csv", text.encode(encoding))
    assert (frame.names, frame["straße"][:2].tolist()) == (("name", "straße"), ["Köln", "Zürich"])
    likely = [line for line in report.lines() if "is not UTF-8; read as Windows-1252 (line 1: 'name,straße')" in line]
    assert len(likely) == (encoding in ("cp1252", "latin-1"))
    lines = (tmp_path / "t.jsonl", '{"stadt": "Köln"}\n'.encode(encoding))
    assert read(*lines)[0]["stadt"].tolist() == ["Köln"]


def test_an_encoding_is_named(tmp_path: Path) -> None:
    text = "都市,b\n東京,1\n大阪,2\n"
    for name in ("shift_jis", "gbk", "UTF-16", "utf8"):
        assert read(tmp_path / "t.csv", text.encode(name), encoding=name)[0]["都市"].tolist() == ["東京", "大阪"]
    with pytest.raises(ReslabError, match=r"t.csv, line 2 is not cp932: .*name its encoding"):
        read(tmp_path / "t.csv", b"a,b\n\x81", encoding="cp932")
    for word in ("shift-jsi", "hex", "idna", "rot13", "\0"):
        with pytest.raises(UsageError, match=r"no encoding named .*; examples: utf-8, latin-1"):
            read(tmp_path / "t.csv", text, encoding=word)


@pytest.mark.parametrize(
    ("content", "values", "said"),
    [
        ("a;b\n950;3,5\n1.001;4,5\n12.500;2\n", [950, 1001, 12500], ""),  # b shows the comma
        ("a;b\n950;3.5\n1.001;4.5\n12.500;2\n", [950, 1.001, 12.5], ""),  # b shows the point
        ("a;b\n950;x\n1.001;y\n12.500;x\n", [950, 1001, 12500], "'1.001' . 1001 1.001"),
        ("a;b\n1.250;x\n1.001;y\n2.500;x\n", [1.25, 1.001, 2.5], "'1.250' , 1.25 1250"),
        ("a\tb\n1,250\tx\n950\ty\n1\tx\n", [1250, 950, 1], "'1,250' , 1250 1.25"),
        ("a;b\n1.234.567;x\n1.001;y\n2.500;x\n", [1234567, 1001, 2500], ""),
        ("a;b\n0.125;x\n1.001;y\n2.500;x\n", [0.125, 1.001, 2.5], ""),
        ('a,b\n"1.001","3,5"\n"950","2,25"\n"1","4,5"\n', [1001, 950, 1], ""),
        ("a,b\n1.001,x\n950,y\n1,x\n", [1.001, 950, 1], ""),
        ("a;b\n1,001;x\n1,5;y\n2;x\n", [1.001, 1.5, 2], ""),
    ],
)  # fmt: skip
def test_the_decimal_mark_of_a_file(tmp_path: Path, content: str, values: list[float], said: str) -> None:
    frame, report = read(tmp_path / "t.csv", content)
    column = frame["a"]
    if column.dtype == object:  # 1.234.567 is read with its column
        from reslab.tables.data.convert import read_as
        from reslab.tables.data.spelling import Spelling

        column = read_as("number", "a", column, report, Spelling(decimal=frame.decimal))
    assert column.tolist() == values
    text, other, value, instead = said.split() if said else [""] * 4
    told = f"column 'a': {text} and the like are read as {value}; decimal=\"{other}\" reads {instead}"
    assert [str(line) for line in report.lines()] == ([told] if said else [])
    for line in report.lines():
        (argument,) = (part for part in line.parts if isinstance(part, Argument))
        taken, report = read(tmp_path / "t.csv", content, decimal=argument.value)
        assert list(report.lines()) == []
        assert not np.array_equal(taken["a"], frame["a"])


@pytest.mark.parametrize("word", ["n/a", ".", "-1.#IND"])
def test_a_missing_value_tells_nothing_of_the_decimal_mark(tmp_path: Path, word: str) -> None:
    """950 and 1.001 in one column are 950 and a thousand and one, also beside a word for a missing value."""
    frame, report = read(tmp_path / "t.csv", f"a;b\n1.001;x\n950;y\n1.250;x\n{word};y\n", missing=USUAL)
    assert frame["a"].tolist() == pytest.approx([1001, 950, 1250, np.nan], nan_ok=True)
    assert set(map(str, report.lines())) == {
        "column 'a': '1.001' and the like are read as 1001; decimal=\".\" reads 1.001",
        f"column 'a': {word!r} in 1 of 4 rows is read as missing",
    }


def test_missing_values_among_decimal_commas_are_counted(tmp_path: Path) -> None:
    frame, report = read(tmp_path / "t.csv", "a;b\n1,5;x\nn/a;y\n2,5;x\n", missing=USUAL)
    assert frame["a"].tolist() == pytest.approx([1.5, np.nan, 2.5], nan_ok=True)
    assert list(map(str, report.lines())) == ["column 'a': 'n/a' in 1 of 3 rows is read as missing"]


def test_words_for_missing_values_in_a_file_are_counted(tmp_path: Path) -> None:
    content = "n,d,s\n1,2024-02-29,a\nNA,?,?\n3,2024-03-01,b\n-,NA,a\n"
    words = ("?", "NA", "-")
    frame, report = read(tmp_path / "t.csv", content, missing=words)
    assert np.array_equal(frame["n"], [1, np.nan, 3, np.nan], equal_nan=True)
    assert frame["d"].dtype.kind == "M"
    assert frame["s"].tolist() == ["a", "?", "b", "a"]  # a string is one until its kind is known
    assert [str(line) for line in report.lines()] == [
        "column 'n': 'NA' in 1, '-' in 1 of 4 rows are read as missing",
        "column 'd': '?' in 1, 'NA' in 1 of 4 rows are read as missing",
    ]


def test_a_column_that_is_left_out_may_hold_anything(tmp_path: Path) -> None:
    import enum
    import uuid

    pd = pytest.importorskip("pandas")
    odd = {"id": [uuid.uuid4(), Path("x"), enum.Enum("E", "a").a], "list": [[1], {"a": 1}, b"x"], "n": [1, 2, 4]}
    for source in (
        odd,
        pd.DataFrame(odd),
        [dict(zip(odd, row, strict=True)) for row in zip(*odd.values(), strict=True)],
    ):
        for how in (Format(skip=["id", "list"]), Format(only=["n"])):
            frame = read_frame(source, how=how)
            assert (frame.names, frame["n"].tolist()) == (("id", "list", "n"), [1, 2, 4])
        with pytest.raises(UsageError, match=r"column 'id', row 0: UUID is not .*leave the column out with kinds="):
            read_frame(source)
    rows = np.array([[1, uuid.uuid4()], [2, None]], dtype=object)
    for array in (rows, rows.tolist()):
        assert read_frame(array, how=Format(skip=["x1"]))["x0"].tolist() == [1, 2]


def refused(path: Path, content: bytes, sentence: str) -> None:
    """In a few seconds."""
    path.write_bytes(content)
    begun = time.process_time()
    with pytest.raises(ReslabError, match=sentence):
        read_frame(path)
    assert time.process_time() - begun < 5


def parquet(table: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False)
    return sink.getvalue()


def test_what_a_small_file_may_claim(tmp_path: Path) -> None:
    """A file of n bytes: 64 MiB + 100 n unpacked, 5,000,000 or 50 n values, 100,000 columns, values of 16 MiB."""
    refused(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 2**25), r"kB\) unpacks to more than .* MB")
    refused(tmp_path / "a.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-9], "ends before the end of its data|Error")
    twice = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n") + b"\0" * 512
    (tmp_path / "b.csv.gz").write_bytes(twice)
    assert read_frame(tmp_path / "b.csv.gz")["a"].tolist() == [1, 3]
    rows = parquet(pa.table({"a": pa.array(np.zeros(6_000_000))}))
    assert len(rows) < 100_000
    refused(tmp_path / "a.parquet", rows, r"kB\) claims 6,000,000 values in 6,000,000 rows")
    lists = parquet(pa.table({"a": pa.array([[0.0] * 6_000_000])}))
    refused(tmp_path / "a.parquet", lists, "claims 6,000,000 values in 1 rows")
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5_000, np.int32)), pa.array(["x" * 10**6]))
    refused(tmp_path / "a.parquet", parquet(pa.table({"a": words})), "holds texts of 5 GB")
    long = parquet(pa.table({"a": ["x" * (2**24 + 1)]}))
    refused(tmp_path / "a.parquet", long, "column 'a': a value has 16.8 MB; a value may have 16.8 MB")
    refused(tmp_path / "a.csv", b"a,b\n1," + b"x" * (2**24 + 1) + b"\n", "column 'b': a value has 16.8 MB")
    refused(tmp_path / "a.csv", b"x" * (2**24 + 2), "no table: its first line is longer than 16.8 MB")
    refused(
        tmp_path / "a.csv", b"," * 100_000 + b"\n" + b"," * 100_000, "has 100,001 columns; a table may have 100,000"
    )
    refused(tmp_path / "a.jsonl", b'{"a": "' + b"x" * 2**24 + b'"}', "line 1 has 16.8 MB; a line may have")
    wide = [json.dumps({f"c{k}-{j}": 1 for j in range(30)}) for k in range(500)]
    refused(tmp_path / "a.jsonl", "\n".join(wide).encode(), "claims 7,500,000 values in 500 rows")
    refused(tmp_path / "a.xlsx", b"PK", r"unsupported file type: .*; save the sheet as .csv")


def test_a_large_file_may_hold_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 values per byte."""
    table = pa.table({"a": pa.array(np.random.default_rng(0).normal(size=3_000))})
    monkeypatch.setattr(bounds, "CELLS", 1_000)
    (tmp_path / "a.parquet").write_bytes(parquet(table))
    assert len(read_frame(tmp_path / "a.parquet")) == 3_000
