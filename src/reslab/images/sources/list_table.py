"""The table of a list of images: of one file, or of a folder of parquet files, whose names are its parts."""

from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UsageError
from reslab.images.sources.parquet_files import files_of
from reslab.images.sources.scan import Ignored
from reslab.images.sources.table import Table, read_parquet_table, read_table

PART = "part of the file"  # the column that is added


@dataclass(frozen=True, kw_only=True)
class ListTable:
    """The rows, the folder that their paths are relative to, the column of parts if the files are parts."""

    table: Table
    folder: Path
    part: str | None = None
    ignored: tuple[Ignored, ...] = ()


def read_list(path: Path) -> ListTable:
    """The table of a CSV, TSV or parquet file, or of a folder of parquet files. Raises UsageError or ReslabError."""
    if path.is_dir():
        return of_folder(path)
    table = read_parquet_table(path) if path.suffix.lower() == ".parquet" else read_table(path)
    return ListTable(table=table, folder=path.parent)


def of_folder(path: Path) -> ListTable:
    """The rows of all files, each with its file's part. Raises UsageError for files of other columns."""
    found = files_of(path)
    parts = {"train": found.train, "validation": found.validation, "test": found.test}
    tables = [(part, read_parquet_table(file)) for part, files in parts.items() for file in files]
    first = tables[0][1]
    for _, table in tables:
        if table.columns != first.columns:
            raise UsageError(f"{table.path} has the columns {', '.join(table.columns)}, and {first.path.name} has "
                             f"{', '.join(first.columns)}; write all files with the same")  # fmt: skip
    rows = [[*row, part] for part, table in tables for row in table.rows]
    lines = [line for _, table in tables for line in table.lines]
    names = [table.path.name for _, table in tables for _ in table.lines]
    whole = Table(path=path, columns=(*first.columns, PART), rows=rows, lines=lines, unit=first.unit, files=names)
    return ListTable(table=whole, folder=found.train[0].parent, part=PART, ignored=tuple(found.ignored))
