"""One value written in two ways between training and prediction gives the same codes; what is not certain is said."""

import datetime as dt
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from reslab.cli import say
from reslab.errors import Argument, ReslabWarning, Sentence, UsageError
from reslab.tables.data.convert import read_as
from reslab.tables.data.dates import date_of, order_of
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import Report, read_frame
from reslab.tables.data.target import Target
from reslab.tables.data.written import decimal_mark, number_of

NAN = float("nan")


def coded(train: list, test: list, kind: str | None = None, **how: Any) -> tuple[list, list[str]]:
    """The codes of the test values, or their bags or numbers, and what is reported; through a stored encoder."""
    frame, report = read_frame({"c": train, "n": [k / 3 for k in range(len(train))]}), Report()
    fitted = TableEncoder.fit(frame, {"c": kind} if kind else None, **how)
    about, arrays = fitted.to_dict()
    encoder = TableEncoder.from_dict(json.loads(json.dumps(about)), arrays)
    table = encoder.transform(read_frame({"c": test, "n": [0.5] * len(test)}), report=report)
    lines = list(map(str, report.lines()))
    if table.codes is not None:
        return table.codes[:, 0].tolist(), lines
    if table.bags is None:
        assert table.numbers is not None
        return table.numbers[:, 0, 0].tolist(), lines
    batch = table.batch(range(len(test)))
    ends = [*batch["bag_offsets"].tolist(), len(batch["bag_ids"])]
    return [sorted(batch["bag_ids"][a:b].tolist()) for a, b in pairwise(ends)], lines


TRUTH: dict[str, list] = {  # true, true, false, as parquet, SQL, R, Excel, Postgres and people write them
    "bool": [True, True, False], "numpy": list(np.array([1, 1, 0], bool)), "whole": [1, 1, 0], "real": [1.0, 1.0, 0.0],
    "python": ["True", "True", "False"], "json": ["true", "true", "false"], "R": ["TRUE", "TRUE", "FALSE"],
    "text": ["1", "1", "0"], "short": ["T", "T", "F"], "postgres": ["t", "t", "f"], "people": ["yes", "yes", "no"],
    "Excel": ["WAHR", "WAHR", "FALSCH"], "spaces": [" Yes", "YES ", "No"],
}  # fmt: skip


@pytest.mark.parametrize("train", [name for name in TRUTH if name != "spaces"])
def test_truth_values_are_equal_in_every_spelling(train: str) -> None:
    for test, values in TRUTH.items():
        assert coded(TRUTH[train] * 4, values) == ([1, 1, 2], []), (train, test)


def test_truth_values_are_not_guessed() -> None:
    """Only two known values may mean true and false: beside a third one, or as 1 and 2, they are codes."""
    assert coded(["M", "F", "T"] * 4, ["true", "Y"])[0] == [0, 0]
    assert coded(["t", "f", "m"] * 4, ["true", "no", True, "1"])[0] == [0, 0, 0, 0]
    assert coded(["yes", "no", "maybe"] * 4, [True, "Maybe"])[0] == [0, 1]
    assert coded([0, 1, 2] * 4, [True, False, "yes"])[0] == [0, 0, 0]
    codes, (line,) = coded([1, 2] * 8, [True, False], "category")
    assert codes == [0, 0]
    assert "2 of 2 rows have values never or rarely seen in training (e.g. 'True')" in line


def test_a_class_is_no_truth_value_unless_all_are() -> None:
    for classes in ([1, 2], [0, 1, 2], ["t", "f", "m"]):
        with pytest.raises(UsageError, match="row 0 of the target is True, which was not in training"):
            Target.fit(classes).encode([True, True])
    assert Target.fit([0, 1]).encode([True, False, 1.0]).tolist() == [1, 0, 1]


def test_a_class_in_another_case_is_counted_and_said() -> None:
    """t, f and m are codes, so that F may be another class than f; TRUE beside False is certain."""
    said = "2 of 4 rows of the target have classes written otherwise than in training ('F' is read as 'f')"
    target, report = Target.fit(["t", "f", "m"]), Report()
    assert target.encode(["f", "F", "m", "F"], report=report).tolist() == [0, 0, 1, 0]
    assert list(report.lines()) == [said]
    with pytest.warns(ReslabWarning, match=r"2 of 4 rows of the target have classes written otherwise"):
        target.encode(["f", "F", "m", "F"])
    assert Target.fit([True, False]).encode(["TRUE", "false"]).tolist() == [1, 0]
    codes, (line,) = coded(["t", "f", "m"] * 4, ["F", "f"])
    assert codes == [1, 1]
    assert "1 of 2 rows has a value written otherwise than in training ('F' is read as 'f')" in line


SAME: list[tuple[list, list, str | None]] = [
    (["03", "03", "11"], [3, 11], "category"),
    (["3.0", "3.0", "4.5"], [3, 4.5], "category"),
    ([3, 3, 11], ["3.0", " 11 "], "category"),
    ([Decimal("1.50"), Decimal("1.5"), Decimal(2)], ["1.5", 2.0], "category"),
    (["1000", "1000", "2000"], ["1,000", 2e3], "category"),
    (["2024-02-29"] * 2 + ["2023-01-01"], [dt.date(2024, 2, 29), dt.datetime(2023, 1, 1)], "category"),
    ([dt.date(2024, 2, 29)] * 2 + [dt.date(2023, 1, 1)], ["2024-02-29", "2023-01-01T00:00"], "category"),
    ([dt.date(2024, 2, 29)] * 2 + [dt.date(2023, 1, 1)], ["29.2.2024", "01 Jan 2023"], "category"),
    (["N\u00fcrnberg"] * 2 + ["K\u00f6ln"], ["Nu\u0308rnberg", " K\u00f6ln\u00a0"], "category"),
    ([("a", "b"), ("a", "b"), ("b",)], ["a|b", "['b']"], None),
    (["a|b", "a|b", "b"], [["a", "b"], ["b"]], "categories"),
    (["['a', 'b']", "['a', 'b']", "['b']"], ["a; b", "b"], None),
    ([("1", "2"), ("1", "2"), ("2",)], [[1, 2], [2.0]], None),
]  # fmt: skip


@pytest.mark.parametrize(("train", "test", "kind"), SAME)
def test_other_values_are_equal_in_every_spelling(train: list, test: list, kind: str | None) -> None:
    codes, _ = coded(train * 4, test, kind)
    assert codes == coded(train * 4, [train[0], train[2]], kind)[0]
    assert 0 not in codes
    assert [0] not in codes


def test_what_is_only_likely_the_same_is_said() -> None:
    assert coded(["Rome", "Rome", "Oslo"] * 4, ["ROME", "oslo", "Oslo", "Bari"]) == ([1, 2, 2, 0], [
        "column 'c': 1 of 4 rows has a value never or rarely seen in training (e.g. 'Bari'); treated as unknown",
        "column 'c': 2 of 4 rows have values written otherwise than in training ('ROME' is read as 'Rome')",
    ])  # fmt: skip
    assert coded(["us", "us", "US", "US"] * 2, ["Us", "US"])[0] == [0, 1]  # it could be either
    assert coded(["1000", "1000", "7"] * 4, ["1e3"], "category")[0] == [0]  # codes, not numbers


def test_a_target_is_equal_in_every_spelling() -> None:
    for name in TRUTH:
        target = Target.fit(TRUTH[name][1:], "classes") if name != "spaces" else Target.fit(["Yes", "No"])
        order = target.encode(TRUTH[name][1:]) if name != "spaces" else target.encode(["Yes", "No"])
        for other in ("bool", "whole", "json", "people"):
            assert target.encode(TRUTH[other][1:]).tolist() == order.tolist(), (name, other)
    with pytest.raises(UsageError, match="row 1 of the target is 'maybe', which was not in training; its classes are"):
        Target.fit([True, False]).encode(["yes", "maybe"])


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("950", 950, 950), ("1.001", 1.001, 1001), ("1,001", 1001, 1.001), ("1.000,05", None, 1000.05),
        ("1,000.05", 1000.05, None), ("1.234.567", None, 1234567), ("0.125", 0.125, None), ("3,46", None, 3.46),
        ("1\u00a0037", 1037, 1037), ("1 037", 1037, 1037), ("1\u202f037,5", None, 1037.5), ("1'234.5", 1234.5, None),
        ("1’234", 1234, 1234), ("(3.46)", -3.46, None), ("($1,000)", -1000, -1), ("\u22125", -5, -5), ("$-5", -5, -5),
        ("5 €", 5, 5), ("EUR 5", 5, 5), ("12 %", 12, 12), ("１２", 12, 12), ("12,34,567", 1234567, None),
        ("1e3", 1e3, 1e3),
        ("1_000", None, None), ("--5", None, None), ("(-5)", None, None), ("1,23,4", None, None), ("1 23", None, None),
        ("10.0.0.1", None, None), ("5 km", None, None), ("", None, None),
    ],
)  # fmt: skip
def test_numbers_of_other_countries(text: str, point: float | None, comma: float | None) -> None:
    assert (number_of(text), number_of(text, ",")) == (point, comma)


def test_the_decimal_mark_is_taken_from_the_certain_numbers() -> None:
    for texts, mark in (([" 950", "1.001", "3,5"], ","), (["1.001", "0.125"], "."), (["1.234.567", "1.001"], ",")):
        found = decimal_mark(texts)
        assert found is not None
        assert (found.mark, found.sure) == (mark, True)
    assert decimal_mark(["1.5", "3,5"]) is None  # each certain, and not of one table
    for hint in (None, ".", ","):
        found = decimal_mark(["950", "1.001"], hint)
        assert found is not None
        assert (found.mark, found.sure, found.example) == (hint or ".", hint is not None, "1.001")


def test_numbers_are_read_as_in_training() -> None:
    """1.001 is a thousand and one for a table that has 3,5 elsewhere; where it could be either, that is said."""
    german = [f"{k}.001,5" for k in range(1, 31)]
    assert (
        coded(german, ["10.001,5", "10.001"])[0]
        == coded([10001.5 + 1000 * k for k in range(-9, 21)], [10001.5, 10001])[0]
    )
    report = Report()
    values = [f"{k}.001" for k in range(1, 31)]
    encoder = TableEncoder.fit(read_frame({"c": values}), {"c": "number"}, report=report)
    (line,) = report.lines()
    assert line == "column 'c': '1.001' and the like are read as 1.001; decimal=\",\" reads 1001"
    (argument,) = (part for part in line.parts if isinstance(part, Argument))
    assert say.argument(argument) == "--decimal ,"
    told = TableEncoder.fit(read_frame({"c": values}), {"c": "number"}, decimal=argument.value)
    assert [one.columns[0].code.mean for one in (encoder, told)] == [pytest.approx(15.501), 15501]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"decimal must be '.' or ',', got ';'"):
        TableEncoder.fit(read_frame({"c": values}), decimal=";")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("29.2.2024", "2024-02-29"), ("29.02.2024 12:30", "2024-02-29T12:30"), ("2024/2/29", "2024-02-29"),
        ("29/02/2024", "2024-02-29"), ("2/29/2024 1:05 PM", "2024-02-29T13:05"), ("29 Feb 2024", "2024-02-29"),
        ("29-feb-2024", "2024-02-29"), ("February 29, 2024", "2024-02-29"), ("4/4/2024", "2024-04-04"),
        ("3/4/2024", None), ("30.2.2024", None), ("1.2.3", None), ("29.2.24", None), ("12:30", None), ("soon", None),
        ("1/1/2024 13:00 PM", None), ("29 Feb", None),
    ],
)  # fmt: skip
def test_dates_as_people_write_them(text: str, moment: str | None) -> None:
    found = date_of(text)
    assert found is None if moment is None else np.datetime64(found, "us") == np.datetime64(moment)


def test_the_order_of_dates_is_that_of_training() -> None:
    assert (order_of(["3/4/2024", "13/4/2024"]), order_of(["3/4/2024", "4/13/2024"])) == ("dmy", "mdy")
    assert order_of(["13/4/2024", "4/13/2024"]) is None
    for train, day in ((["3/4/2024", "13/4/2024"], "2024-04-03"), (["3/4/2024", "4/13/2024"], "2024-03-04")):
        assert coded(train * 4, ["3/4/2024"])[0] == coded(train * 4, [np.datetime64(day)])[0]
    assert coded(["2024-02-29", "2023-01-01"] * 4, ["29.2.2024", "3/4/2024"])[1] == [
        "column 'c': 1 values are not ISO dates (e.g. '3/4/2024'); treated as missing"
    ]


def advice(values: list) -> tuple[TableEncoder, list[Sentence]]:
    report = Report()
    return TableEncoder.fit(read_frame({"c": values, "n": list(range(len(values)))}), report=report), list(
        report.lines()
    )


@pytest.mark.parametrize(
    ("values", "said", "missing"),
    [
        ([f"2024-01-{k % 28 + 1:02d}" for k in range(75)] + ["soon"] * 25, "75 % of the values are dates", 25),
        ([str(k) for k in range(60)] + ["unknown"] * 40, "strings that are numbers, but 'unknown' is not", 40),
        ([f"{k}.5" for k in range(60)] + [f"none {k}" for k in range(20)], "'none 0' and 25 % of the values", 20),
    ],
)  # fmt: skip
def test_every_advice_about_kinds_is_taken(values: list, said: str, missing: int) -> None:
    """Judged by the share of rows; as the advised kind, the other cells are missing and counted."""
    encoder, lines = advice(values)
    assert encoder.kinds["c"] in ("category", "text")
    (line,) = lines[:1]
    assert said in line
    (argument,) = (part for part in line.parts if isinstance(part, Argument))
    report = Report()
    taken = TableEncoder.fit(read_frame({"c": values}), argument.value, report=report)
    assert taken.kinds == argument.value
    assert f"{missing} " in report.problems[-1].sentence
    assert report.problems[-1].sentence.endswith("treated as missing")


@pytest.mark.parametrize("word", ["?", "NA", "-", "null", "#DIV/0!", " ? "])
def test_words_for_missing_values(word: str) -> None:
    """Numbers beside them are numbers; a word that only the prediction has is missing, too; each is counted."""
    numbers = [word if k % 10 == 0 else str(k / 4) for k in range(60)]
    report = Report()
    encoder = TableEncoder.fit(read_frame({"c": numbers}), report=report)
    assert encoder.kinds == {"c": "number"}
    assert list(report.lines()) == [f"column 'c': {word.strip()!r} in 6 of 60 rows are read as missing"]
    plain = TableEncoder.fit(read_frame({"c": [None if k % 10 == 0 else k / 4 for k in range(60)]}))
    assert encoder.columns[0].code.mean == plain.columns[0].code.mean  # type: ignore[union-attr]
    assert np.isnan(coded([k / 4 for k in range(60)], [word, 3])[0]).tolist() == [True, False]
    assert (
        coded(["a", "a", None] * 4, ["a", word, None])[0]
        == coded(["a", "a", word] * 4, ["a", word, None])[0]
        == [2, 1, 1]
    )


def test_the_words_for_missing_values_are_chosen() -> None:
    values = ["1", "2", "n.a.", "NA"] * 10
    report = Report()
    TableEncoder.fit(read_frame({"c": values}), report=report, missing=["n.a.", "NA", "x"])
    assert [str(line) for line in report.lines()] == [
        "column 'c': 'n.a.' in 10, 'NA' in 10 of 40 rows are read as missing"
    ]
    encoder = TableEncoder.fit(read_frame({"c": values}), missing=[])
    assert (encoder.kinds["c"], encoder.sizes["categories"]) == ("category", (5,))
    with pytest.raises(UsageError, match="must be a list of strings, got '\\?'"):
        TableEncoder.fit(read_frame({"c": values}), missing="?")


def test_one_word_among_the_numbers_of_a_prediction_is_missing() -> None:
    """And counted; half of them are a mistake."""
    codes, lines = coded([k / 4 for k in range(60)], ["3", "n/k", "4.5"])
    assert np.isnan(codes).tolist() == [False, True, False]
    assert lines == ["column 'c': 1 of 3 values is no number (e.g. 'n/k'); treated as missing"]
    with pytest.raises(UsageError, match="column 'c' is of kind 'number', but row 1 is 'n/k'"):
        coded([k / 4 for k in range(60)], ["3", "n/k"])
    assert coded([k / 4 for k in range(60)], [True, False])[0] == coded([k / 4 for k in range(60)], [1, 0])[0]


def test_a_constant_target_is_predicted() -> None:
    """In whatever unit; beside another one, too."""
    for value in (0.1, 1e-3, 1e9 + 0.1, 0.0, -7.0):
        target = Target.fit([value] * 7, "numbers")
        assert target.unscaled(np.array([[-3.0], [5.0]])).tolist() == [[value]] * 2
    both = Target.fit(np.array([[1.0, 5.0], [3.0, 5.0]]), "numbers")
    assert both.unscaled(np.array([[1.0, 1.0]])).tolist() == [[3.0, 5.0]]
    assert both.numbers([[1.0, 6.0]]).tolist() == [[1.0, 6.0]]  # what is measured against is not the mean


def test_small_differences_of_large_numbers_are_kept() -> None:
    """1e9 + k / 10,000: mean 1e9 + 4.5e-4, standard deviation sqrt(8.25) / 10,000; in a column alike."""
    y = 1e9 + np.arange(10) * 1e-4
    target = Target.fit(y, "numbers")
    back = target.decode(target.unscaled(target.encode(y).astype(np.float64)))
    assert np.abs(back - y).max() < 2e-7  # a float64 of this size has steps of 1.2e-7
    assert target.std == pytest.approx(np.sqrt(8.25) * 1e-4, rel=1e-3)
    column = read_frame({"x": y})["x"]
    table = TableEncoder.fit(read_frame({"x": column}), {"x": "number"}).transform(read_frame({"x": column}))
    assert table.numbers is not None
    np.testing.assert_allclose(table.numbers[:, 0, 1], (np.arange(10) - 4.5) / np.sqrt(8.25), atol=2e-3)


def test_what_a_kind_cannot_hold_names_the_first_row() -> None:
    with pytest.raises(UsageError, match="column 'd' is of kind 'date', but row 1 is '3/4/2024'; write dates like"):
        read_as("date", "d", read_frame({"d": [None, "3/4/2024", "4/3/2024"]})["d"])
