"""The account of questions on one line."""

from reslab.qa.account import line, line_of
from reslab.qa.data.question import Question, Report
from reslab.qa.data.questions import QuestionData


def question(id: str, context: str, *, impossible: bool = False) -> Question:
    return Question(id=id, question="who?", context=context, impossible=impossible)


def test_parts_contexts_and_what_is_left_out() -> None:
    report = Report()
    report.add("duplicate id", "1", "")
    report.add("inexact", "2", "")  # used all the same
    data = QuestionData(
        name="x", train=(question("1", "a"), question("2", "a"), question("3", "b", impossible=True)),
        dev=(question("4", "c"),), test=(question("5", "d", impossible=True),), about="", fingerprint="", report=report,
    )  # fmt: skip
    assert line(data) == (
        "3 + 1 + 1 questions (train, dev, test) on 2 + 1 + 1 contexts; 2 unanswerable; 1 left out: duplicate id (1)"
    )
    assert line_of(data.train) == "3 questions on 2 contexts; 1 unanswerable"
