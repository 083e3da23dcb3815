"""The image column of parquet files: in memory, or copied to a file that allows random access."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, first_line
from reslab.extras import need
from reslab.images.sources.copied import Column, copied
from reslab.images.sources.encoded import ArrowCells, ArrowFileCells, Cells

BATCH_BYTES = 2**28  # of rows read at once, if every row held all that its row group holds: a dictionary may do that
ROWS = 256  # images read at once
RATIO = 2000  # bytes of images per byte of the file; compression reaches 1,000 on zeros, repeated rows more


def cells_of(columns: list[Column], *, memory: int, cache: Callable[[], Path]) -> Cells:
    """The images of the files' columns in order: in memory if they take at most `memory` bytes, otherwise on disk."""
    if sum(file.stat().st_size for file, _ in columns) <= memory:
        chunks, size = [], 0
        for chunk in _chunks(columns):
            chunks.append(chunk)
            size += chunk.nbytes
            if size > memory:
                break
        else:
            return ArrowCells(_joined(chunks))
    return ArrowFileCells([copied(columns, cache(), _chunks, schema())])


def read_column(file: Path, name: str, *, rows: int) -> Iterator[Any]:
    """A column in arrays of at most `rows` rows, as far as it is no larger than a file of this size may hold.

    Raises ReslabError for a column that unpacks to RATIO times the file's size or more.
    """
    pq = need("pyarrow.parquet", extra="data", why="reading parquet files")
    most, seen = RATIO * file.stat().st_size, 0
    refused = f"{file} unpacks to more than {RATIO:,} times its size, so it is not read; write it again"
    with pq.ParquetFile(file) as parquet:
        # Not .column(i): pyarrow ends the process on some damaged metadata of a column.
        sizes = [parquet.metadata.row_group(k).total_byte_size for k in range(parquet.metadata.num_row_groups)]
        if sum(sizes) > most:
            raise ReslabError(refused)
        step = min(rows, max(1, BATCH_BYTES // max(1, *sizes, 1)))
        for records in parquet.iter_batches(batch_size=step, columns=[name]):
            array = records.column(0)
            seen += array.nbytes
            if seen > most:
                raise ReslabError(refused)
            yield array


def _chunks(columns: list[Column]) -> Iterator[Any]:
    """The images as arrays of {bytes, path}, whatever the files' own types."""
    import pyarrow as pa

    for file, name in columns:
        try:
            yield from map(_uniform, read_column(file, name, rows=ROWS))
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise ReslabError(f"cannot read the images of {file}: {first_line(error)}; write or download it "
                              "again") from error  # fmt: skip


def _uniform(array: Any) -> Any:
    """A column of bytes, or of structs with bytes, as {bytes: large_binary, path: string}."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = schema()
    paths = None
    missing = array.is_null()
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        paths = pc.struct_field(array, "path") if "path" in names else None
        array = pc.struct_field(array, "bytes")
    content = array.cast(pa.large_binary())
    text = pa.nulls(len(content), pa.string()) if paths is None else paths.cast(pa.string())
    return pa.StructArray.from_arrays([content, text], fields=list(kind.field("image").type), mask=missing)


def schema() -> Any:
    import pyarrow as pa

    return pa.schema([("image", pa.struct([("bytes", pa.large_binary()), ("path", pa.string())]))])


def _joined(chunks: list[Any]) -> Any:
    import pyarrow as pa

    return pa.chunked_array(chunks, type=schema().field("image").type)
