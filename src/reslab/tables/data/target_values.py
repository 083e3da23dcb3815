"""A target's values, from any type, as a validated array."""

from typing import Any

import numpy as np

from reslab.errors import UsageError
from reslab.tables.data.cells import LISTS, absent, column_of, objects
from reslab.tables.data.frame import Frame, read_frame
from reslab.tables.data.written import parse_numbers


def values_of(y: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """A target as (N,) or (N, K), checked for missing values, and its columns' names. Lists of labels: object (N,)."""
    import narwhals.stable.v2 as nw

    names: tuple[str, ...] = ()
    if isinstance(nw.from_native(y, pass_through=True), nw.DataFrame):
        y = read_frame(y)
    if isinstance(y, Frame):
        names = y.names
        columns = [_of_frame(column) for column in y.columns.values()]
        values = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    elif isinstance(y, np.ndarray) or (hasattr(y, "__array__") and not isinstance(y, list)):
        values = np.asarray(y)
    else:
        values = _of_list(list(y))
    if values.ndim not in (1, 2) or 0 in values.shape:
        raise UsageError(f"a target must be (rows,) or (rows, columns), with rows, got shape {values.shape}")
    if values.ndim == 1 and values.dtype == object and any(isinstance(value, LISTS) for value in values):
        values = column_of("target", values)
    _check(values)
    return values, names


def _of_frame(column: np.ndarray) -> np.ndarray:
    """Restore integers and booleans, which a frame does not have."""
    if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.floor(column)).all():
        return column.astype(np.int64) if np.abs(column).max(initial=0) < 2**53 else column
    if column.dtype == object and set(column) <= {"True", "False"}:
        return np.equal(column, np.array("True", dtype=object)).astype(bool)
    return column


def _of_list(values: list[Any]) -> np.ndarray:
    """(N,), or (N, K) for rows of K numbers, or lists of labels as an object array (N,)."""
    if any(isinstance(value, LISTS) for value in values):
        rows = [list(value) if isinstance(value, LISTS) else [] for value in values]
        numbers = all(isinstance(one, int | float | np.number | np.bool_) for row in rows for one in row)
        if numbers and len(set(map(len, rows))) == 1 and rows[0]:
            return np.array(rows)
        return column_of("target", values)
    array = np.array(values)
    mixed = array.dtype.kind == "U" and not all(isinstance(value, str) for value in values)
    return np.array(values, dtype=object) if mixed else array  # numpy converts numbers among strings to strings


def _check(values: np.ndarray) -> None:
    """Raise UsageError naming the first row that is missing, infinite, or of an unsupported type."""
    kind = values.dtype.kind
    if kind not in "bfiuUO":
        raise UsageError(f"a target must hold strings, booleans or numbers, not {values.dtype}")
    if kind == "f":
        bad = ~np.isfinite(values)
    elif kind == "O":
        bad = np.array([absent(value) for value in values.flat], bool).reshape(values.shape)
    else:
        return
    rows = np.flatnonzero(bad.reshape(len(values), -1).any(axis=1))
    if len(rows):
        infinite = kind == "f" and not np.isnan(values[rows[0]]).any()
        what = "infinite" if infinite else "missing (NaN)"
        more = f" (and in {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise UsageError(f"the target is {what} in row {rows[0]}{more}; remove such rows")


def zero_one(values: np.ndarray) -> np.ndarray:
    """float32 (N, K). Raises UsageError for other values."""
    if values.dtype.kind in "bfiu":
        wrong = ~np.isin(values, (0, 1))
    else:
        wrong = np.array([[one not in (0, 1) for one in row] for row in values.tolist()], bool)
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        value = values.tolist()[row][column]
        raise UsageError(f"row {row} of label {column} is {value!r}, but columns of labels must hold 0 and 1")
    return values.astype(np.float32)


def numbers_of(values: np.ndarray) -> np.ndarray:
    """float64 (N, T). Raises UsageError for a value that is no number, or beyond 1e150."""
    if values.dtype.kind not in "bfiu":
        cells = values.astype(object).ravel()
        numbers, row = parse_numbers(objects(str(one) if isinstance(one, str | tuple) else one for one in cells))
        if row is not None:
            where, value = row // (values.size // len(values)), values.ravel()[row]
            raise UsageError(f"a target of numbers has {str(value)[:40]!r} in row {where}, which is not a number")
        values = numbers.reshape(values.shape)
    numbers = values.astype(np.float64).reshape(len(values), -1)
    if np.abs(numbers).max() > 1e150:
        row = int(np.argmax(np.abs(numbers).max(axis=1)))
        raise UsageError(f"row {row} of the target is {numbers[row].tolist()}; values must not exceed 1e150")
    return numbers


def mean_std(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each column (N, T): mean and standard deviation, exact for equal values and for small differences."""
    mean, std = numbers.mean(axis=0), numbers.std(axis=0)
    small = std < 1e-6 * np.abs(mean)  # the differences have lost digits: computed again, from the first row on
    shifted = numbers - numbers[0]
    mean = np.where(small, numbers[0] + shifted.mean(axis=0), mean)
    return mean, np.where(small, shifted.std(axis=0), std)
