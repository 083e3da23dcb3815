"""What goes wrong, said in one sentence: every error a user can cause is one of these."""

import difflib
from collections.abc import Iterable


class ReslabError(Exception):
    """Something failed: the command line prints the sentence and leaves with exit code 1."""

    exit_code = 1


class UsageError(ReslabError, ValueError):
    """What was asked for cannot be: exit code 2. Also a ValueError, for callers in Python."""

    exit_code = 2


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'resnet56'?` for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
