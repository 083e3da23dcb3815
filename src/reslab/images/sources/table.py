"""Read a CSV, TSV or parquet file as rows of text: the list of a data set's image files."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import ReslabError, UsageError, first_line
from reslab.extras import need
from reslab.images.sources.labels import spelled
from reslab.images.sources.scan import is_image

SUFFIXES = (".csv", ".tsv")  # in any case
DELIMITERS = ",\t;|"
LOOKED_AT = 20  # rows from which the delimiter is found
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of a file as text without surrounding spaces; `lines[i]` is where row i is in the file."""

    path: Path
    columns: tuple[str, ...]  # "1", "2", ... of a file without a line of names
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    unit: str = "line"  # what `lines` counts
    notes: tuple[str, ...] = ()
    files: Sequence[str] = ()  # of several files: the name of each row's

    def where(self, row: int) -> str:
        """`photos.csv line 7`."""
        return f"{self.files[row] if self.files else self.path.name} {self.unit} {self.lines[row]}"

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        k = self.columns.index(name)
        return [row[k] for row in self.rows]


def read_table(path: Path) -> Table:
    """The file's rows. Raises UsageError if it is no table or a row cannot be read, naming its line."""
    text, notes = _text(path)
    if mark := re.match(r"sep=(.)\r?\n", text):  # Excel's
        text, delimiter, skipped = text[mark.end() :], mark[1], 1
    else:
        delimiter, skipped = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text), 0
    found = [(line + skipped, cells) for line, cells in _rows(text, delimiter, path) if any(cells)]
    if not found:
        raise UsageError(f"{path} is empty; give a file with columns such as file,label")
    first = found[0][1]
    while first and not first[-1] and all(len(cells) >= len(first) and not cells[len(first) - 1] for _, cells in found):
        first.pop()  # each line ends with a delimiter
    if any(map(is_image, first)):
        notes += [f"the columns of {path.name} have no names, as its first line is an image"]
        columns = [f"{k + 1}" for k in range(len(first))]
    else:
        columns, found = first, found[1:]
    for line, cells in found:
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            n = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
            raise UsageError(f"{path.name} line {line} has {n}, but the first line has {len(columns)}; put a "
                             f"cell that holds {delimiter!r} in double quotes")  # fmt: skip
    return _table(path, columns, [cells for _, cells in found], [line for line, _ in found], notes=tuple(notes))


def read_parquet_table(path: Path) -> Table:
    """The rows of a parquet file that holds no images, as text. Raises UsageError or ReslabError."""
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        table = pq.read_table(path)
        cells = [["" if value is None else _cell(value) for value in column.to_pylist()] for column in table.columns]
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ReslabError(f"cannot read {path}: {first_line(error)}") from error
    rows = [list(row) for row in zip(*cells, strict=True)]
    return _table(path, list(table.column_names), rows, list(range(len(rows))), unit="row")


def _table(path: Path, columns: list[str], rows: list[list[str]], lines: list[int], *, unit: str = "line",
           notes: tuple[str, ...] = ()) -> Table:  # fmt: skip
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise UsageError(f"{path} has two columns named {twice[0]!r}; give each column its own name")
    if not rows:
        raise UsageError(f"{path} holds no rows; give a file with a row for each image")
    return Table(path=path, columns=tuple(columns), rows=rows, lines=lines, unit=unit, notes=notes)


def _cell(value: object) -> str:
    """A value as text; true and false as 1 and 0, a list with ; between its values."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return ";".join(map(_cell, value))
    return spelled(value).strip()


def _text(path: Path) -> tuple[str, list[str]]:
    """The file's text, and what to say of its encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    marked = next((code for mark, code in MARKS.items() if content.startswith(mark)), None)
    for code in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            text = content.decode(code)
        except UnicodeError:
            continue
        if "\0" in text:
            break
        return text, [f"{path.name} is not UTF-8 and was read as Windows-1252"] if code == "cp1252" else []
    raise UsageError(f"{path} is no text file; write it as UTF-8, with columns such as file,label")


def _delimiter(text: str) -> str:
    """The delimiter with which the first rows have most cells, the same number in each; a comma if there is none."""
    best, most = ",", 1
    head = "\n".join(line for line in text.splitlines()[: 2 * LOOKED_AT] if line.strip())
    for delimiter in DELIMITERS:
        try:
            counts = {len(cells) for cells in csv.reader(io.StringIO(head), delimiter=delimiter)}
        except csv.Error:
            continue
        if len(counts) == 1 and (n := counts.pop()) > most:
            best, most = delimiter, n
    return best


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"{path.name} line {line} cannot be read: {first_line(error)}; check its double quotes") \
                from error  # fmt: skip
        yield line, [spelled(cell).strip() for cell in cells]
        line = reader.line_num + 1
