"""How much memory a table's file may ask for: what it holds, and up to a hundred times its size beyond that.

A damaged or hostile file of a few kilobytes may claim billions of values. Whatever it claims, no more than about
4 * FREE + 100 * its size is taken before it is refused (values of parquet: 8 bytes each).
"""

import zlib
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError

FREE = 64 * 2**20  # bytes that any file may unpack to
CELLS = 5_000_000  # values that any file may hold
RATIO = 100  # times its size: text and numbers pack to a third or a tenth
PER_BYTE = 50  # values per byte of a parquet file: 0.16 bits each
IN_TEXT = 5  # values per byte of lines of JSON, each of which may lack most columns
COLUMNS = 100_000
LINE = 16 * 2**20  # bytes of a file's first line
CELL = 16 * 2**20  # bytes of one value
STEP = 2**20


def unpacked(path: Path, packed: bytes) -> bytes:
    """The contents of a .gz file. Raises ReslabError if damaged, UsageError if they are more than a file may hold."""
    most, found, rest = FREE + RATIO * len(packed), bytearray(), packed
    while rest.strip(b"\0"):  # members, one after another; zeros may follow
        reader = zlib.decompressobj(wbits=31)
        while not reader.eof:
            try:
                piece = reader.decompress(rest, STEP)
            except zlib.error as error:
                raise ReslabError(f"cannot read {path}: {error}") from error
            found += piece
            rest = reader.unconsumed_tail or reader.unused_data
            if len(found) > most:
                raise UsageError(f"{path} ({size(len(packed))}) unpacks to more than {size(most)}, which a table "
                                 "hardly does; unpack it first if it is one")  # fmt: skip
            if not piece and not rest and not reader.eof:
                raise ReslabError(f"cannot read {path}: it ends before the end of its data; restore it")
    return bytes(found)


def size(count: float) -> str:
    """Bytes in words: 194 kB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.0f} GB"


def check_cells(path: Path, *, rows: int, columns: int, values: int, held: int, per_byte: int = PER_BYTE) -> None:
    """Raise UsageError for more columns than any table has, or more values than a file of `held` bytes may claim."""
    check_columns(path, columns)
    if values > max(CELLS, per_byte * held):
        raise UsageError(f"{path} ({size(held)}) claims {values:,} values in {rows:,} rows, which such a small file "
                         "hardly holds; if it does, write it again without compression")  # fmt: skip


def check_columns(path: Path, columns: int) -> None:
    if columns > COLUMNS:
        raise UsageError(f"{path} has {columns:,} columns; a table may have {COLUMNS:,}")


def check_strings(path: Path, table: Any, held: int) -> None:
    """Raise UsageError if a value of a pyarrow table is longer than any text is, or all together are more than `held`
    bytes of a file may hold."""
    import pyarrow as pa

    total = 0
    for name, column in zip(table.column_names, table.columns, strict=True):
        for chunk in column.chunks:
            while pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
                chunk = chunk.flatten()
            longest, sum_ = _lengths(chunk)
            total += sum_
            if longest > CELL:
                raise UsageError(f"{path}, column {name!r}: a value has {size(longest)}; a value may have {size(CELL)}")
    if total > max(4 * FREE, RATIO * held):
        raise UsageError(f"{path} ({size(held)}) holds texts of {size(total)}, which such a small file hardly does; "
                         "if it does, write it again without compression")  # fmt: skip


def _lengths(chunk: Any) -> tuple[int, int]:
    """The largest number of bytes of a value, and the sum over all; (0, 0) for what is no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    of_words = pa.types.is_dictionary(chunk.type)
    words = chunk.dictionary if of_words else chunk
    if not any(is_text(words.type) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
        return 0, 0
    lengths = pc.fill_null(pc.binary_length(words), 0)
    longest = pc.max(lengths).as_py() or 0
    if of_words and len(words):
        lengths = pc.take(lengths, pc.fill_null(chunk.indices, 0))
    return longest, (pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0) if len(words) else 0


def check_first_line(path: Path, data: bytes) -> None:
    """Raise UsageError if the first line, of which these are the first bytes, is longer than any row of names."""
    data = data.lstrip(b"\r\n")
    if len(data) > LINE and data.find(b"\n", 0, LINE) < 0 and data.find(b"\r", 0, LINE) < 0:
        raise UsageError(f"{path} is no table: its first line is longer than {size(LINE)}")
