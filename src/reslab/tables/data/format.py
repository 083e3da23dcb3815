"""How a table's file is written: what is given, what is found, and the sentence that reports it."""

from collections.abc import Collection
from dataclasses import dataclass

from reslab.errors import UsageError
from reslab.tables.data.written import MARKS

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}


@dataclass(frozen=True, kw_only=True)
class Format:
    """What is known of a table before it is read; None: found in the file.

    header: whether the first row holds the columns' names. encoding: of text. decimal: the mark of numbers like 1.001.
    missing: words for missing values; (): those of pyarrow, among numbers. names: columns that it should have: a first
    row with one of them holds names. skip: columns that are not read. only: the only ones that are, if given.
    """

    header: bool | None = None
    encoding: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    names: Collection[str] = ()
    skip: Collection[str] = ()
    only: Collection[str] | None = None

    def __post_init__(self) -> None:
        if self.decimal not in (None, *MARKS):
            raise UsageError(f"decimal must be '.' or ',', got {self.decimal!r}")

    def wants(self, name: str) -> bool:
        """Whether the values of this column are read."""
        return name not in self.skip and name.strip() not in self.skip and (
            self.only is None or name in self.only or name.strip() in self.only
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in a file of text."""

    encoding: str
    mark: str = ","
    header: bool = True
    decimal: str | None = None  # if numbers show it
    comments: int = 0  # lines

    def __str__(self) -> str:
        parts = [self.encoding, f"columns separated by {NAMES.get(self.mark, repr(self.mark))}",
                 "names in the first row" if self.header else "no names in the first row"]  # fmt: skip
        if self.decimal:
            parts.append(f"decimal {'point' if self.decimal == '.' else 'comma'}")
        if self.comments:
            parts.append(f"{self.comments} comment line{'s' * (self.comments > 1)} left out")
        return ", ".join(parts)
