"""Errors of one sentence: every error that a user can cause is one of these.

A sentence that names an argument is given in parts: `UsageError("set no validation part aside with ", arg("validation",
0))`. Python reads `validation=0`, the command line says `--validation 0` (reslab/cli/say.py), and no text is rewritten.
"""

import difflib
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

CUTOFF = 0.75  # of difflib: below it a guess misleads more often than it helps
# Control characters, ends of lines and paragraphs, half characters, and marks that turn the direction of writing.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Argument:
    """An argument that a sentence names; without a value (...) its name alone."""

    name: str
    value: Any = ...

    def __str__(self) -> str:
        return self.name if self.value is ... else f"{self.name}={python(self.value)}"


def arg(name: str, value: Any = ...) -> Argument:
    """`arg("validation", 0)` reads validation=0 in Python and --validation 0 on the command line.

    Without a value: `validation`, and --validation. A value is plain data: str, number, bool, or a tuple or dict of
    them. Use the name of the parameter that a caller in Python sets; `folder` reads "folder" in Python and "folder
    with --out" on the command line, so that "choose another folder" is right on both sides.
    """
    return Argument(name, value)


def python(value: Any) -> str:
    """The value as Python code, strings in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # its escapes are Python's, too
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python(key)}: {python(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(python, value)) + "," * (isinstance(value, tuple) and len(value) == 1)
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    return repr(value)


class Sentence(str):
    """A str, worded for Python, that remembers its arguments; `worded` gives another wording."""

    __slots__ = ("parts",)
    parts: tuple[str | Argument, ...]

    def __new__(cls, *parts: Any) -> "Sentence":
        flat = tuple(one for part in parts for one in parts_of(part))
        made = super().__new__(cls, "".join(map(str, flat)))
        made.parts = flat
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:  # for pickle and copy
        return self.parts

    def worded(self, argument: Callable[[Argument], str]) -> str:
        """The sentence with each argument worded by `argument`."""
        return "".join(argument(part) if isinstance(part, Argument) else part for part in self.parts)


def parts_of(part: Any) -> tuple[str | Argument, ...]:
    """A part of a sentence: text, an argument, another sentence, or an error or warning, which gives its sentence."""
    if isinstance(part, Worded):
        return part.sentence.parts
    if isinstance(part, Sentence):
        return part.parts
    return (part if isinstance(part, Argument) else str(part),)


class Worded:
    """An error or a warning whose arguments are the parts of one sentence."""

    args: tuple[Any, ...]

    @property
    def sentence(self) -> Sentence:
        return Sentence(*self.args)

    def __str__(self) -> str:
        return str(self.sentence)


class ReslabError(Worded, Exception):
    """Something failed: the command line prints the sentence and exits with code 1."""

    exit_code = 1


class UsageError(ReslabError, ValueError):
    """The request is invalid: exit code 2. Also a ValueError, for callers in Python."""

    exit_code = 2


class OtherSettings(UsageError):  # noqa: N818 - what it says
    """The folder already contains a run with other settings."""


class ReslabWarning(Worded, UserWarning):
    """A warning that names arguments: `warnings.warn(ReslabWarning("... take ", arg("flip", False)))`."""


class BrokenImage(ReslabError):  # noqa: N818 - the usual term
    """An image that cannot be read: its `name`, the `reason`, and how many `others` cannot be read either."""

    def __init__(self, name: str, reason: str, others: int = 0) -> None:
        too = (
            f", and {others:,} more, which `reslab data` lists; replace or remove them"
            if others
            else "; replace or remove it"
        )
        super().__init__(f"broken image {name}: {reason}{too}")
        self.name, self.reason, self.others = name, reason, others


def one_line(text: object) -> str:
    """The text on one line: a line break in it reads \\n, any other control character \\x1b or the like.

    For sentences in a terminal, and for comments in a file, where text after a line break would be read as content.
    """
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def tell(sentence: str, *values: object) -> None:
    """Log a line of what reslab read or chose, with `values` in the place of its %s: the command line shows it.

    A Sentence without values is worded for the command line there.
    """
    plain = (value if isinstance(value, int | float) else one_line(value) for value in values)
    logging.getLogger("reslab").info(sentence, *plain)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the error's type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'resnet56'?` for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=CUTOFF)
    return f"; did you mean {found[0]!r}?" if found else ""
