"""The target apart from its table: as given, complete, and not among the columns under another name."""

from typing import Any

import numpy as np
import pytest

from reslab.errors import UsageError
from reslab.tables.data.frame import Report, read_frame
from reslab.tables.data.target import Target
from reslab.tables.split import groups_of, split_target, tell_copies, tell_joined, tell_missing_class

FEW = ["a", "b", "a", "b", "b", "a"]


def told(columns: dict[str, list], target: list) -> list[str]:
    frame, values = split_target(read_frame({**columns, "y": target}), ["y"], "t.csv")
    report = Report()
    tell_copies(frame, values, groups_of(values, None), report)
    assert all(problem.kind == "copy" for problem in report.problems)
    return [problem.column for problem in report.problems]


def test_classes_under_another_name_are_said() -> None:
    columns = {
        "renamed": ["no" if one == "a" else "yes" for one in FEW], "coded": [float(one == "a") for one in FEW],
        "finer": ["p", "q", "p", "r", "q", "p"],  # two values of one class: it may be learnt from
        "coarser": ["x"] * 6, "id": list("uvwxyz"), "gaps": [None, "b", None, "b", "b", None],
    }  # fmt: skip
    assert told(columns, FEW) == ["renamed", "coded", "gaps"]


def test_where_every_row_is_a_class_an_id_is_no_copy() -> None:
    assert told({"id": list("uvwxyz")}, ["1a", "2a", "3a", "4a", "5a", "5a"]) == []


def test_numbers_in_another_unit_are_said() -> None:
    y = [1.5, 2.5, 4.0, 8.5, 9.0]
    columns = {"cents": [100 * one for one in y], "fahrenheit": [1.8 * one + 32 for one in y],
               "minus": [-one for one in y], "rank": [1, 2, 3, 4, 5], "huge": [1e308, -1e308, 1e308, 0, 1],
               "gaps": [1.5, None, 4.0, 8.5, 9.0], "same": [7] * 5, "word": list("abcde")}  # fmt: skip
    assert told(columns, y) == ["cents", "fahrenheit", "minus"]


def test_numbers_as_people_write_them_are_a_target() -> None:
    frame = read_frame({"x": [1, 2, 3], "pay": ["1,500", "$2", "3.5"], "share": ["10%", "20%", "30%"]})
    _, pay = split_target(frame, ["pay"], "t.csv")
    assert pay.tolist() == [1500, 2, 3.5]
    _, share = split_target(frame, ["share"], "t.csv")
    assert (share.dtype, share.tolist()) == (np.int64, [10, 20, 30])


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([1.5, None, 2.5], "the target 'y' has no value in row 1 of t.csv; remove such rows"),
        (["a", None, None], r"the target 'y' has no value in row 1 of t.csv \(and 1 more\)"),
        ([1.5, float("-inf"), 2.5], "the target 'y' is infinite in row 1 of t.csv; remove such rows"),
    ],
)
def test_what_is_missing_is_said(y: list[Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        split_target(read_frame({"x": [1, 2, 3], "y": y}), ["y"], "t.csv")
    with pytest.raises(UsageError, match=r"t.csv: no column named 'z'; the table has x, y"):
        split_target(read_frame({"x": [1, 2, 3], "y": y}), ["z"], "t.csv")


def test_classes_beyond_2_to_the_53_are_refused() -> None:
    """They would be one class."""
    frame = read_frame({"x": [1.0, 2, 3, 4], "y": [2**53 + 1, 2**53, 2**53 + 1, 2**53]})
    _, values = split_target(frame, ["y"], "t.csv")
    with pytest.raises(UsageError, match=r"2\*\*53 or more.* convert them to strings"):
        groups_of(values, None)
    assert groups_of(values, "numbers") is None
    assert split_target(read_frame({"x": [1, 2], "y": [1e300, 2e300]}), ["y"], "t.csv")[1].tolist() == [1e300, 2e300]


def test_joined_labels_are_taken_apart_where_asked_and_else_hinted_at() -> None:
    tags = ["red|blue", "blue", " green | red", "blue|red", "red", "green"]
    frame = read_frame({"x": list(range(6)), "tags": tags})
    _, values = split_target(frame, ["tags"], "t.csv", "labels")
    assert values.tolist() == [("red", "blue"), ("blue",), ("green", "red"), ("blue", "red"), ("red",), ("green",)]
    assert Target.fit(values).encode(values)[:3].tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 1]]
    empty = read_frame({"x": [1, 2, 3], "tags": ["red|blue", None, ""]})
    assert split_target(empty, ["tags"], "t.csv", "labels")[1].tolist() == [("red", "blue"), (), ()]
    _, values = split_target(frame, ["tags"], "t.csv")
    assert values.tolist() == tags
    report = Report()
    tell_joined(np.tile(values, 2), "tags", report)
    tell_joined(np.array(["a", "b"], dtype=object), "letters", report)
    assert list(report.lines()) == [
        "column 'tags': its classes look like several labels joined by |: kind=\"labels\" separates them"
    ]


def test_a_class_that_means_missing_is_told() -> None:
    """Of a file and of an estimator's y; + and - are classes."""
    report = Report()
    tell_missing_class(np.array(["a", "?", "b", "?", "NA"], dtype=object), "y", report)
    tell_missing_class(np.array(["+", "-", "+"]), "sign", report)
    tell_missing_class(np.array([1.0, 2.0]), "number", report)
    assert [str(line) for line in report.lines()] == [
        f"column 'y': its class {word} of 5 rows) usually means a missing value; remove such rows if it does"
        for word in ("'?' (2", "'NA' (1")
    ]
