"""Ask questions about texts of any length: what a reader in torch and an exported one have in common. No torch."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, overload

import numpy as np

from reslab.errors import ReslabWarning, UsageError, arg
from reslab.progress import Steps
from reslab.qa.answers import BEST, Ranked, Spans, rank
from reslab.qa.data.question import SURROGATES, Question, Report
from reslab.qa.data.windows import MAX_QUESTION, WindowArrays, Windows, windows
from reslab.qa.rules import RULES
from reslab.qa.settings import LONGEST, Settings

Texts = str | Sequence[str] | Mapping[str, str]  # one, several, or several by name
SPECIAL = 4  # special tokens around question and context, at most (RoBERTa)


@dataclass(frozen=True)
class Answer:
    """A part of a text: text == contexts[document][start:end]. For "no answer", text is "" and document None."""

    text: str
    score: float  # start logit plus end logit
    probability: float  # among all candidates for this question, calibrated
    document: int | str | None = None  # index of the text, or its name in a mapping
    start: int = 0  # characters
    end: int = 0


class Asker:
    """Answers questions about texts; a subclass reads the windows of tokens that they are cut into."""

    def __init__(self, tokenizer: Any, settings: Settings) -> None:
        self.tokenizer, self.settings = tokenizer, settings
        self.one_at_a_time = Lock()  # of the tokenizer: while it cuts a text, its own truncation is off

    @overload
    def ask(
        self, question: str, contexts: Texts, *, top: int = ..., no_answer: bool | None = ...,
        max_answer: int | None = ..., progress: Steps | None = ..., report: Report | None = ...,
    ) -> list[Answer]: ...  # fmt: skip

    @overload
    def ask(
        self, question: list[str] | tuple[str, ...], contexts: Texts, *, top: int = ..., no_answer: bool | None = ...,
        max_answer: int | None = ..., progress: Steps | None = ..., report: Report | None = ...,
    ) -> list[list[Answer]]: ...  # fmt: skip

    def ask(
        self, question: str | list[str] | tuple[str, ...], contexts: Texts, *, top: int = 3,
        no_answer: bool | None = None, max_answer: int | None = None, progress: Steps | None = None,
        report: Report | None = None,
    ) -> list[Answer] | list[list[Answer]]:  # fmt: skip
        """The `top` best answers in all contexts together, best first; for several questions, a list of such lists.

        Contexts may have any length; empty ones are left out with a warning. `no_answer`: whether "no answer" is
        allowed (default: if the net was trained with unanswerable questions); if it is predicted, an Answer "" comes
        first, followed by the best answers of the texts. `max_answer`: most tokens in an answer (default: as in
        training). The probabilities are over all candidates, not only the `top`. Truncated questions and empty contexts
        go to `report`, or are warned about without it. Raises UsageError if there is no question or context, or an
        empty question.
        """
        asked = listed(question, "question")
        documents = contexts if isinstance(contexts, Mapping) else dict(enumerate(listed(contexts, "contexts")))
        refuse(asked, documents, top)
        documents = with_text(documents, report)
        allowed = RULES[self.settings.rule].empty if no_answer is None else no_answer
        pairs = [
            Question(id=f"{number}", question=readable(one), context=readable(text))
            for number, one in enumerate(asked, 1)
            for text in documents.values()
        ]
        found = rank(
            self.spans(pairs, most=max_answer, progress=progress, report=report), len(asked), no_answer=allowed,
            temperature=self.settings.temperature, group=[row // len(documents) for row in range(len(pairs))],
        )  # fmt: skip
        answers = [self.answers(one, documents, top, allowed) for one in found]
        return answers[0] if isinstance(question, str) else answers

    def answers(self, found: Ranked, documents: Mapping[Any, str], top: int, allowed: bool) -> list[Answer]:
        """The candidates of one question as answers in the documents; "no answer" comes first if it is predicted."""
        silent = not found.candidates or (allowed and found.decided(self.settings.threshold) is None)
        answers = [Answer("", found.null, found.no_answer)] if silent else []
        names = list(documents)
        for one in found.candidates[: top - len(answers)]:
            name = names[one.question % len(names)]
            text = documents[name][one.start : one.end]
            answers.append(Answer(text, one.score, one.probability, name, one.start, one.end))
        return answers

    def spans(
        self, questions: Sequence[Question], *, most: int | None = None, progress: Steps | None = None,
        report: Report | None = None,
    ) -> Spans:  # fmt: skip
        """The best spans of all windows of the questions' contexts, of at most `most` tokens (default: as in training).

        Questions that are truncated go to `report`, or are warned about without it.
        """
        limit = self.settings.max_answer if most is None else most
        if type(limit) is not int or not 1 <= limit <= LONGEST:
            raise UsageError(arg("max_answer"), f" must be from 1 to {LONGEST}, got {limit!r}")
        cut, found = self.cut(questions)
        for problem in {one.id: one for one in found.problems if one.kind == "long question"}.values():
            if report is not None:
                report.add(*problem)
                continue
            warnings.warn(f"question {problem.id}: {problem.sentence}", stacklevel=3)
        return self.read(cut, limit, progress)

    def cut(self, questions: Sequence[Question]) -> tuple[Windows, Report]:
        """The windows of the questions' contexts, and what is odd about them."""
        length, report = self.settings.length, Report()
        # Leave room for one token of the question and two of the context.
        stride = max(0, min(self.settings.stride, length - SPECIAL - 3))
        room = max(1, min(MAX_QUESTION, length - stride - SPECIAL - 2))
        with self.one_at_a_time:
            return windows(questions, self.tokenizer, length=length, stride=stride, max_question=room,
                           report=report), report  # fmt: skip

    def read(self, cut: Windows, most: int, progress: Steps | None) -> Spans:
        """The best spans of at most `most` tokens of every window."""
        raise NotImplementedError


def listed(texts: str | Iterable[str], what: str) -> list[str]:
    """One text or several, as a list. Raises UsageError for anything else."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise UsageError(f"{what} must be a text or a list of texts, got {type(texts).__name__}")
    return [texts] if isinstance(texts, str) else list(texts)


def refuse(asked: Sequence[str], documents: Mapping[Any, str], top: int) -> None:
    """Raise UsageError for invalid questions, documents or `top`."""
    if type(top) is not int or not 1 <= top <= BEST:
        raise UsageError(f"top must be from 1 to {BEST}, got {top!r}")
    if not asked or not documents:
        raise UsageError(f"give at least one {'context' if asked else 'question'}")
    for what, texts in (("question", dict(enumerate(asked))), ("context", documents)):
        for name, text in texts.items():
            if not isinstance(text, str):
                raise UsageError(f"{what} {name} must be a text, got {type(text).__name__}")
            if what == "question" and not text.strip():
                raise UsageError(f"{what} {name} is empty" if len(texts) > 1 else f"the {what} is empty")


def with_text(documents: Mapping[Any, str], report: Report | None = None) -> dict[Any, str]:
    """The documents that are not empty, under their own names. Raises UsageError if all are; reports some, or warns."""
    found = {name: text for name, text in documents.items() if text.strip()}
    empty = [str(name) for name in documents if name not in found]
    if not found:
        raise UsageError("the context is empty" if len(documents) == 1 else f"all {len(documents)} contexts are empty")
    if empty:
        more = ", ..." if empty[3:] else ""
        sentence = f"empty contexts left out: {len(empty)} ({', '.join(empty[:3])}{more})"
        if report is None:
            warnings.warn(sentence, ReslabWarning, stacklevel=3)
        else:
            report.add("empty context", empty[0], sentence)
    return found


def readable(text: str) -> str:
    """The text with lone surrogates replaced one for one, so that offsets do not change."""
    return SURROGATES.sub("\ufffd", text)


def inputs_of(windows: WindowArrays, *, types: bool = True) -> dict[str, np.ndarray]:
    """A batch of windows as an exported net's inputs. [CLS] is allowed as an answer, too: it means "no answer"."""
    context = windows.context.copy()
    context[:, 0] = True
    found = {"mask": windows.mask, "context": context, "ids": windows.ids}
    return found | ({"types": windows.types} if types else {})
