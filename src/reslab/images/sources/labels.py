"""What the labels of a file mean: a number stands for the class that its own file names."""

import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabWarning, UsageError, tell
from reslab.images.sources.encoded import Sources

NAMES = ("label", "labels", "fine_label", "class", "category", "target", "y")  # columns that hold labels
SAME = {"label", "labels"}  # of which two files may have one each
OTHERS = ("coarse_label",)  # that may hold other labels of the same images


def tell_choice(where: str, label: str, columns: Iterable[str]) -> None:
    """Name the label column, if another one could be meant."""
    if others := [name for name in columns if name != label and name in (*NAMES, *OTHERS)]:
        tell("labels of %s: its column %s (and not %s)", where, label, ", ".join(others))


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The label column of one file or split."""

    where: str  # for sentences
    values: Sequence[Any]  # numbers, texts, booleans, None
    names: tuple[str, ...] | None  # of the numbers, if the file names them


def class_names(names: Iterable[object], where: str) -> tuple[str, ...]:
    """The names of a ClassLabel. Raises UsageError if two are equal, since a name would stand for two classes."""
    found = tuple(map(spelled, names))
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise UsageError(f"{where} names two classes {twice[0]!r}; give each class its own name")
    return found


def whole(values: Sequence[Any], where: str) -> list[Any]:
    """The labels with whole numbers for floats such as 1.0, which pandas makes of integers, and None for NaN.

    Raises UsageError for a fraction.
    """
    floats = {value for value in set(values) if isinstance(value, float)}
    if odd := next((value for value in floats if value == value and not value.is_integer()), None):
        raise UsageError(f"{where} has the label {odd:g}, which is no whole number; write the classes as whole numbers "
                         "or texts")  # fmt: skip
    if not floats:
        return list(values)
    meant = {value: int(value) if value == value else None for value in floats}
    return [meant[value] if isinstance(value, float) else value for value in values]


def spelled(value: object) -> str:
    """A label as text, in one spelling (NFC): a Mac writes é as two characters."""
    return unicodedata.normalize("NFC", str(value))


def classes_of(parts: Sequence[Labels]) -> tuple[str, ...]:
    """The classes of the files of a training part: the names in the order of the first file that has names.

    Names that only later files have follow; without any names, the sorted values. Raises UsageError for numbers beside
    texts if no file says which number is which name.
    """
    texts_in = next((part for part in parts if any(isinstance(v, str) and not is_digits(v) for v in part.values)), None)
    numbers_in = next((part for part in parts if part.names is None and any(map(is_number, part.values))), None)
    if texts_in and numbers_in and not numbered(parts):
        raise UsageError(f"{numbers_in.where} numbers its classes and {texts_in.where} names them, and neither says "
                         "which number is which name; write both with names")  # fmt: skip
    found = _found(parts)
    if {"-1", "0"} <= set(found):
        where = next(part.where for part in parts if any(value in (-1, "-1") for value in part.values))
        warnings.warn(f"{where}: label -1 is taken as a class of its own; often it marks unlabeled images: if so, "
                      "leave these rows out", ReslabWarning, stacklevel=2)  # fmt: skip
    return found


def _found(parts: Sequence[Labels]) -> tuple[str, ...]:
    named = [name for part in parts for name in part.names or ()]
    texts = {value for part in parts for value in part.values if isinstance(value, str)}
    if named:
        return tuple(dict.fromkeys([*named, *sorted(map(spelled, texts))]))
    values = {value for part in parts for value in part.values if value is not None}
    if texts:
        return tuple(sorted(set(map(spelled, values))))
    return tuple(dict.fromkeys(map(str, sorted(values))))


def numbered(parts: Sequence[Labels]) -> bool:
    """Whether a file names the numbers of the classes."""
    return any(part.names for part in parts)


def labels_of(
    part: Labels, sources: Sources, classes: tuple[str, ...], *, numbered: bool, first_row: int = 0
) -> Tensor:
    """The class of each value, int64 (N,). Raises UsageError for a value without a class, naming its row.

    Numbers that their file does not name count in the order of `classes` if the training part is `numbered`: a warning
    says so.
    """
    known = {name: k for k, name in enumerate(classes)}
    meant = {value: _class(value, part, known) for value in set(part.values)}
    unnamed = sorted(value for value in meant if meant[value] is None and part.names is None and is_number(value))
    if numbered and unnamed and unnamed[0] >= 0 and unnamed[-1] < len(classes) and not any(map(is_digits, classes)):
        meant |= {value: value for value in unnamed}
        shown = ", ".join(f"{value} as {classes[value]}" for value in unnamed[:3]) + ", ..." * (len(unnamed) > 3)
        warnings.warn(f"{part.where} does not name its classes: {shown}, as the training part numbers them",
                      stacklevel=2)  # fmt: skip
    for row, value in enumerate(part.values):
        if meant[value] is None:
            named = is_number(value) and part.names is not None and 0 <= value < len(part.names)
            raise UsageError(
                f"{sources.name(first_row + row)} has label {value!r}"
                + (f" ({part.names[value]!r})" if named and part.names else "")
                + f", which is not one of the {len(classes)} classes"
                + (" (-1 marks unlabeled images)" if value == -1 else "")
            )
    return torch.tensor([meant[value] for value in part.values], dtype=torch.int64)


def _class(value: Any, part: Labels, known: dict[str, int]) -> int | None:
    """The class that a value stands for by its own file; None if there is none."""
    if value is None:
        return None
    if part.names is not None and is_number(value):
        return known[part.names[value]] if 0 <= value < len(part.names) and part.names[value] in known else None
    return known.get(spelled(value))


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_digits(name: str) -> bool:
    """Whether a class is named by a number, as in files without names: then another number is another class."""
    return name.removeprefix("-").isdigit()
