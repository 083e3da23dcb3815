"""A trained net as a reader: questions and texts in, answers with their places and probabilities out."""

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import nn

from reslab.errors import ReslabError, UsageError
from reslab.nets.heads import Wide
from reslab.nets.weights import insert, read_state
from reslab.progress import Steps
from reslab.qa.answers import BEST, Ranked, Spans, rank
from reslab.qa.data.question import SURROGATES, Question, Report
from reslab.qa.data.questions import split_articles
from reslab.qa.data.windows import MAX_QUESTION, windows
from reslab.qa.judge import Judged, judge
from reslab.qa.net.net import QANet, build_qa, read_qa_spec
from reslab.qa.predict import predict
from reslab.qa.scores import RULES
from reslab.qa.settings import SETTINGS, SHAPE, TOKENIZER, WEIGHTS, Settings, read_settings, read_tokenizer
from reslab.run import Run, explained, write_aside
from reslab.train.folder import pick_device
from reslab.train.tune import Choice, native_bf16

Texts = str | Sequence[str] | Mapping[str, str]  # one, several, or several by name
SPECIAL = 4  # tokens around question and context, at most: RoBERTa's


@dataclass(frozen=True)
class Answer:
    """A piece of a text: text == contexts[document][start:end]. Or "no answer": text is "", document None."""

    text: str
    score: float  # start's logit plus end's
    probability: float  # among all candidates for this question, calibrated
    document: int | str | None = None  # which text: its index, or its name in a mapping
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
        progress: Steps | None = ...,
    ) -> list[Answer]: ...  # fmt: skip

    @overload
    def ask(
        self, question: list[str] | tuple[str, ...], contexts: Texts, *, top: int = ..., no_answer: bool | None = ...,
        progress: Steps | None = ...,
    ) -> list[list[Answer]]: ...  # fmt: skip

    def ask(
        self, question: str | list[str] | tuple[str, ...], contexts: Texts, *, top: int = 3,
        no_answer: bool | None = None, progress: Steps | None = None,
    ) -> list[Answer] | list[list[Answer]]:  # fmt: skip
        """The `top` best answers in all the contexts together, best first; of several questions a list each.

        Contexts may be of any length. `no_answer`: whether the net may say that there is none (by default where it
        learned to, by squad2); where it does, an Answer "" comes first, and the best of the texts after it. The
        probabilities are those of all candidates, not of the `top` alone. Raises UsageError for an empty question or
        context, or none.
        """
        asked = listed(question, "question")
        documents = contexts if isinstance(contexts, Mapping) else dict(enumerate(listed(contexts, "contexts")))
        refuse(asked, documents, top)
        allowed = RULES[self.settings.rule].empty if no_answer is None else no_answer
        pairs = [
            Question(id=f"{number}", question=readable(one), context=readable(text))
            for number, one in enumerate(asked, 1)
            for text in documents.values()
        ]
        found = rank(
            self.spans(pairs, progress=progress), len(asked), no_answer=allowed, temperature=self.settings.temperature,
            group=[row // len(documents) for row in range(len(pairs))],
        )  # fmt: skip
        answers = [self.answers(one, documents, top, allowed) for one in found]
        return answers[0] if isinstance(question, str) else answers

    def answers(self, found: Ranked, documents: Mapping[Any, str], top: int, allowed: bool) -> list[Answer]:
        """What was found for one question, as answers in the documents; "no answer" first where it is the answer."""
        threshold = self.settings.threshold
        above = found.best is None if threshold is None else found.no_answer > threshold
        silent = (allowed and above) or not found.candidates
        answers = [Answer("", found.null, found.no_answer)] if silent else []
        names = list(documents)
        for one in found.candidates[: top - len(answers)]:
            name = names[one.question % len(names)]
            text = documents[name][one.start : one.end]
            answers.append(Answer(text, one.score, one.probability, name, one.start, one.end))
        return answers

    def spans(self, questions: Sequence[Question], *, progress: Steps | None = None) -> Spans:
        """The best spans of every window of the questions' contexts. Warns of a question that is cut."""
        length, report = self.settings.length, Report()
        stride = max(0, min(self.settings.stride, length - SPECIAL - 3))  # a token for the question, two of the context
        most = max(1, min(MAX_QUESTION, length - stride - SPECIAL - 2))
        cut = windows(questions, self.tokenizer, length=length, stride=stride, max_question=most, report=report)
        for problem in {one.id: one for one in report.problems if one.kind == "long question"}.values():
            warnings.warn(f"question {problem.id}: {problem.sentence}", stacklevel=3)
        return predict(self.net, cut, device=self.device, choice=self.choice, progress=progress)

    def calibrate(
        self, questions: Sequence[Question], *, share: float = 0.5, seed: int = 0, progress: Steps | None = None
    ) -> Judged:
        """Fit the temperature (and by squad2 the threshold) on the questions without `share` of them, kept for judging.

        For texts of another kind than those trained on. `share` is held out in whole articles drawn by `seed`, and says
        what the fit is worth: `.before.ece` and `.after.ece` are the expected calibration errors there. The settings
        are the reader's from now on, and written to the run's qa.json. Raises UsageError where they cannot be split.
        """
        fit, held = split_articles(questions, share=share, seed=seed)
        spans = [self.spans(part, progress=progress) for part in (fit, held)]
        found = judge(fit, spans[0], held, spans[1], rule=self.settings.rule)
        self.settings = replace(self.settings, temperature=found.temperature.temperature,
                                threshold=found.evaluation.threshold, ece=found.after.ece)  # fmt: skip
        self.run.write_json(SETTINGS, asdict(self.settings))
        return found

    def save(self, folder: Path | str) -> Path:
        """Write a folder that loads alone: spec, weights, tokenizer, settings. Raises UsageError where files lie."""
        folder = Path(folder)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; name a new one")
        if not self.run.has(WEIGHTS):
            raise ReslabError(f"{self.run.folder} has lost its {WEIGHTS} since it was loaded; restore it")
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

    For inference only: the head folded, in bf16 where the device computes that itself and `precision` says nothing
    else. Nothing is unpickled. Raises UsageError where it is no such folder, ReslabError where it is damaged.
    """
    where = Run(run)
    spec = read_qa_spec(where)
    if not where.has(WEIGHTS) or not where.has(SETTINGS):
        raise UsageError(f"{run} answers no questions yet: its training is not finished")
    settings = read_settings(where, most=spec.length)
    place = pick_device(device)
    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision must be auto, fp32 or bf16, got {precision!r}")
    fast = native_bf16(place) if precision == "auto" else precision == "bf16"
    state = read_state(where.path(WEIGHTS))
    with torch.random.fork_rng(devices=[]):  # weights that are replaced at once take no random numbers of others
        net = build_qa(spec, shape=where.path(SHAPE))
    insert(net, state)
    choice = Choice(precision="bf16" if fast else "fp32")
    return Reader(ready(net, place, choice), read_tokenizer(where), settings, run=where, device=place, choice=choice)


def ready(net: QANet, device: torch.device, choice: Choice) -> QANet:
    """The net for inference."""
    net.head = net.head.fold()
    net.eval().requires_grad_(False)
    if choice.precision == "bf16":  # as autocast does it for every batch, once
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv1d) and not isinstance(module, Wide):
                module.to(torch.bfloat16)
    return net.to(device)


def listed(texts: str | Iterable[str], what: str) -> list[str]:
    """One text or several, as a list. Raises UsageError for what is neither."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise UsageError(f"{what} must be a text or a list of texts, got {type(texts).__name__}")
    return [texts] if isinstance(texts, str) else list(texts)


def refuse(asked: Sequence[str], documents: Mapping[Any, str], top: int) -> None:
    """Raise UsageError for what cannot be answered."""
    if type(top) is not int or not 1 <= top <= BEST:
        raise UsageError(f"top must be from 1 to {BEST}, got {top!r}")
    if not asked or not documents:
        raise UsageError(f"there is no {'context to look in' if asked else 'question'}")
    for what, texts in (("question", dict(enumerate(asked))), ("context", documents)):
        for name, text in texts.items():
            if not isinstance(text, str):
                raise UsageError(f"{what} {name} must be a text, got {type(text).__name__}")
            if not text.strip():
                raise UsageError(f"{what} {name} is empty" if len(texts) > 1 else f"the {what} is empty")


def readable(text: str) -> str:
    """The text with half characters replaced one for one, so that every offset stays."""
    return SURROGATES.sub("\ufffd", text)
