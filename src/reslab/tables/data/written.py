"""Numbers as people write them: $1,234.50; 1.000,05; 1 037; (3.46); 12 %."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

MARKS = (".", ",")  # decimal marks
PLAIN = str.maketrans({
    **dict.fromkeys("\u2212\u2013\ufe63\uff0d", "-"), "\uff0b": "+", "\uff0e": ".", "\uff0c": ",", "\uff05": "%",
    "\uffe5": "\u00a5", "\u2019": "'", "\u02bc": "'", "\u066b": ".", "\u066c": ",",
    **dict.fromkeys("\u00a0\u202f\u2009", " "),
    **{chr(0xFF10 + k): str(k) for k in range(10)},
})  # fmt: skip
SYMBOLS = "$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ba\u20b4\u20ab\u20aa\u20b1\u0e3f"
MONEY = rf"(?:[{SYMBOLS}]|EUR|USD|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|R\$|kr|z\u0142|K\u010d)"


def _pattern(mark: str) -> re.Pattern[str]:
    """The numbers with this decimal mark; the other mark, a space or ' may stand between groups of three digits."""
    other = re.escape(MARKS[mark == "."])
    groups = rf"\d{{1,3}}(?P<gap>[ '{other}])\d{{3}}(?:(?P=gap)\d{{3}})*"
    indian = r"|[1-9]\d?(?:,\d\d)+,\d{3}" if mark == "." else ""
    body = rf"(?P<body>(?:{groups}{indian}|\d+)(?:{re.escape(mark)}\d*)?|{re.escape(mark)}\d+)(?P<power>[eE][-+]?\d+)?"
    sign = r"(?P<{}>[-+])?"
    return re.compile(rf"{sign.format('first')}\s?{MONEY}?\s?{sign.format('then')}{body}\s?(?:%|{MONEY})?")


PATTERNS = {mark: _pattern(mark) for mark in MARKS}


def number_of(text: str, mark: str = ".") -> float | None:
    """The number that a string is, with this decimal mark; None if it is none. 12 % is 12, and (3.46) is -3.46.

    Between groups of three digits, the other mark, a space or an apostrophe may stand.
    """
    if "_" in text:  # Python takes 1_000 for a number
        return None
    if mark == "." or "." not in text:
        try:
            return float(text)
        except ValueError:
            pass
    bare = text.translate(PLAIN).strip()
    negative = bare.startswith("(") and bare.endswith(")")
    found = PATTERNS[mark].fullmatch(bare[1:-1].strip() if negative else bare)
    if found is None or (found["first"] and found["then"]) or (negative and (found["first"] or found["then"])):
        return None
    if found["gap"] and found["body"][0] == "0" and mark not in found["body"]:  # 0.125 has no thousands
        return None
    digits = found["body"].replace(MARKS[mark == "."], "").replace(" ", "").replace("'", "").replace(mark, ".")
    value = float(digits + (found["power"] or ""))
    return -value if negative or "-" in (found["first"], found["then"]) else value


@dataclass(frozen=True)
class Mark:
    """The decimal mark of some strings; `sure` if one of them can be read in no other way, or none has any mark."""

    mark: str
    sure: bool
    example: str = ""  # a string that is two different numbers, depending on the mark


def decimal_mark(texts: Iterable[str], hint: str | None = None) -> Mark | None:
    """Which decimal mark the strings that are numbers have; None if some can only have one and some only the other.

    1.5 and 0.125 have a point, 3,5 and 1.000,05 a comma. 1.001 and 1,001 may be either: they have the `hint`, or the
    mark of the others, or a point.
    """
    found, doubtful = set(), ""
    for text in texts:
        if "." not in text and "," not in text:
            continue
        point, comma = number_of(text), number_of(text, ",")
        if point is not None and comma is not None:
            doubtful = doubtful or (text if point != comma else "")
        elif point is not None or comma is not None:
            found.add("." if comma is None else ",")
    if len(found) > 1:
        return None
    if found:
        return Mark(found.pop(), True)
    return Mark(hint or ".", hint is not None or not doubtful, doubtful)


def parse_numbers(column: np.ndarray, mark: str = ".") -> tuple[np.ndarray, int | None]:
    """The strings of a column as numbers, NaN if missing, and the first row that is not a number (NaN there)."""
    known: dict[Any, float | None] = {text: np.nan if text is None else number_of(text, mark) for text in set(column)}
    wrong = {text for text, number in known.items() if number is None}
    numbers = np.fromiter(map(known.__getitem__, column), dtype=np.float64 if not wrong else object)
    first = next((row for row, text in enumerate(column) if text in wrong), None) if wrong else None
    return numbers.astype(np.float64), first
