"""Lines that start with #: comments, names or rows of a table of text."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from reslab.tables.data.header import COMMENT, has_names, is_measured, lines_of, mark_of, rows_of

LINE = re.compile(rb"[^\r\n]*(\r\n|\r|\n|$)")


class Bare(NamedTuple):
    """A text without its comments."""

    data: bytes
    comments: int = 0  # lines left out
    said: str = ""  # of those that are not simply above the table


def without_comments(
    data: bytes, *, mark: str = "", header: bool | None = None, names: Collection[str] = ()
) -> Bare:  # fmt: skip
    """The text without its comments, if it starts with #.

    A line with as many cells as the table has columns, two at least, is a row: its # is that of a color or a code. Of
    such lines above the table, one may hold the names, and then loses its #. `mark`: the separator, if it is known;
    `header` and `names` as in Format.
    """
    if not COMMENT.match(data):
        return Bare(data)
    head = lines_of(data)
    plain = [line for line in head if not line.startswith("#")]
    mark = mark or mark_of(plain or head)
    counts = Counter(map(len, rows_of(plain or head, mark)))
    width = counts.most_common(1)[0][0]
    if width < 2 or (not plain and len(counts) > 1):
        width = 0  # nothing tells a comment from a row
    over = head[: head.index(plain[0])] if plain else head
    above = [line for line in over if fits(line, mark, width)]
    first, strip = first_row(above, plain, mark, header, names)
    kept, left, said, started = [], 0, [], False
    for number, line in lines(data):
        text = line.decode(errors="replace").rstrip("\r\n")
        hashed = number > 0 and text.startswith("#")
        if hashed and not started and text == first:
            kept.append(line[1:].lstrip(b" #") if strip else line)
            started = True
        elif hashed and not (started and fits(text, mark, width)):
            left += 1
            if started or fits(text, mark, width):
                said.append(f"line {number}: {text[:40]!r}")
        else:
            kept.append(line)
            started = started or bool(text.strip())
    what = "line that starts with # is a comment" if len(said) == 1 else "lines that start with # are comments"
    return Bare(b"".join(kept), left, f"{len(said):,} {what} and left out ({said[0]})" if said else "")


def first_row(
    above: list[str], plain: list[str], mark: str, header: bool | None, names: Collection[str]
) -> tuple[str | None, bool]:
    """(which line above the table is its first row, None if the first plain line is; whether it loses its #)."""
    if not above or header is False:
        return (above[0] if above else None), False
    bare = [line.lstrip("# ") for line in above]
    rows = rows_of([*bare, *plain], mark)
    cells = [[cell.strip() for cell in row] for row in rows]
    for k, row in enumerate(cells[: len(above)]):
        if names and not set(names).isdisjoint(row):
            return above[k], True
    below = rows[len(above) :]
    if below and ((names and not set(names).isdisjoint(cells[len(above)])) or above_numbers(below)):
        return None, False
    if below and above[-1].startswith("# ") and not names and has_names(below) == (True, True):
        return None, False
    place = max((k for k in range(len(above)) if above_numbers(rows[k:])), default=0)
    named = bool(header) or has_names(rows[place:], names)[0]
    return above[place if named else 0], named


def above_numbers(rows: list[list[str]]) -> bool:
    """Whether the first row has a word above numbers or dates: then it holds names."""
    for k, cell in enumerate(rows[0]):
        column = [row[k].strip() for row in rows[1:] if k < len(row) and row[k].strip()]
        if cell.strip() and not is_measured(cell.strip()) and column and all(map(is_measured, column)):
            return True
    return False


def fits(line: str, mark: str, width: int) -> bool:
    return width > 1 and len(rows_of([line], mark)[0]) == width


def lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each line, with its number from 1 on; 0: it goes on with a quoted cell of the line before."""
    start, number, quoted = 0, 0, False
    while start < len(data):
        found = LINE.match(data, start)
        assert found is not None
        line, start, number = found[0], found.end(), number + 1
        yield (0 if quoted else number), line
        if quoted or not line.startswith(b"#") or line.count(b'"') % 2 == 0:  # a comment may hold one quotation mark
            quoted ^= line.count(b'"') % 2 == 1
