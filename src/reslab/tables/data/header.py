"""The first lines of a table of text: its separator, its comments, and whether the first row holds names."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise

from reslab.tables.data.dates import date_of
from reslab.tables.data.gaps import USUAL
from reslab.tables.data.written import number_of

MARKS = ",;\t|"
HEAD = 2**18  # bytes of a file that are looked at
ROWS = 200
SEPARATOR = re.compile(rb'"?sep=([^\r\n"])"?[ \t,;|]*(\r\n|\r|\n)', re.IGNORECASE)
COMMENT = re.compile(rb"#[^\r\n]*(\r\n|\r|\n|$)")
QUOTED = re.compile(r'"[^"]*("|$)')
POSITION = re.compile(r"x\d+")  # a column's name in a table without names
MOST = 0.8  # of a column's values are numbers: a word above them is a name


def lines_of(data: bytes) -> list[str]:
    """The whole lines of the file's first bytes."""
    head = data[:HEAD].decode(errors="replace")
    lines = re.split(r"\r\n|\r|\n", head)
    return [line for line in (lines[:-1] if len(data) > HEAD and len(lines) > 1 else lines) if line.strip()]


def mark_of(lines: Sequence[str]) -> str:
    """The separator of lines: the one that the most lines have equally often outside quotes, as the first line has."""
    bare = [QUOTED.sub("", line) for line in lines[:ROWS]]
    if not bare:
        return ","

    def fitting(mark: str) -> tuple[float, int]:
        counts = Counter(line.count(mark) for line in bare)
        wanted = bare[0].count(mark)
        return (counts[wanted] / len(bare) if wanted else 0, wanted)

    best = max(MARKS, key=lambda mark: (fitting(mark)[0] > 0.5, fitting(mark)[1]))
    usual = max(MARKS, key=lambda mark: Counter(line.count(mark) for line in bare).most_common(1)[0][0])
    return usual if fitting(best)[0] <= 0.5 and any(usual in line for line in bare) else best


def rows_of(lines: Sequence[str], mark: str) -> list[list[str]]:
    """The cells of the first lines."""
    text = io.StringIO("\n".join(lines[:ROWS]), newline="")
    try:
        return [row for row in csv.reader(text, delimiter=mark, skipinitialspace=True) if row]
    except csv.Error:
        return [line.split(mark) for line in lines[:ROWS]]


def has_names(rows: Sequence[Sequence[str]], names: Collection[str] = ()) -> tuple[bool, bool]:
    """(whether the first row holds names, whether that is certain).

    A word above numbers or dates is a name, and so is one that its column, which repeats its values, does not have. A
    number above numbers and a word that its column has are values. Numbers that count (0, 1, 2 or 2019, 2020) are
    names. `names`: those of the model that the table is for.
    """
    first = [cell.strip() for cell in rows[0]] if rows else []
    if names and not set(first).isdisjoint(names):
        return True, True
    if names:
        return not all(map(POSITION.fullmatch, names)), True
    if len(rows) < 2:
        return True, True
    values, named, numbers = 0, 0, []
    for k, cell in enumerate(first):
        column = [row[k].strip() for row in rows[1:] if k < len(row) and row[k].strip() not in ("", *USUAL)]
        if not column or cell in ("", *USUAL):
            continue
        measured = sum(map(is_measured, column)) >= MOST * len(column)
        if is_measured(cell):
            numbers += [cell] if measured else []
        elif measured:
            named += 1
        elif 2 * len(set(column)) <= len(column) or cell in column:
            values += cell in column
            named += cell not in column
    if counting(numbers) or (named > values == 0 and ordered(numbers)):
        return named >= values, named > values and counting(numbers)
    return named >= values + len(numbers), True


def ordered(cells: Sequence[str]) -> bool:
    """Whether at least four numbers grow or fall, as wavelengths do that name the columns of a spectrum."""
    found = [number_of(cell) or 0.0 for cell in cells]
    return len(found) > 3 and (all(a < b for a, b in pairwise(found)) or all(a > b for a, b in pairwise(found)))


def is_measured(cell: str) -> bool:
    return number_of(cell) is not None or number_of(cell, ",") is not None or date_of(cell, "dmy") is not None


def counting(cells: Sequence[str]) -> bool:
    """Whether the cells are whole numbers that count up by 1, or years."""
    if not cells or not all(cell.isdecimal() for cell in cells):
        return False
    found = list(map(int, cells))
    steps = {b - a for a, b in pairwise(found)}
    return steps <= {1} or (min(steps) > 0 and all(1900 <= year <= 2100 for year in found))
