"""Tables in files: what pyarrow or json makes of them, with one sentence for whatever is wrong."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError

EXTRA = "needs the extra: pip install 'reslab[data]'"
KINDS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
LARGEST = 2**31 - 1  # bytes of one block, for pyarrow's CSV reader


def read_file(path: Path) -> Any:
    """A pyarrow table (.csv, .tsv, .parquet) or a list of dicts (.jsonl); .gz is unpacked.

    Raises UsageError for a file that is not there, of another kind or empty, ReslabError for a damaged one.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = KINDS.get("".join(suffixes[-2:-1] if packed else suffixes[-1:]))
    if kind is None:
        raise UsageError(f"{path} is of no kind that can be read here: {', '.join(KINDS)}, each also with .gz")
    if not path.is_file():
        raise UsageError(f"{path} is a folder: name a file" if path.is_dir() else f"there is no file {path}")
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ReslabError(f"cannot read {path}: {error}") from error
    if not data.strip():
        raise UsageError(f"{path} is empty: no rows, no columns")
    if kind == "jsonl":
        return _read_lines(path, data)
    return _read_parquet(path, data) if kind == "parquet" else _read_csv(path, data, tabs=kind == "tsv")


def _read_lines(path: Path, data: bytes) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ReslabError(f"{path}, line {number} is no JSON: {error}") from error
            if not isinstance(record, dict):
                raise UsageError(f"{path}, line {number} is no record of columns and values: {str(record)[:60]}")
            records.append(record)
    return records


def _read_parquet(path: Path, data: bytes) -> Any:
    pa = _pyarrow()
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError) as error:
        raise ReslabError(f"{path} is no parquet file, or is damaged: {_first_line(error)}") from error


def _read_csv(path: Path, data: bytes, *, tabs: bool) -> Any:
    pa = _pyarrow()
    from pyarrow import csv

    first = data.partition(b"\n")[0]
    mark = "\t" if tabs else ";" if b";" in first and b"," not in first else ","
    parse = csv.ParseOptions(delimiter=mark, newlines_in_values=True)
    # One block: a column's type is found in the first block, and a word in a later one would be an error.
    block = min(max(len(data), 2**20), LARGEST)

    def read(threads: bool) -> Any:
        options = csv.ReadOptions(use_threads=threads, block_size=block)
        return csv.read_csv(pa.BufferReader(data), read_options=options, parse_options=parse)

    try:
        return read(threads=True)
    except pa.ArrowException:
        try:
            return read(threads=False)  # only a single thread tells the row
        except pa.ArrowException as error:
            sentence = _first_line(error).removeprefix("CSV parse error: ")
            raise ReslabError(f"cannot read {path} (row #1 is its header): {sentence[:200]}") from error


def _pyarrow() -> Any:
    try:
        import pyarrow
    except (ImportError, RuntimeError, OSError) as error:
        raise UsageError(f"reading tables from files {EXTRA}") from error
    return pyarrow


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
