"""Format numbers for readers: the filters of the templates and of the sentences beside figures."""

from collections.abc import Iterable
from typing import Any, TypeGuard

from reslab import statistics
from reslab.stored.bounds import LARGEST

NONE = "–"
DIGITS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
GAP = "\u00a0"  # a number and its unit stay on one line


def is_number(value: Any) -> TypeGuard[float]:
    """A finite int or float; null, booleans and whole numbers of hundreds of digits are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def percent(value: Any, digits: int = 2) -> str:
    """7.3083 -> `7.31 %`."""
    return f"{value:.{digits}f}{GAP}%" if is_number(value) else NONE


def count(value: Any) -> str:
    """269722 -> `269,722`."""
    return f"{round(value):,}" if is_number(value) else NONE


def short(value: Any) -> str:
    """40813568 -> `40.8 M`."""
    if not is_number(value):
        return NONE
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{GAP}{unit}"
    return f"{value:.4g}"


def duration(seconds: Any) -> str:
    """3725 -> `1 h 2 min`."""
    if not is_number(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.3g}{GAP}s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    parts = [(hours, "h"), (minutes, "min")] if hours else [(minutes, "min"), (whole % 60, "s")]
    return GAP.join(f"{n}{GAP}{unit}" for n, unit in parts)


def plain(value: Any) -> str:
    """Any stored value as text, for tables whose keys are not known in advance."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 99_999.5 <= abs(value) < 1e15 else f"{value:.5g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}{GAP}{plain(item)}" for key, item in value.items())
    return NONE if value is None else str(value)


def listed(values: Iterable[Any]) -> str:
    """[240, 360] -> `240 and 360`."""
    *first, last = map(plain, values)
    return f"{', '.join(first)} and {last}" if first else last


def ordinals(places: Iterable[int]) -> str:
    """[1, 22, 113] -> `1st, 22nd and 113th`."""
    return listed([f"{n}{ending(n)}" for n in places])


def ending(n: int) -> str:
    """The letters after a place's number."""
    return "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def cell(key: str, value: Any) -> str:
    """A value of a table, formatted by its column, so that times and errors look the same in every row."""
    if key == "seconds":
        return duration(value)
    if is_number(value) and "error" in key:
        return f"{value:.2f}"
    return plain(value)


def plus_minus(mean: Any, std: Any, *, digits: int = 2) -> str:
    """`8.41 ± 0.12`; a single run has no std, so none is shown."""
    if not is_number(mean):
        return NONE
    return statistics.plus_minus(mean, std if is_number(std) else None, digits=digits, gap=GAP)


def tied(sentence: Any) -> str:
    """A sentence in which no line breaks between a number and its unit or sign."""
    text = plain(sentence)
    for sign in ("%", "±", "=", "<"):
        text = text.replace(f" {sign}", f"{GAP}{sign}")
    return text.replace("± ", f"±{GAP}").replace("= ", f"={GAP}").replace("< ", f"<{GAP}")


def statistic(facts: Any) -> str:
    """{"name": "Welch t", "value": 3.2, "p": 0.0004, "n": 5} -> `Welch t = 3.2, p < 0.001, n = 5`."""
    if not isinstance(facts, dict):
        return ""
    if isinstance(facts.get("words"), str):  # the study's own sentence
        return facts["words"]
    parts = []
    for key, value in facts.items():
        if key == "p" and is_number(value):
            parts.append(f"p{GAP}<{GAP}0.001" if value < 0.001 else f"p{GAP}={GAP}{value:.2g}")
        elif key == "value":
            parts.append(f"{facts.get('name', 'value')}{GAP}={GAP}{number(value)}")
        elif key != "name" and value is not None:
            parts.append(f"{key}{GAP}={GAP}{number(value)}")
    return ", ".join(parts)


def number(value: Any) -> str:
    """Three significant digits for a float, without an exponent where people write none; words for the rest."""
    if not isinstance(value, float) or not is_number(value):
        return plain(value)
    if value == 0 or 1e-4 <= abs(value) < 999.5:
        return f"{value:.3g}"
    if abs(value) < 1e9:
        return f"{value:,.0f}" if abs(value) >= 1 else powers(value)
    return powers(value)


def powers(value: float) -> str:
    """3.4e-07 -> `3.4 × 10⁻⁷`."""
    head, _, power = f"{value:.1e}".partition("e")
    return f"{head}{GAP}×{GAP}10{str(int(power)).translate(DIGITS)}"


def unequal(balanced: Any, majority: Any, classes: Any) -> str:
    """A sentence where the classes of the test images are so unequal that the error misleads; else an empty string.

    `majority`: the error in percent of always predicting the most frequent of `classes` classes; with equal classes it
    is 1 - 1 / classes. Below half of that, the error says little.
    """
    if not is_number(balanced) or not is_number(majority) or not isinstance(classes, int) or classes < 2:
        return ""
    if majority > 50 * (1 - 1 / classes):
        return ""
    return (f"The classes are unequal: always predicting the most frequent one gives {majority:.2f} % error. "
            f"The balanced error, the mean of the classes' errors, is {balanced:.2f} %.")  # fmt: skip
