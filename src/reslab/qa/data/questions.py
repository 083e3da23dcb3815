"""Load questions about texts by name or path, in three parts split by article."""

import bisect
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.qa.data.files import FORMS, hub, records
from reslab.qa.data.question import Answer, Problem, Question, Report, checked
from reslab.qa.data.record import Record
from reslab.train.parts import DEV as DEV_NAMES
from reslab.train.parts import TEST, TRAIN, starts_as

__all__ = [
    "Answer",
    "Problem",
    "Question",
    "QuestionData",
    "Report",
    "load_questions",
    "read_questions",
    "split_articles",
]

DEV = 0.1  # share of the questions, in whole articles


@dataclass(frozen=True, kw_only=True)
class QuestionData:
    """Three parts without common articles: `dev` selects thresholds and temperatures, `test` is only reported."""

    name: str
    train: tuple[Question, ...]
    dev: tuple[Question, ...]
    test: tuple[Question, ...]
    about: str
    fingerprint: str  # sha256, hex, of all questions, contexts and answers in order
    report: Report

    def describe(self) -> dict[str, Any]:
        parts = {part: len(getattr(self, part)) for part in ("train", "dev", "test")}
        return {"name": self.name, **parts, "about": self.about, "fingerprint": self.fingerprint,
                "problems": self.report.counts}  # fmt: skip


def load_questions(word: str, *, share: float = DEV, seed: int = 0, strict: bool = False) -> QuestionData:
    """The questions that `word` names: a file (.json like SQuAD's, .jsonl, .parquet), a folder of them, or hf:NAME.

    The names of a folder's files start with train, dev (or val, eval, ...) and test (or holdout). If there are only two
    parts, the second is the test part, since results are commonly reported on SQuAD's public dev set. Missing parts are
    split off the training questions: `share` of them, in whole articles sampled with `seed`. Problems are counted in
    `report`; `strict` raises the first. Raises UsageError if there are no questions, ReslabError for damaged files.
    """
    report = Report(strict)
    if word.startswith("hf:"):
        parts = _parts(hub(word.removeprefix("hf:")), word, report)
    elif Path(os.path.expanduser(word)).is_dir():
        folder = Path(os.path.expanduser(word))
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in FORMS and file.name[0] != ".")
        if not files:
            raise UsageError(f"{word} holds no files of questions ({', '.join(FORMS)})")
        parts = _parts({file.name: records(file) for file in files}, str(folder), report)
    else:
        parts = {"train": read_questions(word, report=report)}
    blind = [part for part, found in parts.items() if part != "train" and all(one.hidden for one in found)]
    parts = {part: answered(found, part, word, report) for part, found in parts.items() if part not in blind}
    own = f": with {' and '.join(parts)} questions" if len(parts) > 1 else ""
    about = [f"{Path(word).name}{own}"]
    about += [f"the answers to its {part} questions are hidden, so they are not used" for part in blind]
    if "test" not in parts and "dev" in parts:
        parts["test"] = parts.pop("dev")
        about.append("the dev questions are used as the test part")
    missing = [part for part in ("test", "dev") if part not in parts]
    texts = len({question.context for question in parts["train"]})
    if texts <= len(missing):
        raise UsageError(f"{word} has {texts} context(s), too few to split off a {' and a '.join(missing)} part; "
                         "give more, or a folder with files of these names")  # fmt: skip
    for part in missing:
        parts["train"], parts[part] = split_articles(parts["train"], share=share, seed=seed)
        about.append(f"{part} part split off by article ({share:.0%}, seed {seed})")
    return QuestionData(name=word, about="; ".join(about), fingerprint=fingerprint(parts), report=report, **parts)


def answered(questions: Sequence[Question], part: str, word: str, report: Report) -> tuple[Question, ...]:
    """The questions without those whose answers are hidden, which can be neither learned nor scored."""
    known = tuple(question for question in questions if not question.hidden)
    for question in questions:
        if question.hidden:
            report.add("hidden answers", question.id, "its file has no answers to it; skipped")
    if not known:
        raise UsageError(f"{word}: no {part} question has answers, so there is nothing to train on or to score; "
                         "evaluate a trained reader on this file to get its predictions")  # fmt: skip
    return known


def read_questions(path: Path | str, *, report: Report | None = None) -> tuple[Question, ...]:
    """The usable questions of one file; problems of the others go to `report`."""
    path = Path(os.path.expanduser(path))
    found = checked(records(path), Report() if report is None else report)
    if not found:
        raise UsageError(f"{path} holds no usable question")
    return found


def _parts(found: Mapping[str, Iterable[Record]], word: str, report: Report) -> dict[str, tuple[Question, ...]]:
    """The parts made of the files or splits `found`, by the beginning of their names."""
    parts = {}
    for part, words in (("train", TRAIN), ("test", TEST), ("dev", DEV_NAMES)):
        names = [name for name in found if starts_as(name, words)]
        if names:
            parts[part] = checked((one for name in names for one in found[name]), report)
    if not parts.get("train"):
        raise UsageError(f"{word} has no training questions: no name starts with train ({', '.join(found)})")
    return {part: questions for part, questions in parts.items() if questions}


def split_articles(
    questions: Sequence[Question], *, share: float = DEV, seed: int = 0
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """(the rest, about `share` of the questions): whole articles sampled with `seed`, none in both; order is kept.

    Questions with the same title belong to one article; if there are fewer than two titles, each context is an article.
    The sampled articles do not depend on the order of the questions. Raises UsageError for fewer than two contexts.
    """
    if not 0 < share < 1:
        raise UsageError(f"share must be between 0 and 1, got {share}")
    groups = _articles(questions)
    sizes = Counter(groups)
    names = sorted(sizes)
    if len(names) < 2:
        raise UsageError(f"{len(names)} context(s) cannot be split into two parts; give a separate dev file")
    from reslab.train.order import shuffled  # needs torch, which files of questions alone do not

    drawn = [names[k] for k in shuffled(len(names), seed).tolist()][:-1]  # at least one stays in the rest
    taken = [0]
    for name in drawn:
        taken.append(taken[-1] + sizes[name])
    wanted = share * len(questions)
    many = max(1, bisect.bisect_left(taken, wanted))
    if many > 1 and (many == len(taken) or taken[many] - wanted > wanted - taken[many - 1]):
        many -= 1
    held = set(drawn[:many])
    rest = tuple(question for question, name in zip(questions, groups, strict=True) if name not in held)
    return rest, tuple(question for question, name in zip(questions, groups, strict=True) if name in held)


def _articles(questions: Sequence[Question]) -> list[str]:
    """The article of each question; articles that share a context are one."""
    named = len({question.title for question in questions}) > 1
    keys = [question.title or question.context if named else question.context for question in questions]
    first: dict[str, str] = {}  # context -> the first article with it
    root = {key: key for key in keys}

    def find(key: str) -> str:
        while root[key] != key:
            key = root[key]
        return key

    for question, key in zip(questions, keys, strict=True):
        a, b = find(first.setdefault(question.context, key)), find(key)
        root[max(a, b)] = min(a, b)
    return [find(key) for key in keys]


def fingerprint(parts: Mapping[str, Sequence[Question]]) -> str:
    digest = hashlib.sha256()
    for part in sorted(parts):
        for one in parts[part]:
            digest.update(repr((part, one.id, one.question, one.context, one.answers)).encode())
    return digest.hexdigest()
