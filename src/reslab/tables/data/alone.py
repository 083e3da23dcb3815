"""Read the rows of a request one by one: each as training's table is written, whatever stands beside it.

A whole table may show how it is written (25/05/2024: the day is first; one word among numbers is a gap). A row of a
request must not: its prediction would depend on the rows that happen to be sent with it.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from reslab.errors import UsageError
from reslab.tables.data.cells import column_of, objects, text_of
from reslab.tables.data.convert import read_as
from reslab.tables.data.encoder import TableEncoder
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.gaps import counted, without_words
from reslab.tables.data.numbers import NumberCode

DATE = np.dtype("datetime64[us]")


def read_alone(rows: Sequence[Mapping[str, Any]], encoder: TableEncoder, report: Report) -> Frame:
    """The frame of rows of plain values (JSON's); what a row lacks is missing.

    Raises UsageError naming the first row whose value cannot be read. Reported: words for missing values, true and
    false among numbers, numbers beyond those of training.
    """
    columns = {name: _Cells(name, encoder).read(rows, report) for name in encoder.needed}
    for one in encoder.columns:
        if isinstance(one.code, NumberCode) and not one.part:
            low, high = float(one.code.knots[0]), float(one.code.knots[-1])
            beyond = int(((columns[one.owner] < low) | (columns[one.owner] > high)).sum())
            if beyond:
                report.add("beyond", one.owner, f"{beyond:,} of {len(rows):,} values {'is' if beyond == 1 else 'are'} "
                           f"outside of training's {low:,.6g} to {high:,.6g}")  # fmt: skip
    return Frame(columns)


class _Cells:
    """The values of one column, each read alone; equal ones once."""

    def __init__(self, name: str, encoder: TableEncoder) -> None:
        self.name, self.kind, self.spelling = name, encoder.kinds[name], encoder.spelling
        self.known: dict[Hashable, Any] = {}
        self.found = Report()

    def read(self, rows: Sequence[Mapping[str, Any]], report: Report) -> np.ndarray:
        values = [self.cell(row.get(self.name), k) for k, row in enumerate(rows)]
        words: Counter[str] = Counter()
        truths = 0
        for row in rows:
            value = row.get(self.name)
            truths += self.kind == "number" and isinstance(value, bool)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                words.update(self.known[_key(value)][1])
        if words:
            counted(self.name, words, len(rows), report)
        if truths:
            report.add("truth", self.name, f"{truths:,} of {len(rows):,} values {'is' if truths == 1 else 'are'} true "
                       "or false; read as 1 or 0")  # fmt: skip
        report.problems += [one for one in dict.fromkeys(self.found.problems) if one.kind != "missing"]
        if self.kind == "number":
            return np.array(values, np.float64)
        return np.array(values, DATE) if self.kind == "date" else objects(values)

    def cell(self, value: Any, row: int) -> Any:
        key = _key(value)
        if key not in self.known:
            try:
                self.known[key] = self.alone([value])
            except UsageError:
                self.alone([*[None] * row, value])  # raises it again, with the number of the row
                raise
        return self.known[key][0]

    def alone(self, values: list[Any]) -> tuple[Any, dict[str, int]]:
        """The last of the values, and the word for a missing value that it was, if any."""
        own = Report()
        column = column_of(self.name, values)
        column = without_words({self.name: column}, self.spelling.missing, own).get(self.name, column)
        found = read_as(self.kind, self.name, column, own, self.spelling)[-1]
        self.found.problems += own.problems
        if self.kind not in ("number", "date") and isinstance(found, float):
            found = None if found != found else text_of(found)
        return found, own.words[0] if own.words else {}


def _key(value: Any) -> Hashable:
    """Equal for values that are read alike: 1, 1.0 and True are equal in Python, and read otherwise."""
    return (list, tuple(map(_key, value))) if isinstance(value, list) else (type(value), value)
