"""Tables of every kind of damage: each is read, or refused in one sentence; nothing else ends a fit or a prediction."""

import contextlib
import datetime as dt
import gzip
import io
import json
import random
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from reslab.errors import ReslabError, ReslabWarning
from reslab.tables import ResidualClassifier
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, read_frame
from reslab.tables.data.report import Report
from reslab.tables.data.target import Target

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
Dice = random.Random
CASES = 5_000

WORDS = ["", "?", "NA", "-", "a", "A", "b", "Köln", "a|b", "['a']", "true", "FALSE", "yes", "1", "0", "007", "2.5",
         "1.001", "1,001", "1.000,05", "1 037", "(3)", "−5", "12 %", "$5", "2024-02-29", "29.2.2024",
         "3/4/2024"]  # fmt: skip
ODD = [" ", "\u202f", "\ufeff", '"', "'", "x,y", "a;b", "[", "1e999", "nan", "inf", "-inf", "1_0", "9" * 400,
       "13/4/2024", "2024-13-01", "0000-00-00", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00+14:00", "24:00", "\x00",
       "\ud800", "=1", "#x", "x" * 5000, "e" + "\u0301" * 40, "𝟙", "١٢٣", "½", "²", "NaT", "  a ", "\t", "a\nb",
       "\r"]  # fmt: skip
USUAL: list[list[Any]] = [
    WORDS, WORDS, ["a", "b", "c", None], [0.5, 1.5, float("nan"), 2.0, -1e3], [1, 2, 3, None], [True, False, None],
    ["1,5", "2,25", "1.000,5"], [dt.date(2024, 2, 29), dt.date(2023, 1, 1), None], [["a", "b"], [], ["b"], None],
]  # fmt: skip
STRANGE: list[list[Any]] = [
    ODD, [float("inf"), -0.0, 1e308, 5e-324, 1], [2**53 + 1, 10**30, -(2**63)], [10**400],
    [Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e999999")],
    [Fraction(1, 3), np.float32(1.5), np.int8(3), np.bool_(True), np.float16("nan")], [np.str_("a"), "b"],
    [dt.datetime.max, dt.datetime.min, dt.datetime(1, 1, 1, tzinfo=dt.UTC)],
    [dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=14)))],
    [np.datetime64("NaT"), np.datetime64("2024"), np.datetime64("2024-02-29T12", "ns")], [np.datetime64(2**60, "s")],
    [np.timedelta64(5, "D"), np.timedelta64("NaT")], [np.timedelta64(3)], [dt.timedelta(1), dt.timedelta.max],
    [dt.time(12), dt.time(12, tzinfo=dt.UTC)], [["a", None], {"a"}, np.array([1, 2])], [[["a"]]], [{"a": 1}],
    [np.array(3)], [[b"x"]], [b"x"], [UUID(int=5)], [Path("x")], [object], [1j], [range(3)], [...],
]  # fmt: skip


def values(dice: Dice, rows: int, *, odd: bool = True) -> list[Any]:
    """A column of one kind of value, or of several."""
    kinds = [
        dice.choice(STRANGE if odd and dice.random() < 0.15 else USUAL) for _ in range(dice.choice([1, 1, 1, 1, 2]))
    ]
    return [dice.choice(dice.choice(kinds)) for _ in range(rows)]


def text(dice: Dice) -> str:
    """A file of text, near enough to a table."""
    mark, end, rows, columns = (
        dice.choice(",;\t|, "),
        dice.choice(["\n", "\r\n", "\r"]),
        dice.randrange(12),
        dice.randrange(1, 6),
    )
    words = [dice.choice(WORDS) for _ in range(dice.randrange(1, 6))]
    names = [dice.choice([f"c{k}", f" c{k}", dice.choice(WORDS)]) for k in range(columns)]
    lines = [] if dice.random() < 0.2 else [names]
    lines += [[dice.choice(words) for _ in range(columns + (dice.random() < 0.005))] for _ in range(rows)]
    quote = dice.choice(["", "", '"'])
    start = dice.choice(
        ["", "", "", "", "", "", "\ufeff", "sep=;\n", "# x\n", "#\n#a,b\n", "\n\n", "|x\n", "sep=", '"']
    )
    return (
        start + end.join(mark.join(f"{quote}{cell}{quote}" for cell in line) for line in lines) + dice.choice(["", end])
    )


def damaged(dice: Dice, data: bytes) -> bytes:
    """Some bytes changed, cut off or repeated; or none."""
    found = bytearray(data)
    for _ in range(dice.choice([0, 0, 0, 0, 0, 1, 3, 20])):
        if found:
            place = dice.randrange(len(found))
            how = dice.randrange(4)
            if how == 0:
                found[place] = dice.randrange(256)
            elif how == 1:
                del found[place : place + dice.randrange(1, 30)]
            elif how == 2:
                found[place:place] = found[max(0, place - 20) : place]
            else:
                found[place:place] = bytes(dice.choices(range(256), k=3))
    return bytes(found)


def of_text(dice: Dice, folder: Path) -> Path:
    name = dice.choice(["t.csv", "t.csv", "t.tsv", "t.data", "t.csv.gz"])
    encoding = dice.choice(["utf-8"] * 5 + ["utf-16", "latin-1", "utf-8-sig", "shift_jis"])
    data = damaged(dice, text(dice).encode(encoding, "replace"))
    (folder / name).write_bytes(damaged(dice, gzip.compress(data)) if name.endswith("gz") else data)
    return folder / name


def of_json(dice: Dice, folder: Path) -> Path:
    columns = [values(dice, 8, odd=False) for _ in range(dice.randrange(1, 4))]
    records = [{f"c{k}": column[row] for k, column in enumerate(columns) if dice.random() < 0.9} for row in range(8)]
    records += [{"c0": dice.choice([[1, "b"], {"a": 1}, 10**400, "\ud800"])}] * (dice.random() < 0.1)
    (folder / "t.jsonl").write_bytes(damaged(dice, "\n".join(json.dumps(one, default=str) for one in records).encode()))
    return folder / "t.jsonl"


def of_parquet(dice: Dice, folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, columns = dice.randrange(2, 30), {}
    for k in range(dice.randrange(1, 5)):
        try:
            columns[dice.choice([f"c{k}", f"c{k}", dice.choice(WORDS)])] = pa.array(
                values(dice, rows, 7)
            )  # others crash pyarrow
        except (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError):
            columns[f"c{k}"] = pa.array(range(rows))
    sink = io.BytesIO()
    with contextlib.suppress(pa.ArrowException, UnicodeError):
        pq.write_table(pa.table(columns), sink, store_schema=dice.random() < 0.5)
    (folder / "t.parquet").write_bytes(damaged(dice, sink.getvalue()))
    return folder / "t.parquet"


def of_sheet(dice: Dice, folder: Path) -> Path:
    (folder / "t.xlsx").write_bytes(damaged(dice, b"PK\x03\x04" + bytes(50)))
    return folder / "t.xlsx"


def of_values(dice: Dice, folder: Path) -> Any:
    import pandas as pd

    rows = dice.randrange(2, 30)
    columns = {
        dice.choice([f"c{k}", f"c{k}", k, dice.choice(WORDS)]): values(dice, rows) for k in range(dice.randrange(1, 5))
    }
    form = dice.choice(["dict", "pandas", "records", "rows", "array"])
    if form == "pandas":
        try:
            return pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in columns.items()})
        except (ValueError, TypeError, OverflowError):
            return columns
    if form == "records":
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if form in ("rows", "array"):
        found = [list(row) for row in zip(*columns.values(), strict=True)]
        if form == "rows":
            return found
        array = np.empty((rows, len(columns)), dtype=object)
        for k, row in enumerate(found):
            for j, value in enumerate(row):
                array[k, j] = value
        return array
    return columns


SOURCES: tuple[Callable[[Dice, Path], Any], ...] = (
    *[of_text] * 6,
    *[of_values] * 4,
    *[of_json] * 2,
    *[of_parquet] * 3,
    of_sheet,
)
HOW: dict[str, list[Any]] = {
    "header": [None, None, True, False], "decimal": [None, None, ".", ","], "missing": [(), ("?", "NA", "-"), ("",)],
    "encoding": [None] * 30 + ["latin-1", "utf-16", "shift_jis"], "skip": [()] * 9 + [("c0",)],
}  # fmt: skip


def use(dice: Dice, frame: Frame, other: Frame) -> None:
    """Fit on the frame, predict the other, and take one column as a target."""
    kinds = {name: dice.choice(["number", "category", "categories", "date", "text", "skip"])
             for name in frame.names if dice.random() < 0.1}  # fmt: skip
    report, words = Report(), dice.choice([None, None, [], ["a"], ["3"]])
    encoder = TableEncoder.fit(frame, kinds, report=report, missing=words, decimal=dice.choice([None, ".", ","]))
    encoder = TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict()[0])), encoder.to_dict()[1])
    for one in (frame, other):
        table = encoder.transform(one, report=report)
        for array in table.batch(range(len(table))).values():
            assert not array.isinf().any()
    assert all(map(str, report.lines()))
    with contextlib.suppress(ReslabError):
        one = frame.without(*frame.names[1:])
        Target.fit(one).encode(one)


def trained(dice: Dice, source: Any, rows: int) -> None:
    """Fit a small estimator on it, and predict: both warn of what is odd, and of nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReslabWarning)
        model = ResidualClassifier(sizes={"depth": 1, "width": 4, "inner": 4, "embedding": 2, "bins": 2}, device="cpu",
                                   recipe={"epochs": 1}, validation=0, random_state=0, members=1)  # fmt: skip
        model.fit(source, [k % 2 for k in range(rows)])
        assert np.isfinite(model.predict_proba(source)).all()


def run(case: int, folder: Path) -> None:
    """One case: two tables of one kind of source, or their rows in another order."""
    dice = Dice(case)
    source = dice.choice(SOURCES)
    how = {key: dice.choice(some) for key, some in HOW.items()}
    table = source(dice, folder)
    frame = read_frame(table, report=Report(), how=Format(**how))
    if case % 20 == 0 and source is not of_values:
        trained(dice, frame.columns, len(frame))
    other = frame.take(dice.choices(range(len(frame)), k=5))
    if dice.random() < 0.3:
        other = read_frame(source(dice, folder), report=Report(), how=Format(**how))
    use(dice, frame, other)


def ended(case: int, folder: Path) -> str:
    """ "used", or "refused" in a sentence; any other end raises."""
    try:
        run(case, folder)
    except ReslabError:
        return "refused"
    return "used"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_no_table_ends_in_anything_but_a_sentence(part: int, tmp_path: Path) -> None:
    """5,000 tables in ten parts; each can be made again from its number alone."""
    ends = {"used": 0, "refused": 0}
    for case in range(part * CASES // 10, (part + 1) * CASES // 10):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                ends[ended(case, tmp_path)] += 1
            except BaseException as error:
                pytest.fail(f"case {case}: {type(error).__name__}: {error}")
    assert min(ends.values()) > 50
