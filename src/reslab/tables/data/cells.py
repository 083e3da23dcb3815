"""Convert a column of any values to a numpy array of one of four types."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from reslab.errors import Sentence, UsageError, arg
from reslab.tables.data.dates import utc

SCALARS = (int, float, np.integer, np.floating, Decimal, Real)
DATES = (date, np.datetime64)
LISTS = (list, tuple, set, frozenset, np.ndarray)
DAY = np.timedelta64(1, "D")


def column_of(name: object, values: Any) -> np.ndarray:
    """A column for a Frame from any one-dimensional values. Raises UsageError naming the column and row."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(object), None)
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise UsageError(f"column {str(name)!r} must be one-dimensional, got shape {values.shape}")
        kind = values.dtype.kind
        if kind == "c":
            raise UsageError(f"column {str(name)!r} holds complex numbers. Complex data not supported")
        if kind in "fiu":
            return values.astype(np.float64)
        if kind == "b":
            return np.array(["False", "True"], dtype=object)[values.astype(np.intp)]
        if kind == "M":
            return values.astype("datetime64[us]")
        if kind == "m":
            return values / DAY
        values = values.tolist()
    return _of_objects(str(name), list(values))


def text_of(value: Any) -> str:
    """A number as text by its value, so that 3 and 3.0 are equal; anything else as a stripped string."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, SCALARS):
        return str(value).strip()
    number = float(value)
    return f"{number + 0.0:.0f}" if number.is_integer() and abs(number) < 2**63 else repr(number)


def absent(value: Any) -> bool:
    """Whether the value is missing: None, NaN, NaT, pandas' NA, a blank string."""
    if isinstance(value, str):
        return not value or value.isspace()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, Decimal):  # a signaling NaN cannot be compared
        return value.is_nan()
    return isinstance(value, float | np.floating | np.datetime64 | np.timedelta64) and bool(value != value)


def _of_objects(name: str, values: list[Any]) -> np.ndarray:
    """Python objects as the one type that can hold all of them; numbers among strings become strings."""
    kinds = set(map(type, values))
    if kinds <= {str}:
        return objects(None if not value or value.isspace() else value for value in values)
    values = [None if absent(value) else value for value in values]
    kinds = set(map(type, values)) - {type(None)}

    def all_are(*types: type) -> bool:
        return all(issubclass(kind, types) for kind in kinds)

    def one_by_one(convert: Callable[[Any], Any]) -> Iterator[Any]:
        for row, value in enumerate(values):
            try:
                yield None if value is None else convert(value)
            except (ValueError, TypeError, OverflowError) as error:
                raise UsageError(f"column {name!r}, row {row}: {str(value)[:60]!r} cannot be used ({error})") from error

    if not kinds:
        return np.full(len(values), np.nan)
    if all_are(bool, np.bool_) or all_are(str):
        return objects(one_by_one(str))
    if all_are(timedelta, np.timedelta64):
        days = (np.nan if value is None else value for value in one_by_one(lambda v: np.timedelta64(v) / DAY))
        return np.fromiter(days, np.float64, len(values))
    if all_are(time):
        hours = (np.nan if value is None else value for value in one_by_one(_hours))
        return np.fromiter(hours, np.float64, len(values))
    if all_are(*SCALARS, bool, np.bool_):
        numbers = (np.nan if number is None else number for number in one_by_one(float))
        return np.fromiter(numbers, np.float64, len(values))
    if all_are(*DATES):
        return np.array(list(one_by_one(_moment)), dtype="datetime64[us]")
    if all_are(*LISTS):
        return objects(one_by_one(_tuple))
    for row, value in enumerate(values):
        _refuse(name, row, value)
    return objects(one_by_one(text_of))


def objects(values: Iterable[Any]) -> np.ndarray:
    """An object array of one dimension, even of tuples of equal length."""
    return np.fromiter(values, dtype=object)


def _moment(value: Any) -> np.datetime64:
    return np.datetime64(utc(value) if isinstance(value, datetime) else value, "us")


def _hours(value: time) -> float:
    return value.hour + value.minute / 60 + (value.second + value.microsecond / 1e6) / 3600


def _tuple(values: Iterable[Any]) -> tuple[str, ...]:
    if isinstance(values, set | frozenset):
        values = sorted(values, key=str)
    inner = [value for value in values if not absent(value)]
    for value in inner:
        if isinstance(value, (*LISTS, Mapping, bytes)):
            raise ValueError("a list may only hold strings and numbers")
    return tuple(map(text_of, inner))


def _refuse(name: str, row: int, value: Any) -> None:
    """Raise UsageError for a value that a table cannot hold."""
    where, cure = f"column {name!r}, row {row}", Sentence("; leave the column out with ", arg("kinds", {name: "skip"}))
    if isinstance(value, Mapping):
        raise UsageError(f"{where}: a nested record {str(value)[:60]}; make a column of each of its fields", cure)
    if isinstance(value, bytes | bytearray):
        raise UsageError(f"{where}: bytes instead of text; decode them", cure)
    if isinstance(value, complex | np.complexfloating):
        raise UsageError(f"{where}: a complex number. Complex data not supported")
    if isinstance(value, LISTS):
        raise UsageError(f"{where}: a list, but other rows hold single values")
    if type(value).__name__ in ("Interval", "Period"):  # from pandas.cut and to_period; treated as text
        return
    if value is not None and not isinstance(value, (str, *SCALARS, *DATES, bool, np.bool_)):
        raise UsageError(f"{where}: {type(value).__name__} is not a supported type of value", cure)
