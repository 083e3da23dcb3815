"""How many rows and values a parquet file claims, from its footer (Thrift's compact protocol, parquet.thrift).

pyarrow tells the same, but ends the whole process at some damaged footers; and it reads as many values as are claimed.
"""

from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"PAR1"
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12
WHOLE = (4, 5, 6)  # 16, 32 and 64 bits
DEEP = 32  # structs within structs
SCHEMA, GROUPS, ROWS, COLUMNS, ABOUT, VALUES = 2, 4, 3, 1, 3, 5  # FileMetaData (2), RowGroup (2), ColumnChunk, its data
COLUMNS_READ = 110_000  # with more, the rest of the footer does not matter


class Claims(NamedTuple):
    rows: int
    columns: int
    values: int  # of all columns; those of lists one by one


def claims_of(data: bytes) -> Claims:
    """Raises ValueError if there is no footer, or it is damaged."""
    size = int.from_bytes(data[-8:-4], "little")
    if data[-4:] != MAGIC or not 0 < size <= len(data) - 12:
        raise ValueError("it has no footer")
    reader = Reader(data[-8 - size : -8])
    rows, values, widest = 0, 0, 0
    try:
        for field, kind in reader.fields():
            if field == SCHEMA and kind == LIST and (count := reader.length()) > 3 * COLUMNS_READ:
                return Claims(0, count // 3, 0)
            if field != GROUPS or kind != LIST:
                reader.skip(kind)
                continue
            for _ in reader.items(STRUCT):
                n, columns, held = reader.group()
                rows, values, widest = rows + n, values + held, max(widest, columns)
    except IndexError:
        raise ValueError("its footer ends too early") from None
    return Claims(rows, widest, values)


class Reader:
    """A place in bytes of the compact protocol. Raises IndexError at their end, ValueError for what cannot be."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def varint(self) -> int:
        found = shift = 0
        while True:
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise ValueError("a number in its footer is too long")

    def whole(self) -> int:
        found = self.varint()
        return (found >> 1) ^ -(found & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """(number, type) of each field of a struct; its value must be read or skipped before the next."""
        last = 0
        while (head := self.byte()) != STOP:
            last = last + (head >> 4) if head >> 4 else self.whole()
            yield last, head & 15

    def items(self, kind: int | None = None) -> Iterator[int]:
        """The type of each item of a list, which must be read or skipped before the next."""
        head = self.byte()
        count = self.varint() if head >> 4 == 15 else head >> 4
        if kind is not None and count and head & 15 != kind:
            raise ValueError("its footer holds something else")
        if count > len(self.data):
            raise ValueError("a list in its footer is too long")
        for _ in range(count):
            yield head & 15

    def length(self) -> int:
        """Number of items of the list that is next."""
        there = self.place
        head = self.byte()
        count = self.varint() if head >> 4 == 15 else head >> 4
        self.place = there
        return count

    def group(self) -> tuple[int, int, int]:
        """Rows, columns and values of a row group."""
        rows = columns = values = 0
        for field, kind in self.fields():
            if field == ROWS and kind in WHOLE:
                rows = self.whole()
            elif field == COLUMNS and kind == LIST:
                for _ in self.items(STRUCT):
                    columns += 1
                    values += self.chunk()
            else:
                self.skip(kind)
        if rows < 0 or values < 0:
            raise ValueError("it claims fewer than 0 rows")
        return rows, columns, max(values, rows * columns)

    def chunk(self) -> int:
        """Values of a column of a row group."""
        values = 0
        for field, kind in self.fields():
            if field == ABOUT and kind == STRUCT:
                for inner, type_ in self.fields():
                    if inner == VALUES and type_ in WHOLE:
                        values = self.whole()
                    else:
                        self.skip(type_)
            else:
                self.skip(kind)
        return values

    def skip(self, kind: int, deep: int = 0, *, within: bool = False) -> None:
        """Pass over a value; `within` a list, truth values take a byte."""
        if deep > DEEP:
            raise ValueError("its footer is nested too deep")
        if kind in (TRUE, FALSE):
            self.place += within
        elif kind == BYTE:
            self.place += 1
        elif kind in WHOLE:
            self.varint()
        elif kind == DOUBLE:
            self.place += 8
        elif kind == BINARY:
            size = self.varint()  # apart: it moves the place, too
            self.place += size
        elif kind in (LIST, SET):
            for item in self.items():
                self.skip(item, deep + 1, within=True)
        elif kind == STRUCT:
            for _, item in self.fields():
                self.skip(item, deep + 1)
        elif kind == MAP:
            count = self.varint()
            kinds = self.byte() if count else 0
            for _ in range(min(count, len(self.data))):
                self.skip(kinds >> 4, deep + 1, within=True)
                self.skip(kinds & 15, deep + 1, within=True)
        else:
            raise ValueError("its footer holds an unknown type")
