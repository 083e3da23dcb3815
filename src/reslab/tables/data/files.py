"""Read tables from files with pyarrow or json; every error is one sentence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line
from reslab.extras import need
from reslab.stored.files import CORRECT, parsed
from reslab.tables.data.bounds import CELL, IN_TEXT, LINE, check_cells, check_first_line, check_strings, size, unpacked
from reslab.tables.data.delimited import read_delimited
from reslab.tables.data.encodings import as_utf8
from reslab.tables.data.footer import claims_of
from reslab.tables.data.format import Format, Found
from reslab.tables.data.report import Report

KINDS = {".csv": "csv", ".tsv": "tsv", ".data": "csv", ".parquet": "parquet", ".pq": "parquet",
         ".jsonl": "jsonl", ".ndjson": "jsonl"}  # fmt: skip
SHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


@dataclass(frozen=True, eq=False)
class FileTable:
    """The contents of a file: a pyarrow table or a list of dicts, and how it is written."""

    path: Path
    source: Any
    found: Found


def read_file(path: Path, how: Format | None = None, *, report: Report | None = None) -> FileTable:
    """The table in a file of text (.csv, .tsv, .data), parquet or lines of JSON (.jsonl); .gz is unpacked.

    Raises UsageError for a file that is missing, empty, of another type, or claims more than its size may hold;
    ReslabError for a damaged one.
    """
    how, report = how or Format(), Report() if report is None else report
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    ending = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    kind = KINDS.get(ending)
    if kind is None:
        cure = "; save the sheet as .csv" if ending in SHEETS else ""
        raise UsageError(f"unsupported file type: {path} (supported: {', '.join(KINDS)}, each also with .gz){cure}")
    if not path.is_file():
        raise UsageError(f"{path} is a folder; give a file" if path.is_dir() else f"no such file: {path}")
    try:
        if kind in ("csv", "tsv") and not packed:
            with path.open("rb") as file:  # before the whole is read
                check_first_line(path, file.read(LINE + 1))
        data = path.read_bytes()
    except OSError as error:
        raise ReslabError(f"cannot read {path}: {error}") from error
    held = len(data)
    if packed:
        data = unpacked(path, data)
    if not data.strip():
        raise UsageError(f"{path} is empty")
    if kind == "jsonl":
        return FileTable(
            path, _read_lines(path, data, how, report, held), Found(encoding="UTF-8", mark="", decimal=".")
        )
    if kind == "parquet":
        return FileTable(path, _read_parquet(path, data, held), Found(encoding="parquet", mark="", decimal="."))
    return FileTable(path, *read_delimited(path, data, how, report, tabs=kind == "tsv"))


def _read_lines(path: Path, data: bytes, how: Format, report: Report, held: int) -> list[dict[str, Any]]:
    data, _, said = as_utf8(path, data, how.encoding)
    if said is not None:
        report.say("encoding", said)
    records: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(line) > CELL:
            raise UsageError(f"{path}, line {number} has {size(len(line))}; a line may have {size(CELL)}")
        record = parsed(json.loads, line, f"{path}, line {number}", cure=CORRECT, what="is not JSON")
        if not isinstance(record, dict):
            raise UsageError(f"{path}, line {number} is no record of columns and values: {str(record)[:60]}")
        records.append(record)
        names.update(record)
    check_cells(path, rows=len(records), columns=len(names), values=len(records) * len(names), held=held,
                per_byte=IN_TEXT)  # fmt: skip
    return records


def _read_parquet(path: Path, data: bytes, held: int) -> Any:
    pa, pq = (need(name, extra="data", why="reading tables from files") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        claims = claims_of(data)
        check_cells(path, rows=claims.rows, columns=claims.columns, values=claims.values, held=held)
        table = _dense(path, pq, pa.BufferReader(data), held)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise ReslabError(f"{path} is no parquet file, or is damaged: {first_line(error)}") from error
    return table


def _dense(path: Path, pq: Any, source: Any, held: int) -> Any:
    """The table of a parquet file; strings that it holds once for many rows are unpacked if they are not too many."""
    import pyarrow as pa

    schema = pq.ParquetFile(source).schema
    texts = [schema.column(k).path for k in range(len(schema)) if schema.column(k).physical_type == "BYTE_ARRAY"]
    file = pq.ParquetFile(source, read_dictionary=texts)
    table = file.read()
    check_strings(path, table, held)
    for k, field in enumerate(pq.ParquetFile(source).schema_arrow):
        if table.schema.field(k).type != field.type:
            table = table.set_column(k, field, table.column(k).cast(field.type))
    return pa.table(table)
