"""A trained net as a reader: it takes questions and texts and returns answers with positions and probabilities."""

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import nn

from reslab.errors import ReslabError, ReslabWarning, UsageError, arg
from reslab.nets.checkpoints import read_state
from reslab.nets.heads import Float32Linear
from reslab.nets.weights import filled, refuse_nan
from reslab.progress import Steps
from reslab.qa.answers import BEST, Ranked, Spans, rank
from reslab.qa.data.question import SURROGATES, Question, Report
from reslab.qa.data.questions import answered, split_articles
from reslab.qa.data.windows import MAX_QUESTION, windows
from reslab.qa.judge import Judged, judge
from reslab.qa.net.net import QANet, QASpec, build_qa, read_qa_spec
from reslab.qa.predict import predict
from reslab.qa.rules import RULES
from reslab.qa.settings import (
    LONGEST,
    SETTINGS,
    SHAPE,
    TOKENIZER,
    WEIGHTS,
    Settings,
    check_seal,
    read_settings,
    read_tokenizer,
)
from reslab.run import Run, missing
from reslab.stored.write import explained, write_aside
from reslab.train.folder import DONE, pick_device
from reslab.train.tune import Choice, native_bf16

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


class Reader:
    """A net that answers questions about texts; `load` makes one."""

    def __init__(
        self, net: QANet, tokenizer: Any, settings: Settings, *, run: Run, device: torch.device, choice: Choice
    ) -> None:
        self.net, self.tokenizer, self.settings = net, tokenizer, settings
        self.run, self.device, self.choice = run, device, choice

    @overload
    def ask(
        self, question: str, contexts: Texts, *, top: int = ..., no_answer: bool | None = ...,
        max_answer: int | None = ..., progress: Steps | None = ...,
    ) -> list[Answer]: ...  # fmt: skip

    @overload
    def ask(
        self, question: list[str] | tuple[str, ...], contexts: Texts, *, top: int = ..., no_answer: bool | None = ...,
        max_answer: int | None = ..., progress: Steps | None = ...,
    ) -> list[list[Answer]]: ...  # fmt: skip

    def ask(
        self, question: str | list[str] | tuple[str, ...], contexts: Texts, *, top: int = 3,
        no_answer: bool | None = None, max_answer: int | None = None, progress: Steps | None = None,
    ) -> list[Answer] | list[list[Answer]]:  # fmt: skip
        """The `top` best answers in all contexts together, best first; for several questions, a list of such lists.

        Contexts may have any length; empty ones are left out with a warning. `no_answer`: whether "no answer" is
        allowed (default: if the net was trained with unanswerable questions); if it is predicted, an Answer "" comes
        first, followed by the best answers of the texts. `max_answer`: most tokens in an answer (default: as in
        training). The probabilities are over all candidates, not only the `top`. Raises UsageError if there is no
        question or context, or an empty question.
        """
        asked = listed(question, "question")
        documents = contexts if isinstance(contexts, Mapping) else dict(enumerate(listed(contexts, "contexts")))
        refuse(asked, documents, top)
        documents = with_text(documents)
        allowed = RULES[self.settings.rule].empty if no_answer is None else no_answer
        pairs = [
            Question(id=f"{number}", question=readable(one), context=readable(text))
            for number, one in enumerate(asked, 1)
            for text in documents.values()
        ]
        found = rank(
            self.spans(pairs, most=max_answer, progress=progress), len(asked), no_answer=allowed,
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

    def spans(self, questions: Sequence[Question], *, most: int | None = None, progress: Steps | None = None) -> Spans:
        """The best spans of all windows of the questions' contexts, of at most `most` tokens (default: as in training).

        Warns about questions that are truncated.
        """
        limit = self.settings.max_answer if most is None else most
        if type(limit) is not int or not 1 <= limit <= LONGEST:
            raise UsageError(arg("max_answer"), f" must be from 1 to {LONGEST}, got {limit!r}")
        length, report = self.settings.length, Report()
        # Leave room for one token of the question and two of the context.
        stride = max(0, min(self.settings.stride, length - SPECIAL - 3))
        room = max(1, min(MAX_QUESTION, length - stride - SPECIAL - 2))
        cut = windows(questions, self.tokenizer, length=length, stride=stride, max_question=room, report=report)
        for problem in {one.id: one for one in report.problems if one.kind == "long question"}.values():
            warnings.warn(f"question {problem.id}: {problem.sentence}", stacklevel=3)
        return predict(self.net, cut, device=self.device, choice=self.choice, most=limit, progress=progress)

    def calibrate(
        self, questions: Sequence[Question], *, share: float = 0.5, seed: int = 0, progress: Steps | None = None
    ) -> Judged:
        """Fit the temperature (with squad2 also the threshold) on these questions, and measure it on a held-out share.

        Use it for texts of another kind than the training texts. `share` of the questions, in whole articles sampled
        with `seed`, is held out: `.before.ece` and `.after.ece` are the expected calibration errors on it. The reader
        uses the new settings from now on and writes them to the run's qa.json. Raises UsageError if the questions
        cannot be split.
        """
        questions = answered(questions, "calibration", "calibrate", Report())
        fit, held = split_articles(questions, share=share, seed=seed)
        spans = [self.spans(part, progress=progress) for part in (fit, held)]
        found = judge(fit, spans[0], held, spans[1], rule=self.settings.rule)
        self.settings = replace(self.settings, temperature=found.temperature.temperature,
                                threshold=found.evaluation.threshold, ece=found.after.ece)  # fmt: skip
        self.run.write_json(SETTINGS, asdict(self.settings))
        return found

    def save(self, folder: Path | str) -> Path:
        """Write a self-contained folder: spec, weights, tokenizer, settings. Raises UsageError if it is not empty."""
        folder = Path(folder)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; choose another one")
        if not self.run.has(WEIGHTS):
            raise ReslabError(
                f"{self.run.folder} no longer has {WEIGHTS}, which was there when it was loaded; restore it"
            )
        parts = [TOKENIZER, *([SHAPE] if self.run.path(SHAPE).is_dir() else [])]
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for part in parts:
                shutil.copytree(self.run.path(part), folder / part)
        with self.run.path(WEIGHTS).open("rb") as weights:
            write_aside(folder / WEIGHTS, lambda file: shutil.copyfileobj(weights, file))
        Run(folder).write_json(SETTINGS, asdict(self.settings))
        Run(folder).write_json("spec.json", self.run.read_json("spec.json"))  # last: with it the folder is a run
        return folder


def load(run: Path | str, *, device: str = "auto", precision: Literal["auto", "fp32", "bf16"] = "auto") -> Reader:
    """The reader of a finished training, or of a folder that `Reader.save` wrote.

    For inference only: the head is folded, and with precision "auto" bf16 is used if the device supports it natively.
    Nothing is unpickled. Raises UsageError if the folder is not a finished training, ReslabError if it is damaged.
    """
    where = Run(run)
    spec = read_qa_spec(where)
    for name in (WEIGHTS, SETTINGS):
        if not where.has(name) and where.has(DONE):
            raise missing(where.path(name))
    if not where.has(WEIGHTS) or not where.has(SETTINGS):
        raise UsageError(f"{run} cannot answer questions yet: its training is not finished")
    settings = read_settings(where, most=spec.length)
    place = pick_device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision must be auto, fp32 or bf16, got {precision!r}")
    fast = native_bf16(place) if precision == "auto" else precision == "bf16"
    net = trained_net(where, spec)
    choice = Choice(precision="bf16" if fast else "fp32")
    return Reader(ready(net, place, choice), read_tokenizer(where), settings, run=where, device=place, choice=choice)


def trained_net(where: Run, spec: QASpec) -> QANet:
    """The net of a finished training as it was trained, on the CPU. Raises ReslabError for damaged weights."""
    state = read_state(where.path(WEIGHTS))
    check_seal(where, SHAPE)
    with torch.random.fork_rng(devices=[]):  # must not advance the global random state
        net, _ = filled(lambda: build_qa(spec, shape=where.path(SHAPE)), state, where.path(WEIGHTS))
    refuse_nan(net, str(where.folder))
    return net


def ready(net: QANet, device: torch.device, choice: Choice) -> QANet:
    """The net for inference."""
    net.head = net.head.fold()
    net.eval().requires_grad_(False)
    if choice.precision == "bf16":  # autocast would convert the weights again for every batch
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv1d) and not isinstance(module, Float32Linear):
                module.to(torch.bfloat16)
    return net.to(device)


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


def with_text(documents: Mapping[Any, str]) -> dict[Any, str]:
    """The documents that are not empty, under their own names. Raises UsageError if all are; warns about some."""
    found = {name: text for name, text in documents.items() if text.strip()}
    empty = [str(name) for name in documents if name not in found]
    if not found:
        raise UsageError("the context is empty" if len(documents) == 1 else f"all {len(documents)} contexts are empty")
    if empty:
        more = ", ..." if empty[3:] else ""
        warnings.warn(
            f"empty contexts left out: {len(empty)} ({', '.join(empty[:3])}{more})", ReslabWarning, stacklevel=3
        )
    return found


def readable(text: str) -> str:
    """The text with lone surrogates replaced one for one, so that offsets do not change."""
    return SURROGATES.sub("\ufffd", text)
