"""Set a formula that is plain text with Unicode as mathematics: letters italic, indices low, powers high."""

import re
from html import escape

from reslab.errors import one_line

ATOM = r"\{[^{}]*\}|[^\W_]+|[−+*]"  # what an index or a power may be: {...}, a word, a sign
ARTICLE = re.compile(" [a-z]{2,}")  # of `pixels a layer`
SHORT = 3  # characters of an index with its sign: `log_10`, `median_i`; `train_error` is one word
PIECE = re.compile(
    rf"(?P<name>[^\W\d_]+\d*)(?P<index>_(?:{ATOM}))?(?P<more>(?:_[^\W_]+)*)|(?P<power>\^(?:{ATOM}))|(?P<low>_(?:{ATOM}))"
)


def formula(text: object) -> list[str]:
    """The lines of a formula as harmless HTML: `x_i` -> `<i>x</i><sub>i</sub>`, `train_error` -> `train error`."""
    return [typeset(one_line(line).replace("'", "′")) for line in str(text or "").splitlines() if line.strip()]


def typeset(line: str) -> str:
    out, at = [], 0
    for found in PIECE.finditer(line):
        out += [escape(line[at : found.start()]), piece(found)]
        at = found.end()
    return "".join([*out, escape(line[at:])])


def piece(found: re.Match[str]) -> str:
    if found["power"]:
        return f"<sup>{inner(found['power'])}</sup>"
    if found["low"]:
        return f"<sub>{inner(found['low'])}</sub>"
    name, index, more = found["name"], found["index"], found["more"]
    if name == "a" and not index and ARTICLE.match(found.string, found.end()):
        return name
    if is_symbol(name) or (index and not more and len(index) <= SHORT):
        low = f"<sub>{inner(index)}{escape(more.replace('_', ','))}</sub>" if index else ""
        return f"<i>{escape(name)}</i>{low}" if is_symbol(name) else f"{escape(name)}{low}"
    if not index and re.fullmatch("d[xyzhwLF]", name):  # of dy/dx
        return f"d<i>{name[1]}</i>"
    return escape(f"{name}{index or ''}{more}".replace("_", "\u00a0").replace("{", "").replace("}", ""))


def inner(text: str) -> str:
    """An index or a power without its sign and braces."""
    bare = text[1:].removeprefix("{").removesuffix("}")
    return f"<i>{escape(bare)}</i>" if is_symbol(bare) else escape(bare)


def is_symbol(name: str) -> bool:
    """One letter stands for a quantity; words stand for themselves."""
    return len(name) == 1 and name.isalpha()
