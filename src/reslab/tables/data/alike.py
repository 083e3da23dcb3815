"""One value written in two ways: which known value a string equals that is not among them."""

import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

from reslab.tables.data.dates import date_of
from reslab.tables.data.written import number_of

# Truth values as databases, R, Excel (in its languages) and people write them, with the longer words first.
WORDS = (("true", "false"), ("yes", "no"), ("wahr", "falsch"), ("vrai", "faux"), ("verdadero", "falso"),
         ("vero", "falso"), ("verdadeiro", "falso"), ("waar", "onwaar"))  # fmt: skip
SIGNS = (("t", "f"), ("y", "n"), ("on", "off"), ("1", "0"))  # these alone may mean something else
TRUTH = {word: word == pair[0] for pair in (*WORDS, *SIGNS) for word in pair}


class Alike:
    """The known values under their other spellings: `find` gives the one that an unknown value equals, or None.

    Equal are: numbers of one value (3, "3.0", "03"); days and times of one moment; truth values (True, 1, "TRUE",
    "yes"), if no and yes or another such pair are all known values; and strings that differ in case, Unicode form or
    spaces alone. A spelling that would fit two known values fits none.
    """

    def __init__(self, values: Sequence[str]) -> None:
        keys = [(key, value) for value in values for key in _keys(value)]
        counts = Counter(key for key, _ in keys)
        self.known = {key: value for key, value in keys if counts[key] == 1}
        self.truths = _truths(values)

    def find(self, value: str) -> str | None:
        truth = TRUTH.get(_folded(value))
        if truth in self.truths:
            return self.truths[truth]
        return next((self.known[key] for key in _keys(value) if key in self.known), None)

    def folded(self, value: str, known: str) -> bool:
        """Whether the two are alike as strings alone, which is likely the same, not certain."""
        certain = self.truths.get(TRUTH.get(_folded(known), False)) == known  # TRUE is true beside False alone
        return value.strip() != known and _folded(value) == _folded(known) and not certain


def plain_truth(text: str) -> float | None:
    """1 or 0 for the words true and false, which are numbers where training had numbers."""
    folded = _folded(text)
    return float(TRUTH[folded]) if folded in WORDS[0] else None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _keys(value: str) -> Iterator[Hashable]:
    number = number_of(value)
    # Only digits: 1e3 and 1000 may be two codes.
    if number is not None and number == number and not any(map(str.isalpha, value)):
        yield "number", number
    moment = date_of(value)
    if moment is not None:
        yield "moment", moment
    yield "text", _folded(value)


def _truths(values: Iterable[str]) -> dict[bool, str]:
    """The known values that are true and false; empty unless these two, or one word of them, are all that is known."""
    found = [(TRUTH.get(folded := _folded(value), False), folded, value) for value in values]
    words = {folded for _, folded, _ in found}
    pair = len(found) == 2 and any(words == set(one) for one in (*WORDS, *SIGNS))
    alone = len(found) == 1 and words <= {*WORDS[0], *WORDS[2], *WORDS[3]}  # the other one was too rare to be known
    return {truth: value for truth, _, value in found} if pair or alone else {}
