"""Inputs of the estimators: X as a Frame and y as an array, validated as in scikit-learn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_array, column_or_1d, validate_data

from reslab.errors import UsageError
from reslab.tables.data.cells import LISTS
from reslab.tables.data.format import Format
from reslab.tables.data.frame import Frame, Report, read_frame
from reslab.tables.data.gaps import words_of
from reslab.tables.data.target_values import values_of


def read(
    path: Path | str, *, header: bool | None = None, encoding: str | None = None, decimal: str | None = None,
    missing: Sequence[str] | None = None,
) -> Frame:  # fmt: skip
    """The table in a file, for estimators to fit and predict; warns about what is odd or not certain.

    header: whether the first row of a file of text holds the columns' names. encoding: of text. decimal: "," or ".",
    the mark of numbers like 1.001. missing: words for missing values among numbers. Default: found in the file.
    Raises UsageError for a file that is missing or no table, ReslabError for a damaged one.
    """
    report, words = Report(), words_of(missing)
    how = Format(header=header, encoding=encoding, decimal=decimal, missing=words)
    frame = read_frame(path, report=report, how=how)
    report.warn(stacklevel=3)
    return frame


def read_table(
    estimator: BaseEstimator, X: Any, trained: tuple[str, ...] | None, report: Report | None = None, *,
    how: Format | None = None,
) -> Frame:  # fmt: skip
    """X as a Frame; in `fit` (`trained` None) the estimator stores its column names and width, later they are checked.

    trained: the column names in training. If columns have no names, here or in training, they are matched by position.
    how: what is known of the table, by the names of training.
    """
    bare = Format(decimal=how.decimal, missing=how.missing) if how else None  # where the names differ
    named = trained is None or hasattr(estimator, "feature_names_in_")
    sparse = hasattr(X, "nnz")  # one type of sparse matrix is a dict
    if isinstance(X, str | Path | Frame) or (isinstance(X, Mapping) and not sparse) or is_records(X):
        frame = read_frame(X, report=report, how=how if named else bare)
        if trained is None:
            names = np.array(frame.names, dtype=object)
            estimator.n_features_in_, estimator.feature_names_in_ = len(names), names
        return frame if trained is None or named else by_place(frame, trained)
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        frame = read_frame(X, report=report, how=how if named else bare)
        validate_data(estimator, X, reset=trained is None, skip_check_array=True)
    else:
        X = validate_data(estimator, rows_of(X), reset=trained is None, dtype=None, ensure_all_finite=False)
        frame = read_frame(X, report=report, how=how if trained is None or not named else bare)
    return frame if trained is None else by_place(frame, trained)


def is_records(X: Any) -> bool:
    return isinstance(X, list) and bool(X) and all(isinstance(row, Mapping) for row in X)


def rows_of(X: Any) -> Any:
    """A list of rows as an array; numbers next to strings stay numbers, and None stays None."""
    if not isinstance(X, list | tuple) or not all(isinstance(row, list | tuple) for row in X):
        return X
    if len(set(map(len, X))) > 1:
        raise UsageError("the rows of this list have different lengths")
    kinds = {type(value) for row in X for value in row}
    return np.array(X, dtype=object) if kinds & {str, type(None)} else X


def by_place(frame: Frame, trained: tuple[str, ...]) -> Frame:
    """The frame with the column names of training."""
    if len(trained) != len(frame.names):
        raise UsageError(f"X has {len(frame.names)} features, but training had {len(trained)}")
    return replace(frame, columns=dict(zip(trained, frame.columns.values(), strict=True)))


def read_target(y: Any, rows: int) -> np.ndarray:
    """y as a finite array (N,) or (N, K) with as many rows as X; a column (N, 1) becomes (N,), with a warning."""
    import narwhals.stable.v2 as nw

    table = nw.from_native(y, pass_through=True, allow_series=True)
    if isinstance(table, nw.Series | nw.DataFrame):
        y = table.to_numpy()
    elif hasattr(y, "to_pylist"):  # an array of pyarrow
        y = y.to_pylist()
    rows_of_y = y if isinstance(y, list | tuple) or (isinstance(y, np.ndarray) and y.dtype.hasobject) else []
    if len({len(one) for one in rows_of_y if isinstance(one, LISTS)}) > 1:
        raise UsageError("y holds lists; convert them to columns of 0 and 1 with sklearn.preprocessing."
                         "MultiLabelBinarizer")  # fmt: skip
    array: np.ndarray = check_array(
        y, dtype=None, ensure_2d=False, ensure_all_finite=True, input_name="y", allow_nd=True
    )
    if array.ndim != 2 or array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if len(array) != rows:
        raise UsageError(f"Found input variables with inconsistent numbers of samples: X has {rows}, y {len(array)}")
    if array.dtype == object and not any(isinstance(value, str) for value in array.flat):
        values_of(array)  # reports missing rows
        plain = np.array(array.tolist())  # numbers of pandas' nullable types come as objects
        return plain if plain.dtype.kind in "biuf" and plain.shape == array.shape else array
    if array.dtype == object and len({isinstance(value, str) for value in array.flat}) > 1:
        raise UsageError("y mixes strings and other values; convert all of them to strings")
    return array


def read_weights(weights: Any, rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(the rows that count, their weights: float64, above 0); None if all weigh the same.

    Checked as in scikit-learn: ValueError for NaN, infinity, negative numbers or another shape. UsageError if fewer
    than two rows count.
    """
    if weights is None:
        return np.arange(rows), None
    found: np.ndarray = _check_sample_weight(weights, np.empty((rows, 1)), dtype=np.float64, ensure_non_negative=True)
    counted = np.flatnonzero(found)
    if len(counted) < 2:
        raise UsageError(f"sample_weight is above 0 in {len(counted)} of {rows} rows, which is not enough to train on")
    found = found[counted]
    return counted, None if (found == found[0]).all() else found
