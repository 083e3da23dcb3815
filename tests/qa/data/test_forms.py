"""Other spellings of SQuAD's form, as published data sets have them, and questions whose answers are hidden."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reslab.errors import UsageError
from reslab.qa.data import question as question_file
from reslab.qa.data.question import Answer, Report
from reslab.qa.data.questions import load_questions, read_questions

TEXT = "Ada wrote notes. Ada wrote programs in 1843."
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, *content: object) -> Path:
        path = tmp_path / name
        path.write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
        return path

    return write


def flat(**more: object) -> dict[str, object]:
    return {"id": "q", "question": "When?", "context": TEXT, "answers": [{"text": "1843", "answer_start": 39}], **more}


ONE = {"qid": "q", "question": "When?", "answers": [{"text": "1843", "answer_start": 39}]}
PARAGRAPH = {"context": TEXT, "qas": [ONE]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", [{"data": [{"paragraphs": [PARAGRAPH]}]}]),
        ("a.json", [[{"paragraphs": [PARAGRAPH]}]]),  # a list of articles
        ("a.json", [[PARAGRAPH]]),  # a list of paragraphs
        ("a.json", [[flat()]]),  # a list of questions
        ("a.json", [{"data": [flat()]}]),  # as transformers' examples save them
        ("a.json", [{"version": "1", "paragraphs": [PARAGRAPH]}]),
        ("a.json", [PARAGRAPH]),
        ("a.jsonl", [{"header": {"dataset": "MRQA"}}, PARAGRAPH]),
        ("a.jsonl", [flat()]),
    ],
)
def test_nesting(put: Put, name: str, content: list[object]) -> None:
    (one,) = read_questions(put(name, *content))
    assert (one.id, one.context, one.answers) == ("q", TEXT, (Answer("1843", 39),))


@pytest.mark.parametrize(
    "spelling",
    [
        {"id": None, "guid": "q"} | {"answers": [{"text": "1843", "answer_start": 39.0}]},
        {"answers": [{"text": "1843", "answer_start": "39"}]},
        {"answers": [{"text": "1843"}]},  # its only occurrence
        {"answers": ["1843"]},
        {"answers": "1843"},
        {"answers": {"text": "1843", "answer_start": 39}},
        {"answers": {"text": ["1843"], "answer_start": [39]}},
        {"answers": {"text": ["1843"]}},
        {"answers": None, "detected_answers": [{"text": "1843", "char_spans": [[39, 42]]}]},
        {"answers": None, "answer": {"text": "1843", "answer_start": 39}},
        {"is_impossible": 0},
        {"is_impossible": 0.0},
        {"is_impossible": "false"},
    ],
)
def test_spellings_of_one_question(put: Put, spelling: dict[str, object]) -> None:
    record = {key: value for key, value in flat(**spelling).items() if value is not None}
    report = Report(strict=True)
    (one,) = read_questions(put("a.jsonl", record), report=report)
    assert (one.id, one.answers, one.impossible, one.hidden) == ("q", (Answer("1843", 39),), False, False)


def test_impossible_as_a_number(put: Put) -> None:
    (one,) = read_questions(put("a.jsonl", flat(answers=[], is_impossible=1)))
    assert (one.answers, one.impossible) == ((), True)


def test_an_answer_without_a_position_that_occurs_twice(put: Put) -> None:
    report = Report()
    (one,) = read_questions(put("a.jsonl", flat(answers=["Ada"])), report=report)
    assert one.answers == (Answer("Ada", 0),)
    assert report.counts == {"no answer_start": 1}
    assert "occurs several times" in report.problems[0].sentence


def test_hidden_answers_are_kept_apart_from_missing_ones(put: Put) -> None:
    blind = {key: value for key, value in flat().items() if key != "answers"}
    for content in ([blind], [blind | {"answers": None}]):
        (one,) = read_questions(put("a.jsonl", *content))
        assert (one.hidden, one.impossible, one.answers) == (True, False, ())
    path = put("b.jsonl", *(flat(id=f"{k}", context=f"{TEXT} {k}") for k in range(4)), blind)
    data = load_questions(str(path), share=0.3)
    assert data.report.counts == {"hidden answers": 1}
    assert sum(len(part) for part in (data.train, data.dev, data.test)) == 4
    with pytest.raises(UsageError, match="no train question has answers"):
        load_questions(str(put("c.jsonl", blind, blind | {"id": "r", "context": "Other."})))


def test_empty_columns_throughout_are_hidden_answers(put: Put) -> None:
    """The hub's test parts hold {"text": [], "answer_start": []} for every question: no claim that none has one."""
    empty = {"text": [], "answer_start": []}
    report = Report()
    found = read_questions(put("a.jsonl", flat(id="1", answers=empty), flat(id="2", answers=empty)), report=report)
    assert [one.hidden for one in found] == [True, True]
    assert report.counts == {"hidden answers": 2}
    found = read_questions(put("b.jsonl", flat(id="1", answers=empty), flat(id="2")))
    assert [(one.hidden, one.impossible) for one in found] == [(False, True), (False, False)]
    (one,) = read_questions(put("c.jsonl", flat(answers=empty, is_impossible=True)))
    assert (one.hidden, one.impossible) == (False, True)


def test_empty_lists_throughout_are_hidden_answers(put: Put) -> None:
    """A leaderboard's test part may hold "answers": [] for every question; with one answer or mark it says no more."""
    report = Report()
    found = read_questions(put("a.jsonl", flat(id="1", answers=[]), flat(id="2", answers=[])), report=report)
    assert [(one.hidden, one.impossible) for one in found] == [(True, False)] * 2
    assert report.counts == {"hidden answers": 2}
    report = Report()
    found = read_questions(put("b.jsonl", flat(id="1", answers=[]), flat(id="2")), report=report)
    assert [(one.hidden, one.impossible) for one in found] == [(False, True), (False, False)]
    assert report.counts == {"no answers": 1}
    (one,) = read_questions(put("c.jsonl", flat(answers=[], is_impossible=0)))
    assert (one.hidden, one.impossible) == (False, True)


def test_a_start_beside_the_answer_and_an_id_under_its_second_name(put: Put) -> None:
    second = TEXT.index("Ada", 1) if TEXT.count("Ada") > 1 else TEXT.rindex("Ada")
    one_flat = {**flat(answers=None), "answer": "Ada", "answer_start": second, "id": None, "guid": "g"}
    report = Report()
    (one,) = read_questions(put("a.jsonl", one_flat), report=report)
    assert (one.id, one.answers, report.counts) == ("g", (Answer("Ada", second),), {})


def test_problems_are_counted_without_end_but_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_file, "KEPT", 2)
    report = Report()
    for k in range(5):
        report.add("duplicate id", f"{k}", "skipped")
    assert report.counts == {"duplicate id": 5}
    assert [one.id for one in report.problems] == ["0", "1"]


def test_a_small_file_that_claims_millions_of_rows(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    import numpy as np

    many = pa.DictionaryArray.from_arrays(np.zeros(300_000, dtype=np.int32), ["x"])
    table = pa.table({"id": many, "question": many, "context": many, "answers": many})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    size = (tmp_path / "a.parquet").stat().st_size
    assert size < 10_000
    with pytest.raises(UsageError, match=rf"claims 300,000 rows in {size:,} bytes"):
        read_questions(tmp_path / "a.parquet")


def test_a_test_part_with_hidden_answers_is_not_scored(tmp_path: Path, put: Put) -> None:
    for part, count in (("train", 6), ("dev", 2), ("test", 2)):
        rows = [flat(id=f"{part}{k}", context=f"{TEXT} {part} {k}") for k in range(count)]
        if part == "test":
            rows = [{key: value for key, value in row.items() if key != "answers"} for row in rows]
        put(f"{part}.jsonl", *rows)
    data = load_questions(str(tmp_path))
    assert [one.id for one in data.test] == ["dev0", "dev1"]
    assert "the answers to its test questions are hidden, so they are not used" in data.about
    assert "the dev questions are used as the test part" in data.about
