"""Rows read one by one: nothing about a row depends on the rows beside it."""

import random
from typing import Any

import numpy as np
import pytest

from reslab.errors import UsageError
from reslab.tables.data.alone import read_alone
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import read_frame
from reslab.tables.data.report import Report
from reslab.tables.fields import fields_of

DAYS = ["2024-05-03", "2024-11-30", "2023-01-02", "2024-05-04"]


def encoder(**more: list[Any]) -> TableEncoder:
    """Of 40 rows: n 0..39, c a/b, d ISO dates, l lists, t texts, k the numbers 1 and 2 as categories."""
    rows = range(40)
    table: dict[str, list[Any]] = {
        "n": list(map(float, rows)), "c": ["a", "b"] * 20, "d": DAYS * 10, "l": ["x|y", "y|z"] * 20,
        "t": ["some words here and there", "other words of a longer text"] * 20, "k": [1, 2] * 20, **more,
    }  # fmt: skip
    kinds = {"t": "text", "l": "categories", "k": "category", "d": "date", "c": "category", "n": "number"}
    return TableEncoder.fit(read_frame(table), kinds, missing=("?", "-999"))


ROWS: list[dict[str, Any]] = [
    {"n": 3, "c": "a", "d": "2024-05-03", "l": ["x", "z"], "t": "words", "k": 1},
    {"n": "1,5", "c": "A", "d": "25/05/2024", "l": "x|y", "t": None, "k": "2.0"},
    {"n": "1.001", "c": None, "d": "05/25/2024", "l": "x;y", "t": 5, "k": "?"},
    {"n": "1.234,5", "c": 1, "d": "2024-05-03T12:00", "l": None, "t": True, "k": 2.0},
    {"n": True, "c": "?", "d": None, "l": "?", "t": "?", "k": True},
    {"n": -999, "c": "nothing", "l": 4}, {"n": "1.234.567"}, {"n": "1,234"}, {"n": "7 %", "d": "3 May 2024"},
]  # fmt: skip


def arrays(one: TableEncoder, rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Each row as numbers, codes and its bags' contents."""
    found = one.rows(read_alone(rows, one, Report()))
    assert found.numbers is not None
    assert found.codes is not None
    made = []
    for k in range(len(rows)):
        ids, weights, starts = found.flat(np.array([k]))
        made.append([found.numbers[k].tolist(), found.codes[k].tolist(), ids.tolist(), weights.tolist(),
                     starts.tolist()])  # fmt: skip
    return made


def test_a_row_is_read_alike_whatever_stands_beside_it() -> None:
    one = encoder()
    alone = [arrays(one, [row])[0] for row in ROWS]
    for seed in range(20):
        order = random.Random(seed).sample(range(len(ROWS)), len(ROWS))
        for k, found in zip(order, arrays(one, [ROWS[k] for k in order]), strict=True):
            np.testing.assert_equal(found, alone[k])


def test_a_table_of_plain_values_is_read_as_whole() -> None:
    one = encoder()
    rows = [{"n": k, "c": "ab"[k % 2], "d": DAYS[k % 4], "l": "x|z", "t": "words", "k": 1 + k % 2} for k in range(8)]
    whole, found = one.rows(read_frame(rows)), one.rows(read_alone(rows, one, Report()))
    for name in ("numbers", "codes", "bags", "ids", "weights", "starts"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(found, name))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"d": "03/05/2024"}, "column 'd' is of kind 'date', but row 9 is '03/05/2024'; write dates like 2024-02-29"),
        ({"d": "zzz"}, "column 'd' is of kind 'date', but row 9 is 'zzz'; write dates like 2024-02-29"),
        ({"n": "abc"}, "column 'n' is of kind 'number', but row 9 is 'abc'"),
        ({"n": [1, 2]}, "column 'n' is of kind 'number', but row 9 is ('1', '2')"),
    ],
)
def test_what_cannot_be_read_is_refused_among_any_neighbors(row: dict[str, Any], sentence: str) -> None:
    good: list[dict[str, Any]] = [{"d": "25/05/2024", "n": 1}] * 9
    with pytest.raises(UsageError) as error:
        read_alone([*good, row], encoder(), Report())
    assert str(error.value) == sentence


def test_what_is_odd_is_said() -> None:
    report = Report()
    read_alone([{"n": True, "k": "?"}, {"n": 1e300}, {"n": -5}, {"n": -999}], encoder(), report)
    assert list(map(str, report.lines())) == [
        "column 'n': '-999' in 1 of 4 rows is read as missing",
        "column 'n': 1 of 4 values is true or false; read as 1 or 0",
        "column 'k': '?' in 1 of 4 rows is read as missing",
        "column 'n': 2 of 4 values are outside of training's 0 to 39",
    ]


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([0.0] * 92 + [3464.0, 7688.0] * 2 + [15024.0] * 4, 0.0),  # nearly all are equal
        ([*range(5), *[7] * 35], 7.0),
        (list(range(2001)), 999.0),  # 1,000 knots: 1000 is none
        ([0.0] * 1100 + list(range(1, 1001)), 0.0),
        (list(range(1, 1001)) + [5000] * 1100, 5000.0),
        (np.float32([18.1, 65.7, 119.8]).tolist() * 9, 65.7),  # 32 bits
    ],
)
def test_the_middle_of_a_field_is_a_value_of_the_column(values: list[float], middle: float) -> None:
    one = TableEncoder.fit(read_frame({"n": values}), {"n": "number"})
    assert fields_of(one)[0]["middle"] == middle
    assert abs(float(np.median(values)) - middle) <= 1.5
