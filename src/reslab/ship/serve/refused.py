"""A request that is refused: an HTTP status and one sentence, which names nothing of the server's disk or code."""

import logging
from collections.abc import Iterable

from reslab.errors import BrokenImage, UsageError, nearest, one_line

SHOWN = 100  # characters of a stranger's word that a sentence repeats
LONGEST = 1000  # characters of a sentence
log = logging.getLogger("reslab.serve")


class Refused(Exception):  # noqa: N818 - what it says
    """`status`: 4xx if the request is wrong, 5xx if the server cannot answer it now; `retry_after` in seconds.

    `close`: the connection is closed after the answer."""

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None, close: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, one_line(sentence), retry_after
        self.close = close
        if len(self.sentence) > LONGEST:
            self.sentence = f"{self.sentence[:LONGEST]} ..."

    @property
    def headers(self) -> dict[str, str]:
        found = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            found["www-authenticate"] = 'Bearer realm="reslab"'
        if self.status == 408 or self.close:
            found["connection"] = "close"
        return found


def shown(word: str) -> str:
    """A stranger's word in quotation marks, cut."""
    return repr(word if len(word) <= SHOWN else f"{word[:SHOWN]}...")


def no_such(word: str, known: Iterable[str], *, after: str = "") -> str:
    """An unknown word, the words `after` it, and the known one that may be meant."""
    return f"{shown(word)}{after}{nearest(word, known) if len(word) <= SHOWN else ''}"


def refusal(error: BaseException) -> Refused:
    """What a client is told of an error: of a wrong input its sentence, of any other nothing but that there was one."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, BrokenImage):
        return Refused(422, error.reason)
    if isinstance(error, UsageError):
        return Refused(422, str(error))
    log.error("a request failed: %s: %s", type(error).__name__, one_line(error), exc_info=error)
    return Refused(500, "the server failed to answer; its log says why")
