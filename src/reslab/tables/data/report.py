"""What is odd about a table, and what was understood of it."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from reslab.errors import ReslabWarning, Sentence


class Problem(NamedTuple):
    kind: str
    column: str | None  # None: of the table
    sentence: str


@dataclass
class Report:
    """Problems of a table and how they were handled: one per column and kind, not per row."""

    problems: list[Problem] = field(default_factory=list)
    account: list[str] = field(default_factory=list)  # lines about the files that were read
    words: list[dict[str, int]] = field(default_factory=list)  # for missing values, with their counts in a column

    def add(self, kind: str, column: str, sentence: str) -> None:
        self.problems.append(Problem(kind, column, sentence))

    def say(self, kind: str, sentence: str) -> None:
        """A problem of the whole table."""
        self.problems.append(Problem(kind, None, sentence))

    def lines(self) -> Iterator[Sentence]:
        """One line per problem, to be shown."""
        for problem in self.problems:
            yield Sentence(*([] if problem.column is None else [f"column {problem.column!r}: "]), problem.sentence)

    def warn(self, *, stacklevel: int) -> list[str]:
        """Warn of each line once, in words for Python; the lines as text. `stacklevel` is that of the caller."""
        lines = list(dict.fromkeys(self.lines()))
        for line in lines:
            warnings.warn(ReslabWarning(line), stacklevel=stacklevel)
        return list(map(str, lines))
