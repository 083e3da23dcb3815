"""Read tables from files with pyarrow or json; every error is one sentence."""

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line
from reslab.extras import need
from reslab.stored.files import CORRECT, parsed

KINDS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # the first bytes of such files
LARGEST = 2**31 - 1  # bytes of one block, for pyarrow's CSV reader


def read_file(path: Path) -> Any:
    """A pyarrow table (.csv, .tsv, .parquet) or a list of dicts (.jsonl); .gz is unpacked.

    Raises UsageError for a file that is missing, empty or of another type, ReslabError for a damaged one.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = KINDS.get("".join(suffixes[-2:-1] if packed else suffixes[-1:]))
    if kind is None:
        raise UsageError(f"unsupported file type: {path} (supported: {', '.join(KINDS)}, each also with .gz)")
    if not path.is_file():
        raise UsageError(f"{path} is a folder; give a file" if path.is_dir() else f"no such file: {path}")
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ReslabError(f"cannot read {path}: {error}") from error
    if not data.strip():
        raise UsageError(f"{path} is empty")
    if kind == "jsonl":
        return _read_lines(path, data)
    return _read_parquet(path, data) if kind == "parquet" else _read_csv(path, data, tabs=kind == "tsv")


def _read_lines(path: Path, data: bytes) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            record = parsed(json.loads, line, f"{path}, line {number}", cure=CORRECT, what="is not JSON")
            if not isinstance(record, dict):
                raise UsageError(f"{path}, line {number} is no record of columns and values: {str(record)[:60]}")
            records.append(record)
    return records


def _read_parquet(path: Path, data: bytes) -> Any:
    pa, pq = _pyarrow(), _pyarrow("pyarrow.parquet")
    try:
        return pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError) as error:
        raise ReslabError(f"{path} is no parquet file, or is damaged: {first_line(error)}") from error


def _read_csv(path: Path, data: bytes, *, tabs: bool) -> Any:
    pa, csv = _pyarrow(), _pyarrow("pyarrow.csv")
    if data[:2] in UTF16:
        raise ReslabError(f"{path} is UTF-16; save it as UTF-8")
    mark = "\t" if tabs else _mark(data.partition(b"\n")[0])
    parse = csv.ParseOptions(delimiter=mark, newlines_in_values=True)
    # One block: pyarrow infers types from the first block, and a string in a later one would be an error.
    block = min(max(len(data), 2**20), LARGEST)

    def read(threads: bool, point: str = ".") -> Any:
        options = csv.ReadOptions(use_threads=threads, block_size=block)
        convert = csv.ConvertOptions(decimal_point=point)
        return csv.read_csv(pa.BufferReader(data), read_options=options, parse_options=parse, convert_options=convert)

    def numbers(table: Any) -> int:
        return sum(pa.types.is_floating(kind) for kind in table.schema.types)

    try:
        table = read(threads=True)
        if mark != ",":  # decimal commas (3,5) occur with ; and tabs
            table = max(table, read(threads=True, point=","), key=numbers)
        if table.column_names and any(map(pa.types.is_binary, table.schema.types)):  # names are decoded only here
            raise _not_utf8(path, data)
        return table
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data) from error
    except pa.ArrowException:
        try:
            return read(threads=False)  # only a single thread tells the row
        except pa.ArrowException as error:
            sentence = first_line(error).removeprefix("CSV parse error: ")
            raise ReslabError(f"cannot read {path} (row #1 is its header): {sentence[:200]}") from error


def _mark(header: bytes) -> str:
    """The separator of a header: the most frequent of , ; | and tabs outside quotes."""
    bare = re.sub(rb'"[^"]*("|$)', b"", header)
    return max(",;\t|", key=lambda mark: bare.count(mark.encode()))


def _not_utf8(path: Path, data: bytes) -> ReslabError:
    """The sentence for a file that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        around = data[max(0, error.start - 10) : error.end + 10].decode("latin-1")
        return ReslabError(f"{path}, line {line} is not UTF-8: {around!r}; save it as UTF-8")
    return ReslabError(f"{path} contains bytes that are not text")


def _pyarrow(name: str = "pyarrow") -> Any:
    return need(name, extra="data", why="reading tables from files")
