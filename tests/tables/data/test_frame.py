"""Frames: the same four types from every source, and one sentence for what is no table."""

import datetime as dt
import gzip
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reslab.errors import ReslabError, UsageError
from reslab.tables.data.frame import Frame, Report, read_frame

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12)
TOKYO = dt.datetime(2024, 2, 29, 21, tzinfo=dt.timezone(dt.timedelta(hours=9)))
COLUMNS: dict[str, list] = {
    "whole": [1, 2, None],
    "real": [0.5, float("nan"), 2.0],
    "text": ["a", None, " "],
    "truth": [True, False, None],
    "day": [DAY, None, DAY],
    "time": [NOON, None, NOON],
    "tokyo": [TOKYO, None, None],
    "list": [["a", "b"], [], None],
    "numbers": [[1.0, 2.5], None, [3.0]],
    "span": [dt.timedelta(hours=12), None, dt.timedelta(days=1)],
    "empty": [None, None, None],
}


def same(column: np.ndarray, expected: list) -> bool:
    if column.dtype == object:
        return list(column) == expected
    return bool(np.array_equal(column, np.array(expected, dtype=column.dtype), equal_nan=True))


def check(frame: Frame) -> None:
    nan, noon = float("nan"), np.datetime64("2024-02-29T12:00")
    assert same(frame["whole"], [1, 2, nan])
    assert same(frame["real"], [0.5, nan, 2])
    assert same(frame["text"], ["a", None, None])
    assert same(frame["truth"], ["True", "False", None])
    assert same(frame["day"], [np.datetime64("2024-02-29"), "NaT", np.datetime64("2024-02-29")])
    assert same(frame["time"], [noon, "NaT", noon])
    assert same(frame["tokyo"], [noon, "NaT", "NaT"])
    assert same(frame["list"], [("a", "b"), (), None])
    assert same(frame["numbers"], [("1", "2.5"), None, ("3",)])
    assert same(frame["span"], [0.5, nan, 1])
    assert same(frame["empty"], [nan] * 3)
    assert {str(column.dtype) for column in frame.columns.values()} == {"float64", "object", "datetime64[us]"}
    assert frame.names == tuple(COLUMNS)
    assert len(frame) == 3


def test_a_dict_and_records() -> None:
    check(read_frame(COLUMNS))
    check(read_frame([{name: values[row] for name, values in COLUMNS.items()} for row in range(3)]))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_of_other_libraries(library: str) -> None:
    module = pytest.importorskip(library)
    check(read_frame(module.table(COLUMNS) if library == "pyarrow" else module.DataFrame(COLUMNS)))


def test_pandas_own_types() -> None:
    pd = pytest.importorskip("pandas")
    frame = read_frame(pd.DataFrame({
        "categorical": pd.Categorical(["x", None, "y"]), "codes": pd.Categorical([1, 2, None]),
        "nullable": pd.array([1, None, 3], dtype="Int64"), "truth": pd.array([True, None, False], dtype="boolean"),
        "string": pd.array(["a", None, "b"], dtype="string"), "mixed": [1, "a", float("nan")], 7: [1, 2, 3],
    }))  # fmt: skip
    nan = float("nan")
    assert same(frame["categorical"], ["x", None, "y"])
    assert same(frame["codes"], [1, 2, nan])
    assert same(frame["nullable"], [1, nan, 3])
    assert same(frame["truth"], ["True", None, "False"])
    assert same(frame["string"], ["a", None, "b"])
    assert same(frame["mixed"], ["1", "a", None])
    assert same(frame["7"], [1, 2, 3])


def test_pandas_periods_and_intervals_are_text() -> None:
    pd = pytest.importorskip("pandas")
    frame = read_frame(pd.DataFrame({"day": pd.period_range("2024-02-28", periods=2, freq="D"),
                                     "part": pd.cut([1, 4], [0, 2, 5])}))  # fmt: skip
    assert same(frame["day"], ["2024-02-28", "2024-02-29"])
    assert same(frame["part"], ["(0, 2]", "(2, 5]"])


def test_numpy_arrays() -> None:
    frame = read_frame(np.array([[1, 2], [3, 4]], dtype=np.int8))
    assert frame.names == ("x0", "x1")
    assert same(frame["x1"], [2, 4])
    mixed = read_frame(np.array([[1, "a"], [2.5, None]], dtype=object))
    assert same(mixed["x0"], [1, 2.5])
    assert same(mixed["x1"], ["a", None])
    assert same(read_frame([[1, "a"], [2.5, None]])["x1"], ["a", None])
    strings = read_frame(np.array([["1", "2"], ["x", "3e1"]]))  # strings only because one of them is a word
    assert same(strings["x0"], ["1", "x"])
    assert same(strings["x1"], [2, 30])
    assert same(read_frame(np.array([(1, "a")], dtype=[("n", int), ("s", "U1")]))["s"], ["a"])
    assert same(read_frame(np.ma.array([[1.0, 2.0]], mask=[[False, True]]))["x1"], [2.0]) is False


def test_numbers_of_every_kind() -> None:
    frame = read_frame({"n": [Decimal("1.5"), np.float32(2), 2**53 - 1, True], "h": [dt.time(6, 30), None, None, None]})
    assert same(frame["n"], [1.5, 2, 2**53 - 1, 1])
    assert same(frame["h"], [6.5, np.nan, np.nan, np.nan])


def test_a_column_that_is_not_there_is_said() -> None:
    frame = read_frame({f"c{k}": [k] for k in range(12)})
    with pytest.raises(UsageError, match=r"no column named 'c99'; did you mean 'c9'\?"):
        frame["c99"]
    with pytest.raises(UsageError, match=r"no column named 'price'; the table has c0, c1, .*, c9, \.\.\."):
        frame["price"]


def test_rows_and_columns_are_taken() -> None:
    frame = read_frame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert same(frame.take([2, 0])["b"], ["z", "x"])
    assert frame.without("a").names == ("b",)
    with pytest.raises(UsageError, match="no column named 'aa'; the table has a, b"):
        frame.without("aa")


WRONG: list[tuple[Any, str]] = [
    (np.ones(3), "Expected 2D array .* Reshape your data"),
    (np.ones((2, 2, 2)), "3D array"),
    (np.ones((2, 2)) * 1j, "'x0' holds complex numbers. Complex data not supported"),
    (np.ones((3, 0)), r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required."),
    (np.ones((0, 2)), "no rows, only columns: x0, x1"),
    ([[1, 2], [3]], "different lengths"),
    ([1, 2], "Reshape your data"),
    ([], "no rows"),
    ({}, "no columns"),
    ({"a": []}, "no rows, only columns: a"),
    ({"a": [1], "b": [1, 2]}, "column 'b' has 2 rows, but 'a' has 1"),
    ({"a": "xyz"}, "column 'a' must be a list or an array, got str"),
    ({1: [1], "1": [2]}, "two columns are named '1'"),
    ({"a": [None, {"x": 1}]}, "column 'a', row 1: a nested record"),
    ({"a": [b"x"]}, "column 'a', row 0: bytes"),
    ({"a": [1, [2]]}, "column 'a', row 1: a list, but other rows hold single values"),
    ({"a": [[1], [[2]]]}, "column 'a', row 1: .* may only hold strings and numbers"),
    ({"a": [10**400]}, "column 'a', row 0: .* too large"),
    ({"a": [1j, 1]}, "column 'a', row 0: a complex number"),
    ({"a": [object()]}, "column 'a', row 0: object is not a supported type"),
    (3, "a int is not a table"),
]


@pytest.mark.parametrize(("source", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_what_is_no_table_is_said(source: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_frame(source)


def test_a_sparse_matrix_is_said() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(UsageError, match="sparse"):
        read_frame(sparse.csr_array(np.eye(2)))


def test_a_name_used_twice_is_said() -> None:
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    for table in (pd.DataFrame([[1, 2]], columns=["a", "a"]), pa.table([[1], [2]], names=["a", "a"])):
        with pytest.raises(UsageError, match="two columns are named 'a'"):
            read_frame(table)


PLAIN = 'n,s,d\n1,a,2024-02-29\n,,\n3.5,"b\nb",2024-03-01\n'


def check_plain(frame: Frame) -> None:
    assert same(frame["n"], [1, np.nan, 3.5])
    assert same(frame["s"], ["a", None, "b\nb"])
    assert same(frame["d"], [np.datetime64("2024-02-29"), "NaT", np.datetime64("2024-03-01")])


def test_files(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    contents = {"a.csv": PLAIN, "a.tsv": PLAIN.replace(",", "\t"), "b.csv": PLAIN.replace(",", ";")}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        check_plain(read_frame(tmp_path / name))
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        check_plain(read_frame(str(tmp_path / f"{name}.gz")))
    frame = read_frame(tmp_path / "a.csv")
    days = [None if np.isnat(day) else day.item() for day in frame["d"]]
    table = pa.table({"n": frame["n"], "s": list(frame["s"]), "d": days, "__index_level_0__": [0, 1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    report = Report()
    check_plain(read_frame(tmp_path / "a.parquet", report=report))
    assert list(report.lines()) == ["column '__index_level_0__': a pandas index, not a column; ignored"]
    lines = [json.dumps({"n": 1, "s": "a"}), "", json.dumps({"s": "b", "l": ["x"]})]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    frame = read_frame(tmp_path / "a.jsonl")
    assert same(frame["n"], [1, np.nan])
    assert same(frame["l"], [None, ("x",)])


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("\ufeffa,b\n1.5,x\n2,y\n", ("a", "b")),
        ("a\tb\n1.5\tx\n2\ty\n", ("a", "b")),
        ("a;b\n1.5;x\n2;y\n", ("a", "b")),
        ("a;b\n1,5;x\n2;y\n", ("a", "b")),
        ("a|b\n1.5|x\n2|y\n", ("a", "b")),
        ("a, in years;b;c\n1,5;x;0,5\n2;y;\n", ("a, in years", "b", "c")),
        ('"a;1;2",b\n1.5,x\n2,y\n', ("a;1;2", "b")),
    ],
)
def test_what_stands_between_columns_is_found(tmp_path: Path, content: str, names: tuple[str, ...]) -> None:
    """And a decimal comma, if the comma is not the separator."""
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text(content)
    frame = read_frame(tmp_path / "a.csv")
    assert frame.names == names
    assert same(frame[names[0]], [1.5, 2.0])
    assert same(frame["b"], ["x", "y"])


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    """What pandas' to_csv makes of an index."""
    pytest.importorskip("pyarrow")
    (tmp_path / "a.csv").write_text(",a\n0,5\n1,6\n")
    report = Report()
    assert read_frame(tmp_path / "a.csv", report=report).names == ("a",)
    assert list(report.lines()) == ["column '': it has no name, like a pandas index in a CSV file; ignored"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_whole_numbers_beyond_2_to_the_53(library: str) -> None:
    """Read as the nearest float64, which is reported; missing values beside them."""
    module = pytest.importorskip(library)
    columns: dict[str, Any] = {"long": [2**53 + 1, 2**60], "gaps": [None, 2**60], "edge": [2**53, -(2**53)]}
    if library == "pandas":
        columns["gaps"] = module.array(columns["gaps"], dtype="Int64")
    report = Report()
    frame = read_frame(module.table(columns) if library == "pyarrow" else module.DataFrame(columns), report=report)
    assert same(frame["long"], [2.0**53, 2.0**60])
    assert same(frame["gaps"], [np.nan, 2.0**60])
    assert [problem.column for problem in report.problems] == ["long", "gaps"]
    assert "convert them to strings" in report.problems[0].sentence


def test_a_late_word_makes_a_column_of_strings(tmp_path: Path) -> None:
    """A reader that guesses types from the first block would fail at the word, two megabytes on."""
    pytest.importorskip("pyarrow")
    rows = 400_000
    (tmp_path / "late.csv").write_text("a,b\n" + "1,2.5\n" * rows + "word,3\n")
    frame = read_frame(tmp_path / "late.csv")
    assert len(frame) == rows + 1
    assert frame["a"][-1] == "word"
    assert frame["b"].dtype == np.float64


@pytest.mark.parametrize(
    ("name", "content", "error", "sentence"),
    [
        ("a.csv", "a,b\n1,2\n3,4\n5\n", ReslabError, r"cannot read .*a.csv .* Row #4: Expected 2 columns, got 1: 5"),
        ("a.csv", "a,a\n1,2\n", UsageError, "a.csv: two columns are named 'a': rename one of them"),
        ("a.csv", "a,b\n", UsageError, "a.csv: the table has no rows, only columns: a, b"),
        ("a.csv", "\n", UsageError, "a.csv is empty"),
        ("a.csv", ",,b\n1,2,3\n", UsageError, "a.csv: two columns have no name"),
        (
            "a.csv",
            b"a,b\n1,2\nx,K\xc3\xb6ln K\xc3\xb6\xc3\n",
            ReslabError,
            "a.csv, line 3 is not UTF-8: .*; save it as UTF-8",
        ),
        ("a.csv", b"a,b\n1,2\nx,\x81\xf6\n", ReslabError, "a.csv, line 3 is not UTF-8 or Windows-1252: "),
        ("a.csv", b"\xff\xfea\x00,\x00b", ReslabError, "a.csv, line 1 is not UTF-16: .*name its encoding"),
        ("a.parquet", "PAR1 and no more", ReslabError, "a.parquet is no parquet file, or is damaged"),
        ("a.csv.gz", "not packed", ReslabError, "cannot read .*a.csv.gz"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', ReslabError, "a.jsonl, line 2 is not JSON"),
        ("a.jsonl", "[" * 100_000, ReslabError, "a.jsonl, line 1 is damaged: it is nested more than 100 levels deep"),
        ("a.jsonl", '{"a": 1}\n[1]\n', UsageError, r"a.jsonl, line 2 is no record of columns and values: \[1\]"),
        ("a.jsonl", '{"a": {"b": 1}}\n', UsageError, "a.jsonl: column 'a', row 0: a nested record"),
        ("a.xlsx", "", UsageError, r"unsupported file type: .*a.xlsx .supported: .csv"),
    ],
)
def test_faults_of_files_are_said(
    tmp_path: Path, name: str, content: str | bytes, error: type[Exception], sentence: str
) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=sentence) as caught:
        read_frame(path)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is error


def test_a_truncated_parquet_and_an_absent_file(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-100])
    with pytest.raises(ReslabError, match=r"a.parquet is no parquet file, or is damaged"):
        read_frame(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=re.escape(f"no such file: {tmp_path / 'b.csv'}")):
        read_frame(tmp_path / "b.csv")
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder; give a file"):
        read_frame(tmp_path / "c.csv")


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text(PLAIN)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'reslab\[data\]'"):
        read_frame(tmp_path / "a.csv")
