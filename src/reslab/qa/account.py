"""The account of questions on one line, shown before training and evaluation."""

from collections.abc import Sequence

from reslab.errors import tell
from reslab.qa.data.question import Question, Report
from reslab.qa.data.questions import QuestionData

LEFT_OUT = ("duplicate id", "empty question", "empty context")  # kinds of problems whose question is not used


def line(data: QuestionData) -> str:
    """`240 + 30 + 30 questions (train, dev, test) on 40 + 5 + 5 contexts; 20 unanswerable; 2 left out: ...`"""
    parts = [data.train, data.dev, data.test]
    counts = " + ".join(f"{len(part):,}" for part in parts)
    texts = " + ".join(f"{contexts(part):,}" for part in parts)
    return "; ".join([f"{counts} questions (train, dev, test) on {texts} contexts",
                      *rest([one for part in parts for one in part], data.report)])  # fmt: skip


def line_of(questions: Sequence[Question], report: Report | None = None) -> str:
    """The same for one part: `30 questions on 5 contexts; 2 unanswerable`."""
    return "; ".join([f"{len(questions):,} questions on {contexts(questions):,} contexts", *rest(questions, report)])


def contexts(questions: Sequence[Question]) -> int:
    return len({one.context for one in questions})


def rest(questions: Sequence[Question], report: Report | None) -> list[str]:
    """What the line adds where it applies: unanswerable questions, and what is left out."""
    told = []
    if impossible := sum(one.impossible for one in questions):
        told.append(f"{impossible:,} unanswerable")
    out = {kind: n for kind, n in (report.counts if report else {}).items() if kind in LEFT_OUT}
    if out:
        told.append(f"{sum(out.values()):,} left out: {', '.join(f'{kind} ({n:,})' for kind, n in out.items())}")
    return told


def announce(data: QuestionData) -> None:
    """Log the line; the command line shows it."""
    tell("%s: %s", data.name, line(data))
