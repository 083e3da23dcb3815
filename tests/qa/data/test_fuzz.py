"""Damaged files of questions: each is read, or ends in a sentence; offsets of what is read are true."""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import WAYS, as_json, damaged
from hypothesis import HealthCheck, given, settings

from reslab.errors import ReslabError
from reslab.qa.data.question import Report
from reslab.qa.data.questions import read_questions
from reslab.qa.rules import RULES, rule_for, score

FAST, SLOW = 80, 2000
TEXT = "Ada wrote notes. 東京は首都。 Ada wrote programs in 1843 \U0001f600."
RECORDS = [
    {"id": "a", "title": "Ada", "question": "When?", "context": TEXT, "is_impossible": False,
     "answers": {"text": ["1843"], "answer_start": [46]}},
    {"qid": 7, "question": "Who?", "context": TEXT, "answers": [{"text": "Ada", "answer_start": 0}, {"text": "東京"}]},
    {"guid": "c", "question": "Why?", "context": TEXT, "answers": [], "is_impossible": 1},
    {"id": "d", "question": "What?", "context": "Other.",
     "detected_answers": [{"text": "Other", "char_spans": [[0, 4]]}]},
]  # fmt: skip
NESTED = {"version": "2", "data": [{"title": "Ada", "paragraphs": [{"context": TEXT, "qas": [
    {"id": "a", "question": "When?", "answers": [{"text": "1843", "answer_start": 46}]},
    {"id": "b", "question": "Why?", "answers": [], "is_impossible": True}]}]}]}  # fmt: skip


def lines(values: Any) -> bytes:
    return b"".join(as_json(one) + b"\n" for one in values) if isinstance(values, list) else as_json(values)


def columns(values: Any) -> bytes:
    """A parquet file of these rows where there can be one, else their JSON."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    buffer = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist(values), buffer)
    except Exception:  # values that no column holds together
        return as_json(values)
    return buffer.getvalue()


def read_all(path: Path) -> None:
    """What a training or an evaluation does with a file before it tokenizes."""
    report = Report()
    found = read_questions(path, report=report)
    list(report.lines())
    rule_for(found)
    for one in found:
        for answer in one.answers:
            assert answer.start == -1 or one.context.startswith(answer.text, answer.start)
        for rule in RULES:
            if one.answers:
                score(one, one.answers[0].text, rule=rule)


FORMS: dict[str, tuple[Any, Callable[[Any], bytes]]] = {
    "a.json": (NESTED, as_json), "b.json": (RECORDS, as_json), "a.jsonl": (RECORDS, lines),
    "a.parquet": (RECORDS[:1] * 2, columns),
}  # fmt: skip


def fuzz(name: str, cases: int, folder: Path) -> None:
    value, spell = FORMS[name]
    path, ends = folder / name, Counter[str]()
    path.write_bytes(spell(value))
    read_all(path)
    WAYS.clear()

    @settings(max_examples=cases, derandomize=True, deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(damaged(spell(value), value, spell))
    def once(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read_all(path)
        except ReslabError as error:
            ends[str(error)] += 1

    once()
    assert len(ends) > 3, ends
    assert not [end for end in ends if "\n" in end or (name not in end and "question" not in end)]


@pytest.mark.parametrize("name", FORMS)
def test_a_damaged_file_of_questions_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    fuzz(name, FAST, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_damaged_files_of_questions_end_in_a_sentence(name: str, tmp_path: Path) -> None:
    fuzz(name, SLOW, tmp_path)


def test_the_records_are_as_they_should_be(tmp_path: Path) -> None:
    """Before the damage every spelling is understood."""
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS))
    report = Report(strict=True)
    found = read_questions(tmp_path / "a.jsonl", report=report)
    assert [(one.id, len(one.answers)) for one in found] == [("a", 1), ("7", 2), ("c", 0), ("d", 1)]
    assert json.loads(as_json(NESTED)) == NESTED
