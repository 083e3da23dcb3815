"""The source of Python's own standard library: text of one kind, on every machine, different in each version."""

import sysconfig
from pathlib import Path

from reslab.qa.data.texts import TextData, of_parts

MOST = 1_000_000  # characters of training text, about: more than the language models of claims read
EVERY = 10  # of so many files, the last is of the test part and the one before of the validation part


def load(word: str) -> TextData:
    """The modules at the top of the standard library, by name: each file one text, of one part only."""
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    taken = 0
    for place, file in enumerate(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))):
        part = {EVERY - 2: "validation", EVERY - 1: "test"}.get(place % EVERY, "train")
        text = file.read_text(encoding="utf-8", errors="replace").strip()
        if text and (part != "train" or taken < MOST):
            parts[part].append(text)
            taken += len(text) * (part == "train")
    about = "the source of Python's standard library, modules by name, every tenth held out"
    return of_parts(word, **parts, about=about)
