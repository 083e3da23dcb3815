"""Texts in three parts for a language model: a file, or a folder of files whose names say which part they are."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.qa.data.plain import load_texts
from reslab.train.order import shuffled
from reslab.train.parts import DEV, TEST, TRAIN, starts_as

SHARE = 0.1  # of the training texts, for a part that is missing
SUFFIXES = (".txt", ".md", ".json", ".jsonl", ".parquet")


@dataclass(frozen=True, kw_only=True)
class TextData:
    """Distinct texts: those of `validation` and `test` are not in `train`."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    about: str
    fingerprint: str  # sha256, hex, of all texts in order

    def describe(self) -> dict[str, Any]:
        parts = {part: len(getattr(self, part)) for part in ("train", "validation", "test")}
        return {"name": self.name, **parts, "about": self.about, "fingerprint": self.fingerprint}


def load_text_data(word: str, *, column: str | None = None, share: float = SHARE, seed: int = 0) -> TextData:
    """The texts of a file (see `load_texts`), or of a folder's files whose names start with train, dev or test.

    If a folder has only two parts, the second is the test part, as for questions. Missing parts are split off the
    training texts: `share` of them, sampled with `seed`. Raises UsageError if there are too few texts, and as
    `load_texts` does.
    """
    path = Path(os.path.expanduser(word))
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for file in files:
        part = part_of(file.name) if path.is_dir() else "train"
        if part is not None:
            found[part] += load_texts(file, column=column).texts
    if not found["train"]:
        names = ", ".join(file.name for file in files) or "it has no files of texts"
        raise UsageError(f"{word} has no training texts: no name starts with train ({names})")
    about = [path.name]
    if found["validation"] and not found["test"]:
        found["test"], found["validation"] = found["validation"], []
        about.append("the dev texts are used as the test part")
    test = tuple(dict.fromkeys(found["test"]))
    validation = unlike(found["validation"], test)
    train = unlike(found["train"], (*test, *validation))
    for name in ("test", "validation"):
        if (test if name == "test" else validation) == ():
            train, held = split(train, share=share, seed=seed, word=word, name=name)
            test, validation = (held, validation) if name == "test" else (test, held)
            about.append(f"{name} part split off ({share:.0%} of the texts, seed {seed})")
    return of_parts(word, train, validation, test, about="; ".join(about))


def of_parts(
    name: str, train: Sequence[str], validation: Sequence[str], test: Sequence[str], *, about: str
) -> TextData:
    """Texts whose parts are known, distinct and not empty, with their fingerprint."""
    parts = tuple(map(tuple, (train, validation, test)))
    marks = hashlib.sha256("\1".join("\0".join(part) for part in parts).encode(errors="replace"))
    return TextData(name=name, train=parts[0], validation=parts[1], test=parts[2], about=about,
                    fingerprint=marks.hexdigest())  # fmt: skip


def part_of(name: str) -> str | None:
    """The part that a file's name says; None for another file."""
    parts = {"train": TRAIN, "test": TEST, "validation": DEV}
    return next((part for part, words in parts.items() if starts_as(name, words)), None)


def unlike(texts: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The distinct texts that are none of the others."""
    known = set(others)
    return tuple(text for text in dict.fromkeys(texts) if text not in known)


def split(
    texts: tuple[str, ...], *, share: float, seed: int, word: str, name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the rest, `share` of the texts), both in their order. Raises UsageError if there are too few."""
    if not 0 < share < 1:
        raise UsageError(f"share must be between 0 and 1, got {share}")
    many = max(1, round(share * len(texts)))
    if many >= len(texts):
        some = f"{len(texts)} text{'s' * (len(texts) != 1)}"
        raise UsageError(f"{word} has {some} for training, too few to split off a {name} part; give more texts, or a "
                         "folder with files named train, dev and test")  # fmt: skip
    held = set(shuffled(len(texts), seed)[:many].tolist())
    return (tuple(text for row, text in enumerate(texts) if row not in held),
            tuple(text for row, text in enumerate(texts) if row in held))  # fmt: skip
