"""Kinds of columns: found by the rules, overridden by name, refused with the row that forbids it."""

import numpy as np
import pytest

from reslab.errors import Argument, UsageError
from reslab.tables.data.convert import read_as
from reslab.tables.data.dates import iso_date
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.kinds import find_kinds
from reslab.tables.data.lists import separator_of

N = 100
MANY = [f"word{k}" for k in range(30)]


def kind(values: list) -> str:
    return find_kinds(read_frame({"c": values, "other": range(len(values))}))["c"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([k % 26 for k in range(N)], "number"),  # 26 distinct
        ([k % 25 for k in range(N)], "category"),
        ([k % 25 * 1.0 for k in range(N)], "category"),
        ([k % 3 / 2 for k in range(N)], "number"),  # not whole
        ([float("inf") if k % 5 == 0 else k % 3 for k in range(N)], "category"),
        (list(range(10)), "number"),  # no value is there twice
        ([1, 1, None, 1], "category"),  # it tells what is missing
        ([True, False] * 50, "category"),
        (["a", "b"] * 50, "category"),
        (MANY * 3, "category"),
        ([f"a rather nice dress {k}" for k in range(30)], "text"),
        ([f"a rather nice dress {k}" for k in range(25)] * 4, "category"),
        ([f"title {k}" for k in range(30)], "text"),  # two words, hardly repeated
        ([f"title {k}" for k in range(30)] * 4, "category"),
        ([f"서울에서 부산까지 {k} 시간" for k in range(30)], "text"),
        ([f"東京から大阪まで{k}時間" for k in range(30)], "text"),
        (["2024-02-29", "2024-03-01T12:30:00Z", None], "date"),
        (["2024-02-30", "2024-03-01", "2024-03-02"], "category"),  # two of three
        (["2024-02-29"] * 49 + ["2024-03-01"] * 50 + ["soon"], "date"),
        (["2023", "2024"] * 50, "category"),
        ([f"{k},{k:03d}" for k in range(30)], "number"),
        ([f"-${k},000.50" for k in range(30)], "number"),
        ([f"{k}.5 %" for k in range(30)], "number"),
        ([f"{k}%" for k in (10, 20, 30)] * 10, "category"),  # few whole ones
        ([f"{k},{k}" for k in range(30)], "number"),  # a decimal comma
        ([f"{k},{k},{k}" for k in range(30)], "text"),  # neither thousands nor plain
        (["a|b", "b|c", "a|c"] * 10, "categories"),
        (["a; b", "b;c", "a ;c"] * 10, "categories"),
        (["Drama", "Comedy", "Drama|Comedy", "Drama|War", "War|Comedy", "Drama|War|Comedy", "War"] * 10, "categories"),
        (["Smith; he was a man of few words", "Jones; she was a woman of many words"] * 10, "category"),
        ([["a"], ["a", "b"], None], "categories"),
    ],
)
def test_kinds_by_themselves(values: list, expected: str) -> None:
    assert kind(values) == expected


def test_constant_and_empty_columns_are_left_out_and_said() -> None:
    report = Report()
    frame = read_frame({"same": [5] * 3, "word": ["a"] * 3, "none": [None] * 3, "n": [1.5, 2, 3]})
    assert find_kinds(frame, report=report) == {"same": "skip", "word": "skip", "none": "skip", "n": "number"}
    assert list(report.lines()) == [
        "column 'same': constant ('5' in every row); ignored",
        "column 'word': constant ('a' in every row); ignored",
        "column 'none': empty; ignored",
    ]


def test_numbers_as_strings_are_said() -> None:
    report = Report()
    frame = read_frame({"age": [str(k) for k in range(99)] + ["unknown"]})
    assert find_kinds(frame, report=report) == {"age": "category"}
    (line,) = report.lines()
    assert "but 'unknown' is not" in line
    assert 'kinds={"age": "number"} makes them numbers, and such cells missing' in line
    (argument,) = (part for part in line.parts if isinstance(part, Argument))
    assert find_kinds(frame, argument.value) == {"age": "number"}  # what it advises is not refused
    numbers = read_as("number", "age", frame["age"], report)
    assert np.array_equal(numbers, [*range(99), np.nan], equal_nan=True)
    assert report.problems[-1].sentence == "1 of 100 values is no number (e.g. 'unknown'); treated as missing"


def test_numbers_as_people_write_them() -> None:
    report = Report()
    values = ["1,234.5", "-$5", None, "12 %", "€7", "1,000,000", *map(str, range(30))]
    column = read_frame({"pay": values})["pay"]
    assert find_kinds(Frame({"pay": column}), report=report) == {"pay": "number"}
    assert list(report.lines()) == ["column 'pay': '1,234.5' and the like are read as 1234.5"]
    numbers = read_as("number", "pay", column)
    assert np.array_equal(numbers[:6], [1234.5, -5, np.nan, 12, 7, 1_000_000], equal_nan=True)
    with pytest.raises(UsageError, match="column 'pay' is of kind 'number', but row 0 is '1,23,4'"):
        read_as("number", "pay", np.array(["1,23,4"], dtype=object))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["29/02/24", "1/3/24"], "'29/02/24' are not recognized"),
        (["3/4/2024", "5/6/2024 12:00"], "'3/4/2024' may be day and month or month and day"),
        (["10.0.0.1", "10.0.0.2"], None),  # addresses
        (["1.2.3", "1.2.4"], None),  # versions
    ],
)
def test_dates_in_other_forms_are_said(values: list[str], said: str | None) -> None:
    report = Report()
    assert find_kinds(read_frame({"day": values}), report=report)["day"] != "date"
    lines = [line for line in report.lines() if "dates" in line]
    assert len(lines) == (said is not None)
    assert all(f"{said}" in line and line.endswith("write dates like 2024-02-29") for line in lines)


def test_overrides() -> None:
    frame = read_frame({"a": [1, 2] * 50, "s": ["1", "2.5"] * 50, "t": ["x", "y"] * 50})
    assert find_kinds(frame, {"a": "number", "s": "number", "t": "skip"}) == {"a": "number", "s": "number", "t": "skip"}
    assert read_as("number", "s", frame["s"])[:2].tolist() == [1, 2.5]


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        ({"agee": "number"}, "no column named 'agee'; did you mean 'age'"),
        ({"age": "numbers"}, "cannot be 'numbers'; the kinds are .*; did you mean 'number'"),
        ({"word": "number"}, "column 'word' is of kind 'number', but row 1 is 'three'"),
        ({"word": "date"}, "column 'word' is of kind 'date', but row 0 is '2'"),
        ({"age": "date"}, "column 'age' is of kind 'date', but row 0 is 1.0"),
        ({"day": "number"}, "column 'day' is of kind 'number', but row 1 is 2024-02-29"),
        ({"list": "text"}, "column 'list' is of kind 'text', but row 0 is"),
    ],
)
def test_overrides_that_cannot_be(kinds: dict[str, str], sentence: str) -> None:
    day = np.array(["NaT", "2024-02-29"], dtype="datetime64[us]")
    frame = read_frame({"age": [1, 2], "word": ["2", "three"], "day": day, "list": [["a"], []]})
    with pytest.raises(UsageError, match=sentence):
        find_kinds(frame, kinds)


def test_dates_are_iso_and_utc() -> None:
    assert str(iso_date("2024-03-01 09:00:00+09:00")) == "2024-03-01 00:00:00"
    for text in ("2024", "2024-03", "20240301", "2024-13-01", "1.3.2024", "2024-03-01 soon"):
        assert iso_date(text) is None


def test_strange_dates_are_missing_and_said() -> None:
    report = Report()
    column = read_frame({"d": ["2024-02-29", "soon", None]})["d"]
    assert np.isnat(read_as("date", "d", column, report)).tolist() == [False, True, True]
    assert list(report.lines()) == ["column 'd': 1 values are not ISO dates (e.g. 'soon'); treated as missing"]


def test_how_dates_are_written_is_said() -> None:
    with pytest.raises(UsageError, match=r"row 0 is '3/4/2024'; write dates like 2024-02-29"):
        find_kinds(read_frame({"day": ["3/4/2024"] * 3}), {"day": "date"})


def test_an_empty_column_has_every_type() -> None:
    column = read_frame({"c": [None, None]})["c"]
    assert np.isnan(read_as("number", "c", column)).all()
    assert np.isnat(read_as("date", "c", column)).all()
    for name in ("category", "categories", "text"):
        assert list(read_as(name, "c", column)) == [None, None]  # type: ignore[arg-type]


def test_separators() -> None:
    assert separator_of(["a|b;c", "d"]) == "|"
    assert separator_of(["a, b", "c"]) == ","
    assert separator_of(["a, b", "c"], sure=True) == ""  # commas stand in names, too
    assert separator_of(["a", "b"]) == ""
