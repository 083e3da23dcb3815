"""Questions about a context, validated: is each answer at its stated position? Problems are reported."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from reslab.errors import Sentence, UsageError
from reslab.qa.data.record import Record

SURROGATES = re.compile("[\ud800-\udfff]")  # lone surrogates, which JSON can encode but no tokenizer can read
NOTES = ("inexact", "answer too long")  # kinds that `strict` ignores: not faults of the data
KEPT = 1000  # problems of one kind that are kept as examples; the others are only counted


class Answer(NamedTuple):
    """A gold answer: context[start:start + len(text)] == text, or start is -1: used for scoring, not for training."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about a context. `impossible`: the context does not answer it, and `answers` is empty.

    `hidden`: its file has no answers to it, as in the test parts of leaderboards; it can be answered, not scored.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    impossible: bool = False
    title: str = ""  # of its article
    hidden: bool = False


class Problem(NamedTuple):
    kind: str
    id: str  # the question's
    sentence: str


@dataclass
class Report:
    """Problems of questions, and how they were handled.

    `strict`: the first problem is raised as UsageError instead.
    """

    strict: bool = False
    problems: list[Problem] = field(default_factory=list)  # the first KEPT of each kind
    counts: dict[str, int] = field(default_factory=dict)  # of each kind, in order of appearance

    def add(self, kind: str, id: str, sentence: str) -> None:
        if self.strict and kind not in NOTES:
            raise UsageError(f"question {id}: ", sentence)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= KEPT:
            self.problems.append(Problem(kind, id, sentence))

    def lines(self, *, examples: int = 3) -> Iterator[Sentence]:
        """Lines to show: one per kind, with a few examples of each."""
        for kind, count in self.counts.items():
            yield Sentence(f"{kind}: {count}")
            shown = [problem for problem in self.problems if problem.kind == kind][:examples]
            yield from (Sentence(f"  question {problem.id}: ", problem.sentence) for problem in shown)


def checked(found: Iterable[Record], report: Report) -> tuple[Question, ...]:
    """The usable records as questions; every problem and how it was handled goes to `report`.

    Questions whose answers are hidden are kept, as `hidden`.
    """
    questions: dict[str, Question] = {}
    empty = []  # questions with empty answers and no mark: of columns (as the hub stores them), of a list
    contexts: dict[str, str] = {}  # one copy of each context, shared by its questions
    for one in found:
        question, context = _clean(one.question, one.id, report).strip(), _clean(one.context, one.id, report)
        if one.id in questions:
            report.add("duplicate id", one.id, "its id was used before; skipped")
        elif not question or not context.strip():
            what = "the context" if question else "the question"
            report.add(f"empty {what[4:]}", one.id, f"{what} is empty; skipped")
        else:
            hidden = one.answers is None and not one.impossible
            given = () if one.impossible or one.answers is None else one.answers
            whole = ((SURROGATES.sub("\ufffd", text), start) for text, start in given)  # as in the context
            answers = tuple(_place(answer, context, one.id, report) for answer in whole)
            if one.impossible and one.answers:
                report.add(
                    "contradiction", one.id, "it is marked is_impossible but has answers; treated as unanswerable"
                )
            if one.answers == () and one.impossible is None:
                empty.append((one.id, one.columnar))
            elif one.answers == () and not one.impossible:
                report.add("no answers", one.id, UNMARKED)
            context = contexts.setdefault(context, context)
            questions[one.id] = Question(id=one.id, question=question, context=context, answers=answers,
                                         impossible=not answers and not hidden, title=one.title,
                                         hidden=hidden)  # fmt: skip
    if empty and len(empty) == len(questions):
        return tuple(_unmarked(one, report) for one in questions.values())
    for id, columnar in empty:
        if not columnar:
            report.add("no answers", id, UNMARKED)
    return tuple(questions.values())


UNMARKED = "it has no answers and is not marked is_impossible; treated as unanswerable"


def _unmarked(question: Question, report: Report) -> Question:
    """A question of a part without any answer or mark: leaderboards store hidden answers as empty lists or columns."""
    report.add("hidden answers", question.id, "no question of its part has an answer or a mark, so answers are taken "
               "as hidden; mark is_impossible to score them as unanswerable")  # fmt: skip
    return replace(question, hidden=True, impossible=False)


def _clean(text: str, id: str, report: Report) -> str:
    """The text with lone surrogates replaced one for one, so that offsets do not change."""
    if not SURROGATES.search(text):
        return text
    report.add("half characters", id, "it contains lone surrogates (\\ud800...); each is replaced by U+FFFD")
    return SURROGATES.sub("\ufffd", text)


def _found(text: str, context: str, id: str, report: Report) -> Answer:
    """The answer at its only occurrence; at the first of several, which is reported."""
    start = context.find(text)
    if start < 0:
        report.add(
            "answer not in context", id, f"{_short(text)} is not in its context; used for scoring, not for training"
        )
    elif context.find(text, start + 1) >= 0:
        report.add("no answer_start", id, f"{_short(text)} occurs several times and has no answer_start; the first "
                   f"occurrence, at {start}, is used")  # fmt: skip
    return Answer(text, start)


def _place(answer: tuple[str, int | None], context: str, id: str, report: Report) -> Answer:
    """The answer with its actual position: as stated, otherwise the nearest, otherwise -1 (not found)."""
    text, start = answer
    if not text.strip():
        report.add("empty answer", id, "an answer is empty; used for scoring, not for training")
        return Answer(text, -1)
    if start is None:
        return _found(text, context, id, report)
    if start >= 0 and context.startswith(text, start):
        return Answer(text, start)
    problem = f"{_short(text)} is not at {start}"
    if start < 0 or start + len(text) > len(context):
        problem = f"{_short(text)} at {start} is outside its context of {len(context)} characters"
    places = [found.start() for found in re.finditer(f"(?={re.escape(text)})", context)]
    if places:
        near = min(places, key=lambda place: abs(place - start))
        report.add("misplaced answer", id, f"{problem}; the nearest occurrence, at {near}, is used")
        return Answer(text, near)
    form = unicodedata.normalize("NFKC", text) in unicodedata.normalize("NFKC", context)
    hint = " (only in another Unicode form; normalize both)" if form else ""
    report.add("answer not in context", id, f"{problem}, nor anywhere else{hint}; used for scoring, not for training")
    return Answer(text, -1)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
