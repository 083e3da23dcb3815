"""Questions read from every form, faults reported with their ids, articles split."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from reslab.errors import ReslabError, UsageError
from reslab.qa.data.files import Record
from reslab.qa.data.question import Answer, Question, Report, checked
from reslab.qa.data.questions import load_questions, read_questions, split_articles

CONTEXT = "Ada wrote notes. Ada wrote programs in 1843."
Put = Callable[..., Path]


def squad(*qas: dict, context: str = CONTEXT, title: str = "Ada") -> dict:
    return {"version": "1.1", "data": [{"title": title, "paragraphs": [{"context": context, "qas": list(qas)}]}]}


def qa(id: str = "q1", start: int = 4, text: str = "wrote", **more: object) -> dict:
    return {"id": id, "question": " What? ", "answers": [{"text": text, "answer_start": start}], **more}


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, content: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def test_squads_form(put: Put) -> None:
    (one,) = read_questions(put("a.json", squad(qa())))
    assert one == Question(
        id="q1", question="What?", context=CONTEXT, answers=(Answer("wrote", 4),), impossible=False, title="Ada"
    )


def test_squad2_says_impossible(put: Put) -> None:
    report = Report()
    none = {"id": "q2", "question": "Who?", "answers": [], "is_impossible": True,
            "plausible_answers": [{"text": "Ada", "answer_start": 0}]}  # fmt: skip
    first, second = read_questions(put("a.json", squad(qa(is_impossible=False), none)), report=report)
    assert (first.impossible, second.impossible, second.answers) == (False, True, ())
    assert report.counts == {}


def test_lines_parquet_and_json_agree(put: Put, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {"id": "q1", "title": "Ada", "context": CONTEXT, "question": "What?",
         "answers": {"text": ["wrote"], "answer_start": [4]}},
        {"id": "q2", "title": "Ada", "context": CONTEXT, "question": "Who?",
         "answers": {"text": [], "answer_start": []}},
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    lines = put("a.jsonl", "\ufeff" + "\n".join(json.dumps(row) for row in rows) + "\n\n")
    listed = put("b.jsonl", json.dumps(rows[0] | {"answers": [{"text": "wrote", "answer_start": 4}]}))
    report = Report(strict=True)  # the hub's way to say "unanswerable", an empty column, is no fault
    found = read_questions(tmp_path / "a.parquet", report=report)
    assert found == read_questions(lines, report=report)
    assert found[:1] == read_questions(listed, report=report)
    assert [one.impossible for one in found] == [False, True]


def hub(monkeypatch: pytest.MonkeyPatch, **splits: list[dict]) -> None:
    class Split(list):
        column_names = ("id", "title", "context", "question", "answers")

    made = {name: Split(rows) for name, rows in splits.items()}
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda name: made))


def test_the_hubs_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(id: str) -> dict:
        return {"id": id, "title": id, "context": f"{id} is here", "question": "?",
                "answers": {"text": [id], "answer_start": [0]}}  # fmt: skip

    hub(monkeypatch, train=[row(f"t{k}") for k in range(10)], validation=[row("v")])
    data = load_questions("hf:rajpurkar/squad")
    assert ([len(part) for part in (data.train, data.dev)], [one.id for one in data.test]) == ([9, 1], ["v"])


@pytest.mark.parametrize(
    ("start", "text", "becomes", "kind", "words"),
    [
        (17, "Ada", 17, None, ""),
        (12, "Ada", 17, "misplaced answer", "'Ada' is not at 12; the nearest occurrence, at 17, is used"),
        (8, "Ada", 0, "misplaced answer", "nearest occurrence, at 0, is used"),  # 8 from the first, 9 from the second
        (43, "1843", 39, "misplaced answer", "'1843' at 43 is outside its context of 44 characters; the nearest"),
        (-1, "Ada", 0, "misplaced answer", "at -1 is outside"),
        (4, "Eve", -1, "answer not in context", "nor anywhere else; used for scoring, not for training"),
        (4, "", -1, "empty answer", "used for scoring, not for training"),
    ],
)  # fmt: skip
def test_where_an_answer_stands(put: Put, start: int, text: str, becomes: int, kind: str | None, words: str) -> None:
    path, report = put("a.json", squad(qa(start=start, text=text))), Report()
    (one,) = read_questions(path, report=report)
    assert one.answers == (Answer(text, becomes),)
    assert report.counts == ({kind: 1} if kind else {})
    if kind:
        assert report.problems[0].id == "q1"
        assert words in report.problems[0].sentence
        with pytest.raises(UsageError, match="question q1: "):
            read_questions(path, report=Report(strict=True))


def test_other_unicode_form_is_named(put: Put) -> None:
    report = Report()
    read_questions(put("a.json", squad(qa(text="caf\u00e9", start=0), context="cafe\u0301")), report=report)
    assert "another Unicode form" in report.problems[0].sentence


def test_faults_are_counted_and_reading_goes_on(put: Put) -> None:
    data = squad(
        qa("a"), qa("a"), qa("b") | {"question": "  "}, {"id": "c", "question": "?", "answers": []},
        qa("d", is_impossible=True), qa(7),
    )  # fmt: skip
    data["data"] += squad(qa("e"), context=" \n")["data"]
    path, report = put("a.json", data), Report()
    assert [(one.id, one.impossible) for one in read_questions(path, report=report)] == [
        ("a", False), ("c", True), ("d", True), ("7", False),
    ]  # fmt: skip
    assert report.counts == {
        "duplicate id": 1, "empty question": 1, "no answers": 1, "contradiction": 1, "empty context": 1,
    }  # fmt: skip
    assert list(report.lines())[:2] == ["duplicate id: 1", "  question a: its id was used before; skipped"]
    with pytest.raises(UsageError, match="question a: its id was used before"):
        read_questions(path, report=Report(strict=True))


def test_half_characters_keep_every_offset(put: Put) -> None:
    text = json.dumps(squad(qa(start=5, text="here"), context="\U0001f600 a\ud800 here"))
    report = Report()
    (one,) = read_questions(put("a.json", text), report=report)
    assert one.context == "\U0001f600 a\ufffd here"
    assert one.answers == (Answer("here", 5),)
    assert report.counts == {"half characters": 1}


@pytest.mark.parametrize(
    ("name", "content", "error", "sentence"),
    [
        ("a.json", '{"data": [', ReslabError, r"a\.json is damaged: Expecting value"),
        ("a.json", "{}\n{}", ReslabError, r"a\.json is damaged: Extra data.* name it \.jsonl if each line is a record"),
        ("a.json", "[]", UsageError, r"a\.json holds no usable question"),
        ("a.json", "7", UsageError, r"a\.json holds a whole number, not SQuAD's"),
        ("a.json", "{}", UsageError, r"a\.json is an empty object; expected SQuAD's \{\"data\": \[\.\.\.\]\}$"),
        ("a.json", '{"data": [{}]}', UsageError, r"a\.json: data\[0\] is an empty object; it needs the key 'para"),
        ("a.json", "[" * 100_000, ReslabError, r"a\.json is damaged: it is nested more than 100 levels deep; correct"),
        ("a.jsonl", "[" * 100_000, ReslabError, r"a\.jsonl, line 1 is damaged: it is nested more than 100 levels"),
        ("a.json", '{"data": NaN}', ReslabError, r"a\.json is damaged: NaN is not JSON; correct it"),
        ("a.json", '{"data": {}}', UsageError, r"a\.json: 'data' must be a list, got an object"),
        ("a.json", '{"data": [1]}', UsageError, r"a\.json: data\[0\] is a whole number, not an object with the key 'p"),
        ("a.json", '{"data": [{"paragraphs": [{"qas": []}]}]}', UsageError,
         r"data\[0\]\.paragraphs\[0\] has no key 'context'; it has qas"),
        ("a.json", squad({"id": "x", "question": "?", "answer": 3}), UsageError, r"qas\[0\]\.answer must be an obj"),
        ("a.json", squad({"id": "x", "question": "?", "anwsers": []}), UsageError, r"qas\[0\] has no key 'answers'"),
        ("a.json", squad(qa() | {"id": True}), UsageError, r"'id' must be a text or a whole number, got true/false"),
        ("a.json", squad(qa(start="four")), UsageError, r"answers\[0\]: 'answer_start' must be a whole number, got a"),
        ("a.json", squad(qa(start=4.5)), UsageError, r"must be a whole number, got a number 4.5"),
        ("a.json", squad(qa(is_impossible="no")), UsageError, r"'is_impossible' must be true/false, got a text"),
        ("a.json", '{"data": []}', UsageError, r"holds no usable question"),
        ("a.jsonl", '{"id": "x"}\n{', UsageError, r"line 1 has no key 'question'"),
        ("a.jsonl", "\n{", ReslabError, r"a\.jsonl, line 2 is damaged"),
        ("a.jsonl", "[1]", UsageError, r"line 1 is a list, not an object"),
        ("a.jsonl", json.dumps(qa() | {"context": "x", "answers": {"text": ["x"], "answer_start": []}}), UsageError,
         r"line 1\.answers has 1 text but 0 answer_start"),
        ("a.parquet", "none", ReslabError, r"a\.parquet is damaged"),
        ("a.csv", "x", UsageError, r"unsupported type of question file: .*a\.csv"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read(put: Put, name: str, content: object, error: type, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        read_questions(put(name, content))


def test_more_files_that_cannot_be_read(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    with pytest.raises(UsageError, match="no such file of questions"):
        read_questions(tmp_path / "absent.json")
    (tmp_path / "latin.json").write_bytes(b'{"data": "\xe9"}')
    with pytest.raises(ReslabError, match=r"latin\.json is not UTF-8 text: .* at byte 10"):
        read_questions(tmp_path / "latin.json")
    pq.write_table(pa.table({"id": ["x"], "question": ["?"], "contexts": ["y"]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match=r"a.parquet has no column 'context'; it has .*; did you mean 'contexts'"):
        read_questions(tmp_path / "a.parquet")


def some(**articles: int) -> list[Question]:
    """`articles`: how many questions each has, in paragraphs of one question."""
    return [
        Question(id=f"{name}{k}", question="?", context=f"{name} {k}", title=name)
        for name, many in articles.items()
        for k in range(many)
    ]


def test_split_takes_whole_articles() -> None:
    questions = some(a=10, b=20, c=10, d=30, e=10, f=20)
    rest, held = split_articles(questions, share=0.2)
    assert {one.title for one in rest} & {one.title for one in held} == set()
    assert sorted((*rest, *held), key=questions.index) == questions
    assert [one for one in questions if one in rest] == list(rest)  # in their order
    assert len(held) in (10, 20, 30)  # of 100, as near to 20 as the articles drawn allow
    assert split_articles(questions[::-1], share=0.2)[1] == held[::-1]
    assert len({split_articles(questions, share=0.2, seed=seed)[1] for seed in range(8)}) > 1


def test_split_without_titles_goes_by_context() -> None:
    questions = [Question(id=str(k), question="?", context=f"c{k // 2}") for k in range(8)]
    rest, held = split_articles(questions, share=0.25)
    assert (len(rest), len(held)) == (6, 2)
    assert held[0].context == held[1].context


def test_articles_that_share_a_context_stay_together() -> None:
    questions = [Question(id=t, question="?", context=c, title=t) for t, c in (("a", "x"), ("b", "x"), ("c", "y"))]
    for seed in range(6):
        parts = [{one.title for one in part} for part in split_articles(questions, share=0.5, seed=seed)]
        assert {"a", "b"} in parts


def test_nothing_to_split() -> None:
    with pytest.raises(UsageError, match=r"1 context\(s\) cannot be split"):
        split_articles(some(a=1), share=0.5)
    with pytest.raises(UsageError, match="share must be between 0 and 1, got 1"):
        split_articles(some(a=1, b=1), share=1)


def test_two_articles_give_one_each() -> None:
    rest, held = split_articles(some(a=1, b=9), share=0.9)
    assert {len(rest), len(held)} == {1, 9}


def test_parts_of_a_folder(put: Put) -> None:
    def file(prefix: str, many: int) -> dict:
        data = squad()
        data["data"] = [squad(qa(f"{prefix}{k}"), title=f"{prefix}{k}", context=f"{CONTEXT} {prefix}{k}")["data"][0]
                        for k in range(many)]  # fmt: skip
        return data

    folder = put("d/train.json", file("t", 10)).parent
    with_dev = put("d/dev-v1.1.json", file("d", 2))
    data = load_questions(str(folder))
    assert [len(part) for part in (data.train, data.dev, data.test)] == [9, 1, 2]
    assert [one.id for one in data.test] == ["d0", "d1"]
    assert data.about == (
        "d: with train and dev questions; the dev questions are used as the test part; "
        "dev part split off by article (10%, seed 0)"
    )
    put("d/test.json", file("x", 3))
    data = load_questions(str(folder))
    assert [len(part) for part in (data.train, data.dev, data.test)] == [10, 2, 3]
    (folder / "test.json").rename(folder / "holdout.json")
    with_dev = with_dev.rename(folder / "eval-v1.1.json")
    again = load_questions(str(folder))
    assert (again.train, again.dev, again.test) == (data.train, data.dev, data.test)
    with_dev = with_dev.rename(folder / "dev-v1.1.json")
    (folder / "holdout.json").rename(folder / "test.json")
    alone = load_questions(str(folder / "train.json"))
    assert [len(part) for part in (alone.train, alone.dev, alone.test)] == [8, 1, 1]
    assert alone.fingerprint == load_questions(str(folder / "train.json")).fingerprint != data.fingerprint
    (folder / "train.json").rename(folder / "other.json")
    with pytest.raises(UsageError, match=r"no training questions.*dev-v1\.1\.json, other\.json"):
        load_questions(str(folder))
    assert with_dev.is_file()


def test_contexts_are_kept_once() -> None:
    made = [Record(str(k), "?", "".join(["some ", "text"]), (("text", 5),), None, False, "") for k in range(2)]
    first, second = checked(made, Report(strict=True))
    assert first.context is second.context


@pytest.mark.parametrize(
    ("name", "counts"),
    [("squad1", (8889, 1681)), ("squad2", (9489, 2384)), ("KorQuAD_v1.0_dev.json", (5774, 0))],
)  # fmt: skip
def test_the_real_ones_are_without_fault(shared: Path, name: str, counts: tuple[int, int]) -> None:
    data = load_questions(str(shared / "data" / "qa" / name), strict=True)
    test = len(data.test) if counts[1] else 0
    assert (len(data.train) + len(data.dev) + len(data.test) - test, test) == counts
    titles = [{one.title for one in part} for part in (data.train, data.dev, data.test)]
    assert not titles[0] & titles[1]
    assert not titles[0] & titles[2]
    assert abs(len(data.dev) / (len(data.train) + len(data.dev)) - 0.1) < 0.05


def test_numbers_longer_than_python_reads(put: Put) -> None:
    text = json.dumps(squad(qa(start=7))).replace('"answer_start": 7', '"answer_start": ' + "9" * 5000)
    with pytest.raises(ReslabError, match=r"a\.json is damaged: Exceeds the limit"):
        read_questions(put("a.json", text))
    line = '{"id": 1, "question": "a", "context": "b", "answers": ' + "9" * 5000 + "}"
    with pytest.raises(ReslabError, match=r"a\.jsonl, line 1 is damaged: Exceeds"):
        read_questions(put("a.jsonl", line))


@pytest.mark.parametrize("content", ["", " \n", "\ufeff"])
def test_an_empty_file_is_called_so(content: str, put: Put) -> None:
    with pytest.raises(ReslabError, match=r"a\.json is empty"):
        read_questions(put("a.json", content))


def test_an_answer_with_half_a_character_stands_where_the_context_has_it(put: Put) -> None:
    report = Report()
    (one,) = read_questions(
        put("a.json", squad(qa(text="A\ud83dda", start=0), context="A\ud83dda wrote.")), report=report
    )
    assert one.answers == (Answer("A\ufffdda", 0),)
    assert report.counts == {"half characters": 1}


def test_too_little_to_split_is_said_of_the_whole(put: Put, tmp_path: Path) -> None:
    two = squad(qa("1"), title="a")
    two["data"] += squad(qa("2"), context="He wrote.", title="b")["data"]
    with pytest.raises(UsageError, match=r"a\.json has 2 context\(s\), too few to split off a test and a dev part"):
        load_questions(str(put("a.json", two)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty holds no files of questions \(\.json, "):
        load_questions(str(tmp_path / "empty"))
