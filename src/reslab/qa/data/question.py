"""Questions about a context, validated: is each answer at its stated position? Problems are reported."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reslab.errors import Sentence, UsageError
from reslab.qa.data.files import Record

SURROGATES = re.compile("[\ud800-\udfff]")  # lone surrogates, which JSON can encode but no tokenizer can read
NOTES = ("inexact",)  # kinds that `strict` ignores: caused by the tokenizer, not the data


class Answer(NamedTuple):
    """A gold answer: context[start:start + len(text)] == text, or start is -1: used for scoring, not for training."""

    text: str
    start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about a context. `impossible`: the context does not answer it, and `answers` is empty."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    impossible: bool = False
    title: str = ""  # of its article


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
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: str, id: str, sentence: str) -> None:
        if self.strict and kind not in NOTES:
            raise UsageError(f"question {id}: ", sentence)
        self.problems.append(Problem(kind, id, sentence))

    @property
    def counts(self) -> dict[str, int]:
        """The number of problems of each kind, in order of appearance."""
        return dict(Counter(problem.kind for problem in self.problems))

    def lines(self, *, examples: int = 3) -> Iterator[Sentence]:
        """Lines to show: one per kind, with a few examples of each."""
        for kind, count in self.counts.items():
            yield Sentence(f"{kind}: {count}")
            shown = [problem for problem in self.problems if problem.kind == kind][:examples]
            yield from (Sentence(f"  question {problem.id}: ", problem.sentence) for problem in shown)


def checked(found: Iterable[Record], report: Report) -> tuple[Question, ...]:
    """The usable records as questions; every problem and how it was handled goes to `report`."""
    questions: dict[str, Question] = {}
    contexts: dict[str, str] = {}  # one copy of each context, shared by its questions
    for one in found:
        question, context = _clean(one.question, one.id, report).strip(), _clean(one.context, one.id, report)
        if one.id in questions:
            report.add("duplicate id", one.id, "its id was used before; skipped")
        elif not question or not context.strip():
            what = "the context" if question else "the question"
            report.add(f"empty {what[4:]}", one.id, f"{what} is empty; skipped")
        else:
            given = () if one.impossible else one.answers
            whole = (Answer(SURROGATES.sub("\ufffd", text), start) for text, start in given)  # as in the context
            answers = tuple(_place(answer, context, one.id, report) for answer in whole)
            if one.impossible and one.answers:
                report.add(
                    "contradiction", one.id, "it is marked is_impossible but has answers; treated as unanswerable"
                )
            if not one.answers and not one.impossible and (one.impossible is False or not one.columnar):
                report.add(
                    "no answers", one.id, "it has no answers and is not marked is_impossible; treated as unanswerable"
                )
            context = contexts.setdefault(context, context)
            questions[one.id] = Question(id=one.id, question=question, context=context, answers=answers,
                                         impossible=not answers, title=one.title)  # fmt: skip
    return tuple(questions.values())


def _clean(text: str, id: str, report: Report) -> str:
    """The text with lone surrogates replaced one for one, so that offsets do not change."""
    if not SURROGATES.search(text):
        return text
    report.add("half characters", id, "it contains lone surrogates (\\ud800...); each is replaced by U+FFFD")
    return SURROGATES.sub("\ufffd", text)


def _place(answer: Answer, context: str, id: str, report: Report) -> Answer:
    """The answer with its actual position: as stated, otherwise the nearest, otherwise -1 (not found)."""
    text, start = answer
    if not text.strip():
        report.add("empty answer", id, "an answer is empty; used for scoring, not for training")
        return Answer(text, -1)
    if start >= 0 and context.startswith(text, start):
        return answer
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
