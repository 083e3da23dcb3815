"""The user's own data that are no images: texts or questions, for the claims that are stated for those."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.train.parts import TRAIN, starts_as

TEXTS, QUESTIONS = (".txt", ".md"), (".json",)
KINDS = ("texts", "questions")  # of data tables, beside those of images


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the planner asks of data, images or not."""

    kind: str  # of KINDS
    name: str
    fingerprint: str
    about: dict[str, Any] = field(repr=False)
    shape: tuple[int, ...] = ()  # of images
    classes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        return self.about

    def announce(self) -> None:
        return


def given(word: str) -> Given | None:
    """The data of a file or a folder whose training file holds texts (.txt, .md) or questions (.json, as SQuAD's).

    None for any other word: that of images. Raises as `load_text_data` and `load_questions` do.
    """
    kind = kind_of(Path(os.path.expanduser(word)))
    if kind is None:
        return None
    data: Any
    if kind == "texts":
        from reslab.qa.data.texts import load_text_data

        data = load_text_data(word)
    else:
        from reslab.qa.data.questions import load_questions

        data = load_questions(word)
    return Given(kind=kind, name=data.name, fingerprint=data.fingerprint, about=data.describe())


def kind_of(path: Path) -> str | None:
    """The kind of a file, or of a folder with a file whose name starts with train."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and starts_as(file.name, TRAIN)]
    else:
        files = [path] if path.is_file() else []
    endings = {file.suffix.lower() for file in files}
    return next((kind for kind, known in zip(KINDS, (TEXTS, QUESTIONS), strict=True) if endings & set(known)), None)
