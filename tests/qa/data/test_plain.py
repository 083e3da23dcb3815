"""Texts from files, windows cut from them, and the labels that a language model learns from."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reslab.errors import ReslabError, UsageError
from reslab.qa.data.plain import IGNORED, hidden, load_texts, next_tokens, windows


def encode(text: str) -> list[int]:
    """A letter is a token: a is 10, b 11, ..."""
    return [ord(letter) - ord("a") + 10 for letter in text]


def test_each_form_gives_the_same_texts(tmp_path: Path) -> None:
    texts = ["one text", "another\nof two lines"]
    (tmp_path / "a.txt").write_text("one text\n\n\nanother\nof two lines\n")
    squad = {"data": [{"paragraphs": [{"context": text, "qas": []}]} for text in texts]}
    (tmp_path / "a.json").write_text(json.dumps(squad))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, " "]))
    pq.write_table(pa.table({"text": [*texts, None], "n": [1, 2, 3]}), tmp_path / "a.parquet")
    found = [load_texts(tmp_path / f"a.{form}") for form in ("txt", "json", "jsonl", "parquet")]
    assert [each.texts for each in found] == [tuple(texts)] * 4
    assert len({each.fingerprint for each in found}) == 1
    (tmp_path / "lines.txt").write_text("one\ntwo\n")
    assert load_texts(tmp_path / "lines.txt").texts == ("one", "two")  # no empty lines: every line


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("a.csv", "x", UsageError, "a.csv; supported types: .txt"),
        ("a.txt", " \n", UsageError, "a.txt holds no text"),
        ("a.json", "{", ReslabError, "a.json is damaged"),
        ("a.json", '{"data": 1}', UsageError, "a.json is not in SQuAD's format"),
        (
            "a.jsonl",
            '{"text": "x"}\n{"txt": 1}',
            UsageError,
            'a.jsonl, line 2 has no "text"; name its key with column',
        ),
        ("a.jsonl", '{"text": 1}', UsageError, 'line 1: "text" must be a string, got int'),
        ("a.jsonl", "{", ReslabError, "a.jsonl, line 1 is damaged"),
        ("a.json", "[" * 3000, ReslabError, "a.json is damaged: it is nested more than"),
        ("a.jsonl", "[" * 3000, ReslabError, "a.jsonl, line 1 is damaged: it is nested more than"),
        ("a.parquet", "x", ReslabError, "a.parquet is damaged"),
        ("a.txt", b"\xff\xfe", ReslabError, "a.txt is not UTF-8 text: invalid start byte at byte 0"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    name: str, content: str | bytes, kind: type[Exception], said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind) as caught:
        load_texts(tmp_path / name)
    assert said in str(caught.value)


def test_columns_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"review": ["good"], "n": [1]}), tmp_path / "a.parquet")
    assert load_texts(tmp_path / "a.parquet", column="review").texts == ("good",)
    with pytest.raises(UsageError, match="no column 'text'; name one of review, n with column"):
        load_texts(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"column 'n' of .* holds int64, not text"):
        load_texts(tmp_path / "a.parquet", column="n")
    with pytest.raises(UsageError, match=r"no such file of texts: .*nowhere.txt"):
        load_texts(tmp_path / "nowhere.txt")


def test_windows_by_hand() -> None:
    found = windows(["abcdefg"], encode, length=5, count=9, seed=0, before=[1], after=[2])
    assert found.tolist() == [[1, 10, 11, 12, 2], [1, 13, 14, 15, 2]]  # the g fills no window
    assert windows(["abcdefg"], encode, length=3, count=1, seed=0).tolist() == [[10, 11, 12]]
    joined = windows(["aa", "bb"], encode, length=5, count=1, seed=0, between=[9]).tolist()[0]
    assert joined in ([10, 10, 9, 11, 11], [11, 11, 9, 10, 10])
    with pytest.raises(UsageError, match="the texts have 2 tokens, too few for one window of 3; use a smaller length"):
        windows(["ab"], encode, length=3, count=1, seed=0)
    with pytest.raises(UsageError, match="room for two tokens and 2 special ones, got 3"):
        windows(["ab"], encode, length=3, count=1, seed=0, before=[1], after=[2])


def test_no_more_texts_are_encoded_than_needed() -> None:
    seen = []
    windows(["abc"] * 100, lambda text: seen.append(text) or encode(text), length=3, count=4, seed=0)  # type: ignore[func-returns-value]
    assert len(seen) == 4


def test_the_seed_draws_the_texts() -> None:
    texts = [letter * 4 for letter in "abcdefghijklmnopqrst"]
    first, second, other = (windows(texts, encode, length=4, count=5, seed=seed) for seed in (0, 0, 1))
    assert first.equal(second)
    assert not first.equal(other)


def test_the_label_of_a_token_is_the_next() -> None:
    assert next_tokens(torch.tensor([[4, 5, 6], [7, 8, 9]])).tolist() == [[5, 6, IGNORED], [8, 9, IGNORED]]


@given(n=st.integers(1, 4), length=st.integers(3, 50), seed=st.integers(0, 5))
def test_a_share_of_the_words_is_hidden(n: int, length: int, seed: int) -> None:
    ids = torch.randint(10, 99, (n, length), generator=torch.Generator().manual_seed(seed))
    ids[:, 0], ids[:, -1] = 1, 2
    masked, labels = hidden(ids, mask=3, special=[1, 2, 3], seed=seed)
    asked = labels != IGNORED
    assert asked.sum(dim=1).tolist() == [max(1, round((length - 2) * 0.15))] * n
    assert labels[asked].equal(ids[asked])
    assert (masked[asked] == 3).all()
    assert masked[~asked].equal(ids[~asked])
    assert not asked[:, 0].any()
    assert not asked[:, -1].any()
    assert all(
        a.equal(b) for a, b in zip(hidden(ids, mask=3, special=[1, 2, 3], seed=seed), (masked, labels), strict=True)
    )
