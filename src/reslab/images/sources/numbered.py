"""Files that are numbered and counted in their names, as train-00000-of-00003.parquet: those that are missing."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from reslab.errors import ReslabWarning, one_line

COUNTED = re.compile(r"(?P<start>.*\D|)(?P<number>\d{1,9})-of-(?P<total>\d{1,9})(?P<end>\D.*)")


def warn_of_missing(paths: Iterable[Path]) -> None:
    """Warn if names such as train-00000-of-00003 count more files than there are. The first number is 0 or 1."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for path in paths:
        if match := COUNTED.fullmatch(path.name):
            found.setdefault((match["start"], match["total"], match["end"]), set()).add(int(match["number"]))
    for (start, total, end), numbers in found.items():
        n, width = int(total), len(total)
        first = 1 if n in numbers and 0 not in numbers else 0
        if len(numbers) < n:
            lost = next(k for k in range(first, first + n) if k not in numbers)
            warnings.warn(
                f"{len(numbers):,} of the {n:,} files {one_line(start)}...-of-{total}{one_line(end)} are there: "
                f"{one_line(start)}{lost:0{width}d}-of-{total}{one_line(end)} is missing; what it holds is not used",
                ReslabWarning, stacklevel=2,
            )  # fmt: skip
