"""What goes wrong, said in one sentence: every error a user can cause is one of these."""

import difflib
from collections.abc import Iterable


class ReslabError(Exception):
    """Something failed: the command line prints the sentence and leaves with exit code 1."""

    exit_code = 1


class UsageError(ReslabError, ValueError):
    """What was asked for cannot be: exit code 2. Also a ValueError, for callers in Python."""

    exit_code = 2


class BrokenImage(ReslabError):  # noqa: N818 - the word people say
    """An image that cannot be read: `name` says which, `reason` why, `others` how many more cannot."""

    def __init__(self, name: str, reason: str, others: int = 0) -> None:
        too = f", and {others:,} more cannot be read; replace or remove them" if others else "; replace or remove it"
        super().__init__(f"broken image {name}: {reason}{too}")
        self.name, self.reason = name, reason


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or the error's type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'resnet56'?` for the known word nearest to `word`, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
