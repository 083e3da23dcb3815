"""Convert any table to a Frame: named columns of four types."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import UsageError, arg, nearest
from reslab.tables.data.cells import DAY, column_of
from reslab.tables.data.files import FileTable, read_file
from reslab.tables.data.format import Format
from reslab.tables.data.report import Report
from reslab.tables.data.written import parse_numbers

EXACT = 2.0**53  # whole numbers up to this are exact as float64
INDEX = re.compile(r"__index_level_\d+__")  # a pandas index, as pandas writes it to parquet


@dataclass(frozen=True, eq=False)
class Frame:
    """Named columns of one length, each a numpy array of one of four types.

    float64: numbers, NaN where missing; integers too, exact below 2**53 (longer ids should be strings); a duration in
        days, a time of day in hours.
    object of str or None: strings and categoricals; booleans as "True" and "False". Blank strings are missing.
    datetime64[us]: dates and times, in UTC where they had a zone; NaT where missing.
    object of tuple[str, ...] or None: lists.
    Row numbers in messages start at 0.
    """

    columns: dict[str, np.ndarray]
    decimal: str | None = None  # the decimal mark of the file that it was read from, if known

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[self.name_of(name)]

    def name_of(self, name: str) -> str:
        """The name of a column, which may be given with spaces around it. Raises UsageError if there is none."""
        found = name if name in self.columns else name.strip()
        if found not in self.columns:
            has = f"; the table has {', '.join(self.names[:10])}{', ...' * (len(self.names) > 10)}"
            raise UsageError(f"no column named {name!r}{nearest(name, self.columns) or has}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def take(self, rows: Any) -> "Frame":
        """The rows with these indices, or of a mask or slice."""
        return replace(self, columns={name: column[rows] for name, column in self.columns.items()})

    def with_columns(self, columns: Mapping[str, np.ndarray]) -> "Frame":
        """The frame with some columns replaced."""
        return replace(self, columns={**self.columns, **columns})

    def without(self, *names: str) -> "Frame":
        """All columns except these. Raises UsageError for an unknown column."""
        gone = set(map(self.name_of, names))
        return replace(self, columns={name: column for name, column in self.columns.items() if name not in gone})

    @classmethod
    def of(cls, columns: Iterable[tuple[Any, np.ndarray]], *, report: Report | None = None) -> "Frame":
        """The frame of these columns. Raises UsageError without columns or rows, or for duplicate names."""
        kept: dict[str, np.ndarray] = {}
        pairs = [(str(given), column) for given, column in columns]
        bare = [name.strip() for name, _ in pairs]
        for name, column in (
            [(name, column) for name, (_, column) in zip(bare, pairs, strict=True)]
            if (len(set(bare)) == len(bare))
            else pairs
        ):
            if INDEX.fullmatch(name):
                if report is not None:
                    report.add("index", name, "a pandas index, not a column; ignored")
                continue
            if not name.strip():
                if report is not None:
                    report.add("index", name, "it has no name, like a pandas index in a CSV file; ignored")
                continue
            if name in kept:
                raise UsageError(f"two columns are named {name!r}: rename one of them")
            kept[name] = column
            first = next(iter(kept))
            if len(column) != len(kept[first]):
                raise UsageError(f"column {name!r} has {len(column)} rows, but {first!r} has {len(kept[first])}")
        frame = cls(kept)
        if not kept:
            raise UsageError("the table has no columns")
        if not len(frame):
            raise UsageError(f"the table has no rows, only columns: {', '.join(frame.names[:10])}")
        return frame


Columns = Iterator[tuple[Any, np.ndarray]]


def read_frame(source: Any, *, report: Report | None = None, how: Format | None = None) -> Frame:
    """The frame of a path, a pandas, polars or pyarrow table, a numpy array, a dict, or a list of dicts.

    Paths: .csv, .tsv, .parquet (these need the extra `data`) and .jsonl, each also with .gz. A numpy array is (N, F);
    its columns become x0, x1, ... A dict has columns by name; a list holds dicts, or rows that are lists. `how`: what
    is known of it before; columns that it does not want are empty, whatever they hold.
    Raises UsageError for anything else (naming the column, the row or the line), ReslabError for a damaged file.
    """
    if isinstance(source, Frame):
        return source
    how = how or Format()
    if not isinstance(source, str | os.PathLike | FileTable):
        return Frame.of(_columns(source, report, how), report=report)
    table = source if isinstance(source, FileTable) else read_file(Path(source), how, report=report)
    try:
        frame = Frame.of(_columns(table.source, report, how), report=report)
    except UsageError as error:
        raise UsageError(f"{table.path}: ", error) from error
    if report is not None:
        report.account.append(f"{table.path.name}: {_count(len(frame), 'row')}, {_count(len(frame.names), 'column')}; "
                              f"{table.found}")  # fmt: skip
    return replace(frame, decimal=table.found.decimal)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _columns(source: Any, report: Report | None, how: Format) -> Columns:
    if isinstance(source, Mapping):
        return ((name, _series(name, values) if how.wants(str(name)) else _unread(len(values)))
                for name, values in source.items())  # fmt: skip
    if isinstance(source, list | tuple) and not source:
        raise UsageError("the table has no rows")
    if isinstance(source, list | tuple) and all(isinstance(record, Mapping) for record in source):
        return of_records(source, how)
    if hasattr(source, "nnz") and hasattr(source, "toarray"):
        raise UsageError("sparse matrices are not supported; make it dense with .toarray()")
    return _of_frame(source, report, how) or _of_array(source, how)


def _unread(rows: int) -> np.ndarray:
    """A column whose values do not matter."""
    return np.full(rows, np.nan)


def _of_frame(source: Any, report: Report | None, how: Format) -> Columns | None:
    """The columns of a pandas, polars or pyarrow table; None for anything else."""
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        table = nw.from_native(source, pass_through=True)
    except DuplicateError as error:
        raise UsageError(_twice(source)) from error
    if isinstance(table, nw.LazyFrame):
        raise UsageError("this table is lazy; call .collect() first")
    if not isinstance(table, nw.DataFrame):
        return None
    return ((one.name, _of_series(one.name, one, report) if how.wants(str(one.name)) else _unread(len(one)))
            for one in table.iter_columns())  # fmt: skip


def _twice(source: Any) -> str:
    names = [str(name) for name in (source.column_names if hasattr(source, "column_names") else source.columns)]
    name = next(name for name in names if names.count(name) > 1)
    return f"two columns are named {name!r}: rename one of them" if name else "two columns have no name: name them"


def _series(name: Any, values: Any) -> np.ndarray:
    """A column of a dict: a series of any library, an array, a list."""
    import narwhals.stable.v2 as nw

    series = nw.from_native(values, pass_through=True, allow_series=True)
    if isinstance(series, nw.Series):
        return _of_series(name, series)
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise UsageError(f"column {str(name)!r} must be a list or an array, got {type(values).__name__}")
    return column_of(name, np.asarray(values) if hasattr(values, "__array__") else list(values))


def _of_series(name: Any, series: Any, report: Report | None = None) -> np.ndarray:
    """A column from a series: numbers, booleans and times as arrays, other values individually."""
    import narwhals.stable.v2 as nw

    kind = series.dtype
    if kind.is_integer():  # without a cast, which may fail beyond 2**53
        numbers = np.asarray(series.fill_null(0).to_numpy()).astype(np.float64)
        numbers[np.asarray(series.is_null().to_numpy(), dtype=bool)] = np.nan
        if report is not None and (np.abs(numbers) > EXACT).any():
            report.add("rounded", str(name), "whole numbers beyond 2**53 are read to 16 digits; convert them to "
                       "strings if they are identifiers")  # fmt: skip
        return numbers
    if kind.is_float():
        return np.asarray(series.cast(nw.Float64()).to_numpy(), dtype=np.float64)
    if isinstance(kind, nw.Datetime) and kind.time_zone is None:
        return np.asarray(series.to_numpy()).astype("datetime64[us]")
    if isinstance(kind, nw.Duration):
        return np.asarray(series.to_numpy()).astype("timedelta64[ns]") / DAY
    try:
        values = series.to_list()
    except (ValueError, OverflowError) as error:  # dates before the year 1, or after 9999
        raise UsageError(f"column {str(name)!r} holds values that cannot be read: {error}; leave the column out with ",
                         arg("kinds", {str(name): "skip"})) from error  # fmt: skip
    return column_of(name, values)


def _of_array(source: Any, how: Format) -> Columns:
    """The columns x0, x1, ... of an array (N, F), or by name those of a structured array."""
    if isinstance(source, list | tuple):
        return _of_rows(source, how)
    if not hasattr(source, "__array__"):
        raise UsageError(f"a {type(source).__name__} is not a table; give a path, a DataFrame, an array or a dict")
    array = source if isinstance(source, np.ndarray) else np.asarray(source)
    if array.dtype.names:
        return ((name, column_of(name, array[name]) if how.wants(name) else _unread(len(array)))
                for name in array.dtype.names)  # fmt: skip
    if array.ndim != 2:
        raise UsageError(f"Expected 2D array (rows, columns), got {array.ndim}D array of shape {array.shape}. "
                         "Reshape your data: array.reshape(-1, 1) if it is one column")  # fmt: skip
    if not array.shape[1]:
        raise UsageError(f"no columns: 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    columns = ((f"x{k}", column_of(f"x{k}", array[:, k]) if how.wants(f"x{k}") else _unread(len(array)))
               for k in range(array.shape[1]))  # fmt: skip
    if array.dtype.kind != "U":
        return columns
    # An array of strings cannot hold numbers: columns in which all strings are numbers become numbers.
    return ((name, numbers if wrong is None else column)
            for name, column in columns for numbers, wrong in [parse_numbers(column)])  # fmt: skip


def _of_rows(rows: Sequence[Any], how: Format) -> Columns:
    """The columns x0, x1, ... of a list of rows."""
    try:
        columns = list(zip(*rows, strict=True))
    except ValueError as error:
        raise UsageError("the rows of this list have different lengths") from error
    except TypeError as error:
        raise UsageError("Expected 2D array, got a list of single values. Reshape your data: [[1], [2]]") from error
    return ((f"x{k}", column_of(f"x{k}", list(column)) if how.wants(f"x{k}") else _unread(len(rows)))
            for k, column in enumerate(columns))  # fmt: skip


def of_records(records: Sequence[Mapping[str, Any]], how: Format) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of a list of dicts, in order of appearance; absent keys are missing values."""
    for name in dict.fromkeys(key for record in records for key in record):
        wanted = how.wants(str(name))
        yield name, column_of(name, [record.get(name) for record in records]) if wanted else _unread(len(records))
