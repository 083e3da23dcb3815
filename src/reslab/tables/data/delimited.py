"""Tables of text: columns separated by commas, semicolons, tabs or |, with or without a row of names."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, Sentence, UsageError, arg, first_line
from reslab.extras import need
from reslab.tables.data.bounds import check_columns, check_first_line, check_strings
from reslab.tables.data.comments import without_comments
from reslab.tables.data.decimals import settle
from reslab.tables.data.encodings import as_utf8
from reslab.tables.data.format import Format, Found
from reslab.tables.data.gaps import counted
from reslab.tables.data.header import SEPARATOR, has_names, lines_of, mark_of, rows_of
from reslab.tables.data.report import Report

LARGEST = 2**31 - 1  # bytes of one block, for pyarrow's reader
SPACED = re.compile(rb"(^|[,;|\t]) +\"", re.MULTILINE)  # a quotation mark after spaces: no quoted cell for pyarrow


def read_delimited(path: Path, data: bytes, how: Format, report: Report, *, tabs: bool = False) -> tuple[Any, Found]:
    """The pyarrow table of a file's bytes, and what was found. Raises as `read_file` does."""
    data, encoding, said = as_utf8(path, data, how.encoding)
    if said is not None:
        report.say("encoding", said)
    check_first_line(path, data)
    found = Found(encoding=encoding, mark="\t" if tabs else "")
    data = data.lstrip(b"\r\n")
    if match := SEPARATOR.match(data):
        found, data = replace(found, mark=match[1].decode()), data[match.end() :]
    data, comments, told = without_comments(data, mark=found.mark, header=how.header, names=how.names)
    if told:
        report.say("comments", f"{path}: {told}")
    lines = lines_of(data)
    if len(lines) > 1 and lines[0].startswith("|") and "|" not in lines[1]:  # a comment in files of C4.5
        data, comments = data[data.find(lines[1][:1].encode(), len(lines[0].encode())) :], comments + 1
        lines = lines[1:]
    if not lines:
        raise UsageError(f"{path} is empty")
    found = replace(found, mark=found.mark or mark_of(lines), comments=comments)
    check_columns(path, lines[0].count(found.mark) + 1)
    data, lines, names, found = named(path, data, lines, found, how, report)
    if SPACED.search(data[: 2**18]):
        data, found = unspaced(path, data, found.mark), replace(found, mark=",")
    read = reader(data, found, names, how.missing)
    table = first_reading(path, read, names)
    check_strings(path, table, len(data))
    table, decimal = settle(table, read, mark=found.mark, hint=how.decimal, report=report)
    if how.missing:  # now columns with decimal commas are numbers, too
        count_words(table, read, how.missing, report)
    return stripped(table), replace(found, decimal=decimal)


def named(
    path: Path, data: bytes, lines: list[str], found: Found, how: Format, report: Report
) -> tuple[bytes, list[str], list[str] | None, Found]:
    """The columns' names, None if they are the first row's."""
    rows = rows_of(lines, found.mark)
    header, certain = (how.header, True) if how.header is not None else has_names(rows, how.names)
    if header:
        if not certain:
            shown = ", ".join(cell.strip() for cell in rows[0][:3])
            report.say("header", Sentence(f"{path}: its first row ({shown[:60]}, ...) is taken as the columns' names; ",
                       arg("header", False), " takes it as values"))  # fmt: skip
        return data, lines, None, found
    names = [f"x{k}" for k in range(len(rows[0]))]
    if how.header is None and not how.names:
        report.say("header", Sentence(f"{path} has no row of names: its columns are x0 to x{len(names) - 1}; ",
                   arg("header", True), " takes its first row as names"))  # fmt: skip
    return data, lines, names, replace(found, header=False)


def unspaced(path: Path, data: bytes, mark: str) -> bytes:
    """The table with commas, and quoted cells without the spaces before them."""
    out = io.StringIO(newline="")
    try:
        csv.field_size_limit(2**24)
        reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=mark, skipinitialspace=True)
        csv.writer(out).writerows(row for row in reader if row)
    except csv.Error as error:
        raise ReslabError(f"cannot read {path}: {error}") from error
    return out.getvalue().encode()


def stripped(table: Any) -> Any:
    """The table with names without spaces around them, unless two would be the same."""
    names = [name.strip() for name in table.column_names]
    return table.rename_columns(names) if len(set(names)) == len(names) else table


Read = Callable[..., Any]  # a table by these options of conversion


def reader(data: bytes, found: Found, names: list[str] | None, missing: tuple[str, ...] = ()) -> Read:
    """How pyarrow reads the text: read(decimal_point=",") and the like."""
    pa, csv_ = (need(name, extra="data", why="reading tables from files") for name in ("pyarrow", "pyarrow.csv"))

    def comment(row: Any) -> str:
        return "skip" if found.comments and row.text is not None and row.text.lstrip().startswith("#") else "error"

    parse = csv_.ParseOptions(delimiter=found.mark, newlines_in_values=True, invalid_row_handler=comment)
    # One block: pyarrow infers types from the first block, and a string in a later one would be an error.
    block = min(max(len(data), 2**20), LARGEST)

    def read(*, threads: bool = True, **convert: Any) -> Any:
        options = csv_.ReadOptions(use_threads=threads, block_size=block, column_names=names)
        convert |= {"null_values": ["", *missing]} if missing else {}
        return csv_.read_csv(pa.BufferReader(data), read_options=options, parse_options=parse,
                             convert_options=csv_.ConvertOptions(**convert))  # fmt: skip

    return read


def count_words(table: Any, read: Read, words: tuple[str, ...], report: Report) -> None:
    """Report the words for missing values in columns of numbers and dates, where pyarrow has removed them."""
    import pyarrow as pa

    some = [name for name, column in zip(table.column_names, table.columns, strict=True)
            if column.null_count and not pa.types.is_string(column.type)]  # fmt: skip
    if not some or len(set(table.column_names)) < len(table.column_names):
        return
    texts = read(include_columns=some, column_types=dict.fromkeys(some, pa.string()))
    for name in some:
        counts = {one["values"].strip(): one["counts"] for one in texts.column(name).value_counts().to_pylist()
                  if one["values"] and one["values"].strip() in words}  # fmt: skip
        if counts:
            counted(name.strip(), Counter(counts), table.num_rows, report)


def first_reading(path: Path, read: Read, names: list[str] | None) -> Any:
    """The table as pyarrow reads it. Raises ReslabError naming the row that cannot be read."""
    pa = need("pyarrow", extra="data", why="reading tables from files")
    try:
        table = read()
    except UnicodeDecodeError:
        raise ReslabError(f"{path} contains bytes that are not text") from None
    except pa.ArrowException:
        try:
            return read(threads=False)  # only a single thread tells the row
        except pa.ArrowException as error:
            sentence = first_line(error).removeprefix("CSV parse error: ")
            if sentence.startswith("Empty CSV"):
                raise UsageError(f"{path} is empty") from None
            row = "" if names else " (row #1 is its header)"
            raise ReslabError(f"cannot read {path}{row}: {sentence[:200]}") from error
    if any(map(pa.types.is_binary, table.schema.types)):
        raise ReslabError(f"{path} contains bytes that are not text")
    return table
