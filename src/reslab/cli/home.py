"""Expand ~ in a command's words. A shell expands --out ~/x, but neither --out=~/x nor a quoted word."""

import os
import re
from collections.abc import Sequence

from reslab.errors import UsageError

HOME = re.compile(r"(--[a-z-]+=)?(~(?:/.*)?)", re.DOTALL)


def expanded(words: Sequence[str]) -> list[str]:
    """The words with ~ and ~/PATH, alone or after --OPTION=, in the home folder. Raises UsageError if there is none."""
    return [in_home(word) for word in words]


def in_home(word: str) -> str:
    match = HOME.fullmatch(word)
    if match is None:
        return word
    path = os.path.expanduser(match[2])
    if path == match[2] or os.environ.get("HOME") == "":
        raise UsageError(f"the home folder is unknown (HOME is not set); write {match[2]} as a full path")
    return (match[1] or "") + path
