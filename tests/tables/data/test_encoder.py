"""The encoder of tables: numbers by hand, categories by hand, bags against a second way; saved and given back."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save
from scipy.special import ndtri
from scipy.stats import rankdata

from reslab.errors import ReslabError, UsageError
from reslab.tables.data.convert import missing
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.numbers import NumberCode
from reslab.tables.data.table import Table
from reslab.tables.data.words import TextCode, tokens

NAN, INF = float("nan"), float("inf")


def encoded(train: Mapping[str, list], test: Mapping[str, list] | None = None, **how: Any) -> Table:
    encoder = TableEncoder.fit(read_frame(train), **how)
    return encoder.transform(read_frame(train if test is None else test))


def bag(table: Table, row: int, column: int = 0) -> dict[int, float]:
    """The weights of one bag by index, through a batch of two rows."""
    batch = table.batch([0, row])
    ends = [*batch["bag_offsets"].tolist(), len(batch["bag_ids"])]
    place = len(ends) // 2 + column
    ids, weights = batch["bag_ids"][ends[place] : ends[place + 1]], batch["bag_weights"][ends[place] : ends[place + 1]]
    return dict(zip(ids.tolist(), weights.tolist(), strict=True))


def test_numbers_by_hand() -> None:
    table = encoded({"n": [10, 20, 20, 40]}, {"n": [10, 20, 30, 40, 99, -INF, NAN]}, kinds={"n": "number"})
    assert table.numbers is not None
    rank, z = table.numbers[:, 0].numpy().T
    # Mean ranks 1, 2.5, 2.5, 4 of 4: (rank - 1/2) / 4 = 1/8, 1/2, 1/2, 7/8; ndtri(7/8) = 1.15035
    np.testing.assert_allclose(rank, [-1.15035, 0, 1.15035 / 2, 1.15035, 1.15035, -1.15035, NAN], rtol=1e-5)
    mean, std = 22.5, np.sqrt((12.5**2 + 2 * 2.5**2 + 17.5**2) / 4)
    np.testing.assert_allclose(z[:5], (np.array([10, 20, 30, 40, 99]) - mean) / std, rtol=1e-6)
    assert z[5] == -10
    assert np.isnan(z[6])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2, max_size=900))
def test_ranks_are_scipys(values: list[float]) -> None:
    column = np.array(values)
    views = NumberCode.fit(column).encode(column)
    np.testing.assert_allclose(views[:, 0], ndtri((rankdata(column) - 0.5) / len(column)), rtol=1e-6, atol=1e-6)


def test_many_numbers_keep_a_thousand_quantiles() -> None:
    column = np.random.default_rng(0).lognormal(size=20_000)
    code = NumberCode.fit(column)
    assert len(code.knots) == 1000
    rank = code.encode(column)[:, 0]
    exact = ndtri((rankdata(column) - 0.5) / len(column))
    assert np.abs(rank - exact)[np.abs(exact) < 2].max() < 0.01  # there two quantiles are 0.019 apart at most
    assert (np.diff(rank[np.argsort(column)]) >= 0).all()


@given(st.lists(st.floats(), min_size=1, max_size=50), st.lists(st.floats(), min_size=1, max_size=50))
def test_numbers_are_finite_unless_missing(train: list[float], test: list[float]) -> None:
    column = np.array(test)
    views = NumberCode.fit(np.array(train)).encode(column)
    assert np.array_equal(np.isfinite(views).all(axis=1), ~np.isnan(column))
    assert np.nanmax(np.abs(views), initial=0) <= 10


def test_infinities_are_counted() -> None:
    report, frame = Report(), read_frame({"n": [0.5, 1.5, INF, -INF, INF, NAN]})
    table = TableEncoder.fit(frame, report=report).transform(frame.take([0, 2]), report=report)
    assert list(report.lines()) == [
        "column 'n': 3 of 6 values are infinite; replaced by the largest or smallest number",
        "column 'n': 1 of 2 values are infinite; replaced by the largest or smallest number",
    ]
    assert table.numbers is not None
    assert torch.equal(table.numbers[1], torch.tensor([[table.numbers[1, 0, 0], 10.0]]))


def test_categories_by_hand() -> None:
    """b is seen three times, a twice, c once (rare, so unknown); one is missing."""
    train = {"c": ["a", "b", " b ", "c", None, "a", "b"]}
    encoder = TableEncoder.fit(read_frame(train))
    assert encoder.sizes == {"numbers": 0, "categories": (4,), "bags": (), "vectors": (), "columns": ("c",)}
    codes = encoder.transform(read_frame(train)).batch(range(7))["codes"]
    assert codes.dtype == torch.int64
    assert codes.flatten().tolist() == [3, 2, 2, 0, 1, 3, 2]
    report = Report()
    table = encoder.transform(read_frame({"c": ["d", None, "b", "e", "d"]}), report=report)
    assert table.batch(range(5))["codes"].flatten().tolist() == [0, 1, 2, 0, 0]
    (line,) = report.lines()
    assert line == ("column 'c': 3 of 5 rows have values never or rarely seen in training (e.g. 'd'); "
                    "treated as unknown")  # fmt: skip


def test_a_missing_category_that_training_had_not_is_unknown() -> None:
    assert encoded({"c": ["a", "b"] * 2}, {"c": [None, "a"]}).batch([0, 1])["codes"].tolist() == [[0], [1]]


def test_numbers_as_categories_go_by_value() -> None:
    train = {"c": [3, 1, 3, 1, 3]}
    for test in ([3, 1, 7], [3.0, 1.0, 7.5], ["3.0", "1", "x"]):
        assert encoded(train, {"c": test}).batch(range(3))["codes"].flatten().tolist() == [1, 2, 0]
    assert encoded({"c": ["3", "1", "3", "1", "3"]}, {"c": [3.0, 1.0]}).batch([0, 1])["codes"].tolist() == [[1], [2]]


def test_several_categories_by_hand() -> None:
    """x is in three rows, y in two, z in one (rare); each of n weighs 1/n."""
    table = encoded({"c": ["x|y", "y | x|x", "x|z", None, "|"], "n": [1.5, 2, 3, 4, 5]}, kinds={"c": "categories"})
    assert table.sizes["bags"] == (4,)
    expected = [{2: 0.5, 3: 0.5}, {3: 0.5, 2: 0.5}, {2: 0.5, 0: 0.5}, {1: 1.0}, {}]
    assert [bag(table, row) for row in range(5)] == expected
    lists = encoded({"c": [("x", "y"), ("y", "x"), ("x",), None]}, {"c": [["y"], ["w", "x"], [], None]})
    assert [bag(lists, row) for row in range(4)] == [{3: 1.0}, {0: 0.5, 2: 0.5}, {}, {1: 1.0}]


def test_tokens() -> None:
    assert tokens("Don't: NICE dress_1!") == ["don", "t", "nice", "dress_1"]
    assert tokens("日本語 abc日") == ["日本", "本語", "abc", "日"]
    assert tokens("한국어를") == ["한국", "국어", "어를"]
    assert tokens("한국") == tokens("한국")  # composed or not


def test_texts_by_hand() -> None:
    """Rows "a b", "a b", "a c": a in 3, b in 2 and "a b" in 2 rows are known; c and "a c" stand in one and are not."""
    column = np.array(["a b", "A, b!", "a c", None, "zzz"], dtype=object)
    code = TextCode.fit(column[:3], buckets=2**20, ngrams=2, rare=2)
    assert code.size == 4
    row, bags = code.encode(column)
    one, two = 1 + np.log(4 / 4), 1 + np.log(4 / 3)
    norm = np.sqrt(one**2 + 2 * two**2)
    found = [sorted(bags.weights[bags.starts[k] : bags.starts[k + 1]].tolist()) for k in row]
    np.testing.assert_allclose(found[0], [one / norm, two / norm, two / norm], rtol=1e-6)
    assert found[0] == found[1]
    assert found[2] == [1.0]  # of "a" alone
    assert [bags.ids[bags.starts[k] : bags.starts[k + 1]].tolist() for k in row[3:]] == [[0], [0]]
    repeated = TextCode.fit(np.array(["a a b"] * 2, dtype=object), buckets=2**20, ngrams=1, rare=1)
    _, bags = repeated.encode(np.array(["a a b"], dtype=object))
    assert sorted(bags.weights / bags.weights.min())[1] == pytest.approx(1 + np.log(2))


def test_hashes_are_the_same_on_every_machine() -> None:
    """Against the same formula in Python's whole numbers."""

    def mixed(code: int) -> int:
        code = ((code ^ (code >> 30)) * 0xBF58476D1CE4E5B9 + 0x9E3779B97F4A7C15) % 2**64
        return code ^ (code >> 31)

    hello, world = zlib.crc32(b"hello"), zlib.crc32(b"world")
    expected = {mixed(hello) % 1000, mixed(world) % 1000, mixed((mixed(hello) + world) % 2**64) % 1000}
    code = TextCode.fit(np.array(["hello world"], dtype=object), buckets=1000, ngrams=2, rare=1)
    assert set(np.flatnonzero(code.slot)) == expected == {83, 567, 573}


def test_dates_by_hand() -> None:
    """2024-02-29 was a Thursday, 19,782 days after 1970-01-01; 2024-03-03 a Sunday."""
    train = {"when": ["2024-02-29 06:00", "2024-03-03 06:00", None] * 2}
    table = encoded(train)
    assert table.sizes["columns"] == ("when: day", "when: month", "when: weekday")  # the hour does not vary
    assert table.owners == ("when", "when", "when")
    assert table.sizes["categories"] == (4, 4)
    assert table.batch([0, 1, 2])["codes"].tolist() == [[2, 2], [3, 3], [1, 1]]
    assert table.numbers is not None
    assert table.numbers[:3, 0, 1].tolist() == [-1, 1, pytest.approx(NAN, nan_ok=True)]
    encoder = TableEncoder.fit(read_frame(train))
    assert encoder.columns[0].code.mean == pytest.approx(19782.25 + 1.5)  # type: ignore[union-attr]
    for code, value in ((encoder.columns[1].code, ("2", "3")), (encoder.columns[2].code, ("3", "6"))):
        assert code.values == value  # type: ignore[union-attr]


MIXED: dict[str, list] = {
    "text": [f"a nice dress number {k % 40}" for k in range(60)],
    "n": [k / 2 for k in range(60)],
    "tags": ["x|y", "y|z", "z|x"] * 20,
    "c": ["a", "b", None] * 20,
    "when": [f"2024-0{1 + k % 5}-0{1 + k % 9}" for k in range(60)],
    "same": [1] * 60,
    "m": [None if k % 7 == 0 else k * k for k in range(60)],
}


def test_columns_stand_in_the_contracts_order() -> None:
    encoder = TableEncoder.fit(read_frame(MIXED))
    assert encoder.sizes["columns"] == ("n", "when: day", "m", "c", "when: month", "when: weekday", "text", "tags")
    assert encoder.owners == ("n", "when", "m", "c", "when", "when", "text", "tags")
    assert encoder.needed == ("text", "n", "tags", "c", "when", "m")
    assert encoder.kinds["same"] == "skip"
    batch = encoder.transform(read_frame(MIXED)).batch([3, 1, 3])
    assert {name: tuple(tensor.shape) for name, tensor in batch.items() if not name.startswith("bag")} == {
        "numbers": (3, 3, 2), "codes": (3, 3),
    }  # fmt: skip
    assert batch["bag_offsets"].shape == (6,)
    assert torch.equal(batch["codes"][0], batch["codes"][2])


def test_a_batch_is_its_rows_one_by_one() -> None:
    table = encoded(MIXED)
    for row in (0, 7, 59):
        whole, alone = table.batch(range(60)), table.batch([row])
        for name in ("numbers", "codes"):
            torch.testing.assert_close(whole[name][row], alone[name][0], equal_nan=True)
        ends = [*whole["bag_offsets"].tolist(), len(whole["bag_ids"])]
        cut = slice(ends[2 * row], ends[2 * row + 2])
        assert torch.equal(whole["bag_ids"][cut], alone["bag_ids"])
        assert torch.equal(whole["bag_weights"][cut], alone["bag_weights"])


def test_the_net_takes_a_batch() -> None:
    from reslab.tables.net.net import build_table
    from reslab.tables.net.spec import table_spec

    table = encoded(MIXED)
    net = build_table(table_spec("gated", **table.sizes, outputs=2))
    assert net(**table.batch(np.arange(5), "cpu")).shape == (5, 2)


def test_order_does_not_matter_and_more_columns_are_said() -> None:
    encoder, report = TableEncoder.fit(read_frame(MIXED)), Report()
    other = {"more": [1] * 60, **dict(reversed(MIXED.items()))}
    assert_same(encoder.transform(read_frame(MIXED)), encoder.transform(read_frame(other), report=report))
    assert list(report.lines()) == ["column 'more': not in the training table; ignored"]


def test_what_transform_refuses() -> None:
    encoder = TableEncoder.fit(read_frame(MIXED))
    frame = read_frame(MIXED)
    with pytest.raises(UsageError, match=r"missing columns: 'text', 'c'$"):
        encoder.transform(frame.without("text", "c", "same"))
    wrong = Frame({**frame.columns, "n": read_frame({"n": ["1", "two"] * 30})["n"]})
    with pytest.raises(UsageError, match="column 'n' is of kind 'number', but row 1 is 'two'"):
        encoder.transform(wrong)
    with pytest.raises(UsageError, match=r"column 'when' is of kind 'date', but row 0 is 0.0"):
        encoder.transform(Frame({**frame.columns, "when": frame["n"]}))
    numbers = Frame({**frame.columns, "n": read_frame({"n": [str(k / 2) for k in range(60)]})["n"]})
    assert_same(encoder.transform(numbers), encoder.transform(frame))  # strings that are numbers will do


def test_what_fit_refuses() -> None:
    with pytest.raises(UsageError, match="every column is constant, empty or skipped"):
        TableEncoder.fit(read_frame({"a": [1, 1], "b": ["x", "y"]}), {"b": "skip"})
    for name in ("rare", "buckets", "ngrams"):
        with pytest.raises(UsageError, match=f"{name} must be a whole number of at least 1, got 0"):
            TableEncoder.fit(read_frame(MIXED), **{name: 0})  # type: ignore[arg-type]


def test_a_column_of_rare_values_is_said() -> None:
    report = Report()
    encoder = TableEncoder.fit(read_frame({"id": [f"A{k}" for k in range(30)], "n": range(30)}), report=report)
    assert encoder.sizes["categories"] == (1,)
    assert list(report.lines()) == ["column 'id': no value occurs in 2 rows or more; all are treated as unknown"]


def test_vectors_stand_beside() -> None:
    vectors = np.arange(120, dtype=np.float64).reshape(60, 2)
    table = encoded(MIXED).with_vectors({"text": vectors}).with_vectors({"c": vectors[:, :1]})
    assert table.sizes["vectors"] == (2, 1)
    assert table.sizes["columns"][-2:] == ("text: vector", "c: vector")
    assert table.owners[-2:] == ("text", "c")
    assert table.batch([4])["vectors"].tolist() == [[8, 9, 8]]
    with pytest.raises(UsageError, match=r"column 'c' must be \(60, width\), got \(3, 2\)"):
        table.with_vectors({"c": vectors[:3]})


def assert_same(one: Table, other: Table) -> None:
    assert (one.sizes, one.owners, len(one)) == (other.sizes, other.owners, len(other))
    batches = one.batch(range(len(one))), other.batch(range(len(other)))
    assert batches[0].keys() == batches[1].keys()
    for name, tensor in batches[0].items():
        assert torch.equal(tensor.nan_to_num(1e9), batches[1][name].nan_to_num(1e9)), name


def again(encoder: TableEncoder) -> TableEncoder:
    """Through JSON and safetensors."""
    data, arrays = encoder.to_dict()
    return TableEncoder.from_dict(json.loads(json.dumps(data)), load(save(arrays)))


def test_saved_and_given_back() -> None:
    encoder, frame = TableEncoder.fit(read_frame(MIXED)), read_frame(MIXED)
    assert_same(again(encoder).transform(frame), encoder.transform(frame))
    assert again(encoder).kinds == encoder.kinds
    data, arrays = encoder.to_dict()
    with pytest.raises(ReslabError, match="format 2: this reslab reads 1"):
        TableEncoder.from_dict({**data, "format": 2}, arrays)
    with pytest.raises(ReslabError, match="no table encoder, or it is damaged"):
        TableEncoder.from_dict(data, {})
    with pytest.raises(ReslabError, match="no table encoder, or it is damaged"):
        TableEncoder.from_dict({"format": 1}, arrays)


CELLS = {
    "number": st.none() | st.floats(),
    "category": st.none() | st.text(max_size=4) | st.sampled_from("abc"),
    "categories": st.none() | st.lists(st.text(max_size=3) | st.sampled_from("abc"), max_size=4),
    "date": st.none() | st.datetimes(),
    "text": st.none() | st.text(max_size=30),
}


@st.composite
def frames(draw: st.DrawFn, least: int = 1) -> Frame:
    rows = draw(st.integers(least, 12))
    return read_frame({name: draw(st.lists(cell, min_size=rows, max_size=rows)) for name, cell in CELLS.items()})


@settings(deadline=None)
@given(frames(), frames(), st.integers(1, 3))
def test_every_frame_of_the_schema_is_encoded(train: Frame, test: Frame, rare: int) -> None:
    encoder = TableEncoder.fit(train, {name: name for name in CELLS}, rare=rare, buckets=64)
    table = encoder.transform(test)
    batch, sizes = table.batch(range(len(test))), table.sizes
    gone = torch.from_numpy(np.stack([missing(test["number"]), missing(test["date"])], axis=1))
    assert torch.equal(batch["numbers"].isnan(), gone[:, :, None].expand(-1, -1, 2))
    assert (batch["numbers"].nan_to_num(0).abs() <= 10).all()
    assert ((batch["codes"] >= 0) & (batch["codes"] < torch.tensor(sizes["categories"]))).all()
    ends = torch.cat([batch["bag_offsets"], torch.tensor([len(batch["bag_ids"])])])
    column = torch.repeat_interleave(torch.arange(2 * len(test)) % 2, ends.diff())
    assert ((batch["bag_ids"] >= 0) & (batch["bag_ids"] < torch.tensor(sizes["bags"])[column])).all()
    assert batch["bag_weights"].isfinite().all()
    assert_same(again(encoder).transform(test), table)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("adult", {"age": "number", "educational-num": "category", "workclass": "category", "capital-gain": "number"}),
        ("california_housing", {"HouseAge": "number", "MedInc": "number"}),
        ("clothing_reviews", {"Review Text": "text", "Title": "text", "Class Name": "category", "Age": "number"}),
    ],
)
def test_real_tables(shared: Any, name: str, kinds: dict[str, str]) -> None:
    pytest.importorskip("pyarrow")
    frame = read_frame(shared / "data" / "tables" / f"{name}.parquet").take(slice(0, 3000))
    encoder = TableEncoder.fit(frame)
    assert {column: encoder.kinds[column] for column in kinds} == kinds
    assert "skip" not in encoder.kinds.values()
    assert len(encoder.transform(frame)) == 3000


def test_shuffled_is_encoding_the_shuffled_column() -> None:
    """Of every kind of column, a date's several parts and vectors too; the table itself stays as it was."""
    draws = np.random.default_rng(0)
    columns: dict[str, list] = {
        "n": draws.normal(size=40).tolist(), "c": [("a", "b", None)[k % 3] for k in range(40)],
        "d": [f"20{k % 24:02d}-0{1 + k % 9}-11" for k in range(40)], "l": ["x|y", "y|z", "x", "z|x"] * 10,
        "t": [f"red green {k} blue {k % 7}" for k in range(40)],
    }  # fmt: skip
    frame, order = read_frame(columns), draws.permutation(40)
    encoder = TableEncoder.fit(frame, {"l": "categories", "t": "text"})
    vectors = draws.normal(size=(40, 3)).astype(np.float32)
    table = encoder.transform(frame).with_vectors({"t": vectors})
    before = table.batch(np.arange(40))
    for name in columns:
        moved = Frame({**frame.columns, name: frame[name][order]})
        expected = encoder.transform(moved).with_vectors({"t": vectors[order] if name == "t" else vectors})
        found = table.shuffled(name, order).batch(np.arange(40))
        for key, value in expected.batch(np.arange(40)).items():
            assert torch.equal(found[key].nan_to_num(), value.nan_to_num()), (name, key)
    assert all(torch.equal(value, before[key]) for key, value in table.batch(np.arange(40)).items())
