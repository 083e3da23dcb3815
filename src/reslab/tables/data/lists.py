"""Lists of values as strings: red|blue, red; blue, ['red', 'blue']."""

import re
from collections.abc import Sequence

from reslab.tables.data.words import count_words

NEARLY = 0.95  # the share that counts as nearly all
BRACKETS = "[]"  # the mark of lists as Python, JSON and NumPy print them
PRINTED = re.compile(r"\s*\[.*\]\s*", re.DOTALL)
QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
BARE = re.compile(r"[^\s,\[\]]+")


def separator_of(texts: Sequence[str], *, sure: bool = False) -> str:
    """The separator of lists in these strings: | or ; (or a comma, unless `sure`), [] if they are printed lists.

    "" for none. Sure: the parts are short, and nearly all strings have the separator or there are far fewer parts than
    strings.
    """
    if texts and sum(bool(PRINTED.fullmatch(text)) for text in texts) >= NEARLY * len(texts):
        return BRACKETS
    for mark in "|;" if sure else "|;,":
        holding = [text for text in texts if mark in text]
        if not sure and holding:
            return mark
        parts = [part for text in texts for part in split(text, mark)]
        if len(holding) < max(2, 0.1 * len(texts)) or not parts or sum(map(count_words, parts)) > 3 * len(parts):
            continue
        if len(holding) >= NEARLY * len(texts) or 2 * len(set(parts)) < len(texts):
            return mark
    return ""


def split(text: str, mark: str) -> tuple[str, ...]:
    """The stripped non-empty parts of a joined list."""
    if mark == BRACKETS:
        return _printed(text) if PRINTED.fullmatch(text) else tuple(filter(None, [text.strip()]))
    return tuple(part for part in map(str.strip, text.split(mark) if mark else [text]) if part)


def guesses(text: str) -> list[tuple[str, ...]]:
    """The lists of several values, or in brackets, that a string may be."""
    if PRINTED.fullmatch(text):
        return [_printed(text)]
    return [split(text, mark) for mark in "|;," if mark in text]


def _printed(text: str) -> tuple[str, ...]:
    found = [one or other for one, other in QUOTED.findall(text)] if "'" in text or '"' in text else BARE.findall(text)
    return tuple(part for part in map(str.strip, found) if part)
