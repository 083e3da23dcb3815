"""How the parts of data are named: one table for folders, files and splits of the Hugging Face Hub."""

import re
from collections.abc import Iterable, Sequence

TRAIN = ("train", "training")
TEST = ("test", "testing", "holdout", "hold-out", "hold_out")
DEV = ("dev", "development", "val", "valid", "validation", "eval", "evaluation")
VALIDATION = ("val", "valid", "validation", "eval", "evaluation", "dev", "development")
HELD_OUT = (*TEST, *VALIDATION)  # the test part, by choice: a validation part serves where there is no other

AFTER = re.compile(r"(s|set|data|split|part|file|images|questions)?(?![^\W\d_])")  # what may follow: no other letters


def starts_as(name: str, words: Sequence[str]) -> str | None:
    """The one of `words` that a name is or starts with, in any case: val of "Val-00000-of-00001.parquet".

    None of "trainer.json", "value.json" and "devices.json" names a part; "trainset.json" and "trainA.json" do.
    """
    low = name.lower()
    for word in words:
        hump = name[len(word) - 1 : len(word)].islower() and name[len(word) : len(word) + 1].isupper()
        if low.startswith(word) and (hump or AFTER.match(low, len(word))):
            return word
    return None


def held_out(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(the names of the validation part, those of the test part): without a test part, val serves as one."""
    every = list(names)
    test = first_of(every, HELD_OUT)
    is_test = bool(test) and starts_as(test[0], TEST) is not None
    return first_of(every, VALIDATION) if is_test else [], test


def first_of(names: Iterable[str], words: Sequence[str]) -> list[str]:
    """The names that start with the first of `words` that any of them starts with."""
    every = list(names)
    return next((found for word in words if (found := [name for name in every if starts_as(name, (word,))])), [])
