"""The target of a table (a class, several labels, or numbers), encoded for the net and decoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from reslab.errors import ReslabError, UsageError
from reslab.tables.data.alike import Alike
from reslab.tables.data.bags import rows_of
from reslab.tables.data.cells import text_of
from reslab.tables.data.kinds import FEW
from reslab.tables.data.report import Report
from reslab.tables.data.target_values import mean_std, numbers_of, values_of, zero_one

DTYPES = re.compile(r"object|[<>|=]?([biu][1248]|f[248]|U\d{1,5})")
TargetKind = Literal["classes", "labels", "numbers"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A target fitted on the training rows.

    classes: one of `classes` (K,), sorted, of the type given; encoded int64 (N,).
    labels: any of `classes` (K,), columns' names or their numbers; encoded float32 (N, K) of 0 and 1.
    numbers: T columns; encoded (y - mean) / std, float32 (N, T).
    """

    kind: TargetKind
    outputs: int  # K or T: number of outputs of the net
    classes: np.ndarray | None = None
    mean: np.ndarray | None = None  # float64 (T,)
    std: np.ndarray | None = None  # float64 (T,); 0 if all are equal: then the mean is predicted
    flat: bool = True  # numbers were (N,), not (N, T)

    @classmethod
    def fit(cls, y: Any, kind: TargetKind | None = None) -> "Target":
        """Fit on the training target: an array or list (N,) or (N, K), a list of lists of labels, a Series, a Frame.

        kind None: chosen by `find_target_kind`. Raises UsageError for a missing or infinite value, naming its row, for
        a single class, and for a kind that does not suit the values.
        """
        values, names = values_of(y)
        kind = find_target_kind(values) if kind is None else kind
        if kind not in get_args(TargetKind):
            raise UsageError(f"the kind of a target must be one of {', '.join(get_args(TargetKind))}, got {kind!r}")
        if kind == "numbers":
            numbers = numbers_of(values)
            mean, std = mean_std(numbers)
            return cls(kind=kind, outputs=len(mean), mean=mean, std=std, flat=values.ndim == 1)
        if kind == "labels":
            classes = _labels(values, names)
            if not len(classes):
                raise UsageError("no row of the target has a label, so there is nothing to learn")
            return cls(kind=kind, outputs=len(classes), classes=classes)
        classes = _classes(_flat(values))
        if len(classes) < 2:
            raise UsageError(f"the target has only one class, {_list(classes)[0]!r}, so there is nothing to learn")
        return cls(kind=kind, outputs=len(classes), classes=classes)

    def encode(self, y: Any, *, report: Report | None = None) -> np.ndarray:
        """The encoded target of these rows. Raises UsageError for values that were not in `fit`, naming the row.

        Classes that differ from known ones in case or form alone are read as these, which goes to `report`, or is
        warned about without it.
        """
        if self.kind == "numbers":
            assert self.std is not None
            return ((self.numbers(y) - self.mean) / np.where(self.std > 0, self.std, 1.0)).astype(np.float32)
        values, _ = values_of(y)
        if self.kind == "labels":
            return self._indicator(values)
        values = _flat(values)
        row, distinct = _distinct(values)
        codes = self._codes(distinct, np.bincount(row, minlength=len(distinct)), report)[row]
        if (codes < 0).any():
            first = int(np.argmax(codes < 0))
            raise UsageError(f"row {first} of the target is {distinct[row[first]]!r}, which was not in training; its "
                             f"classes are {', '.join(map(repr, _list(self.classes)[:10]))}")  # fmt: skip
        return codes

    def _codes(self, distinct: list[Any], rows: np.ndarray, report: Report | None) -> np.ndarray:
        """The class of each value, -1 if there is none; `rows`: how many have it."""
        exact = {(isinstance(value, bool), value): k for k, value in enumerate(_list(self.classes))}  # True == 1
        texts = {text_of(value): k for (_, value), k in exact.items()}
        alike, pairs, likely = Alike(list(texts)), [], 0
        codes = np.full(len(distinct), -1, np.int64)
        for place, value in enumerate(distinct):
            text = text_of(value)
            if (isinstance(value, bool), value) in exact:
                codes[place] = exact[isinstance(value, bool), value]
                continue
            known = alike.find(text)  # as "yes" is known, where training had 1 and 0
            codes[place] = -1 if known is None else texts[known]
            if known is not None and alike.folded(text, known):
                pairs.append((text, known))
                likely += int(rows[place])
        if pairs:
            what = f"{likely} of {rows.sum()} rows of the target {'has a class' if likely == 1 else 'have classes'}"
            own = Report() if report is None else report
            own.say("alike", f"{what} written otherwise than in training "
                             f"({pairs[0][0][:40]!r} is read as {pairs[0][1][:40]!r})")  # fmt: skip
            if report is None:
                own.warn(stacklevel=4)
        return codes

    def numbers(self, y: Any) -> np.ndarray:
        """The target of these rows as float64 (N, T), in its own unit. Raises UsageError if columns are missing."""
        found = numbers_of(values_of(y)[0])
        if found.shape[1] != self.outputs:
            raise UsageError(f"the target must have {self.outputs} columns, got {found.shape[1]}")
        return found

    def _indicator(self, values: np.ndarray) -> np.ndarray:
        if values.ndim == 2:
            if values.shape[1] != self.outputs:
                raise UsageError(f"the target must have {self.outputs} labels, got {values.shape[1]} columns")
            return zero_one(values)
        known = {str(value): k for k, value in enumerate(_list(self.classes))}
        encoded = np.zeros((len(values), self.outputs), np.float32)
        for row, labels in enumerate(values):
            for label in labels:
                if label not in known:
                    raise UsageError(
                        f"row {row} of the target has the label {label!r}, which was not in training; remove such rows"
                    )
                encoded[row, known[label]] = 1
        return encoded

    def unscaled(self, encoded: np.ndarray) -> np.ndarray:
        """Standardized numbers (N, T) in the target's original units."""
        return encoded * self.std + self.mean

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """The class with the largest score in each row, (N,); the labels with a score above 1/2 as 0 and 1, (N, K);
        or the numbers in original units, with the shape given to `fit`: (N,) or (N, T)."""
        if self.kind == "numbers":
            return scores[:, 0] if self.flat else scores
        if self.kind == "labels":
            return (scores > 0.5).astype(np.int64)
        assert self.classes is not None
        return self.classes[scores.argmax(axis=1)]

    def weights(self, given: str | Mapping[Any, float], encoded: np.ndarray) -> np.ndarray:
        """float64 (K,): the weight of each class. "balanced": N / (K * its rows); a mapping: 1 for other classes.

        Raises UsageError for a target of another kind, an unknown class, or a weight that is not a positive number.
        """
        if self.kind != "classes":
            raise UsageError(f"class weights need a target of classes, not of {self.kind}")
        if isinstance(given, str):
            if given != "balanced":
                raise UsageError(f"class weights must be 'balanced' or a mapping of classes to weights, got {given!r}")
            return len(encoded) / (self.outputs * np.bincount(encoded, minlength=self.outputs).clip(1))
        known = {value: k for k, value in enumerate(_list(self.classes))}
        texts = {str(value): k for value, k in known.items()}  # a file's keys are strings
        weights = np.ones(self.outputs)
        for value, weight in given.items():
            place = known.get(value, texts.get(str(value)))
            if place is None:
                raise UsageError(f"there is a weight for the class {value!r}, but the target has no such class")
            if not isinstance(weight, int | float | np.number) or not 0 < weight < np.inf:
                raise UsageError(f"the weight of class {value!r} must be a number above 0, got {weight!r}")
            weights[place] = weight
        return weights

    def to_dict(self) -> dict[str, Any]:
        """The target as JSON-ready data; `from_dict` restores it."""
        data: dict[str, Any] = {"kind": self.kind, "outputs": self.outputs, "flat": self.flat}
        if self.classes is not None:
            kind = self.classes.dtype
            data["classes"] = {"dtype": "object" if kind.kind == "O" else kind.str, "values": _list(self.classes)}
        if self.mean is not None and self.std is not None:
            data |= {"mean": self.mean.tolist(), "std": self.std.tolist()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Target":
        """The target that `to_dict` wrote. Raises ReslabError for damaged data."""
        try:
            arrays = {key: np.array(data[key], dtype=np.float64) for key in ("mean", "std") if key in data}
            if "classes" in data:
                arrays["classes"] = np.array(data["classes"]["values"], dtype=dtype_of(data["classes"]["dtype"]))
            if data["kind"] not in get_args(TargetKind) or any(array.ndim != 1 for array in arrays.values()):
                raise ValueError(f"kind {data['kind']!r}, or its values are no list")
            return cls(kind=data["kind"], outputs=data["outputs"], flat=data["flat"], **arrays)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ReslabError(f"it is not a table's target, or it is damaged: {error}") from error


def dtype_of(name: str) -> np.dtype:
    """The dtype that `to_dict` named. Raises ValueError for one that no target has."""
    if not DTYPES.fullmatch(name):
        raise ValueError(f"its classes have the dtype {name!r}")
    return np.dtype(name)


def find_target_kind(values: Any) -> TargetKind:
    """labels: lists, or several columns of 0 and 1; classes: strings, booleans, few whole numbers; else numbers."""
    values, _ = values_of(values)
    if values.ndim == 2:
        return "labels" if values.dtype.kind in "bfiu" and np.isin(values, (0, 1)).all() else "numbers"
    if values.dtype.kind in "bUO":
        return "labels" if any(isinstance(value, tuple) for value in values) else "classes"
    whole = values.dtype.kind in "iu" or bool((values == np.floor(values)).all())
    return "classes" if whole and len(np.unique(values)) <= FEW else "numbers"


def _flat(values: np.ndarray) -> np.ndarray:
    """The one column of classes."""
    if values.ndim == 2 and values.shape[1] != 1:
        raise UsageError(
            f"a target of classes must be one column, got {values.shape[1]}; several columns of 0 and 1 are labels"
        )
    values = values.reshape(-1)
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        row = int(np.argmax(values != np.floor(values)))
        raise UsageError(
            f"Unknown label type: row {row} of the target is {values[row]}, which is a number, not a class"
        )
    return values


def _classes(values: np.ndarray) -> np.ndarray:
    _, distinct = _distinct(values)
    for value in distinct:
        if not isinstance(value, str | bool | int | float):
            raise UsageError(
                f"a class must be a string, a boolean or a whole number, got {type(value).__name__}: {value!r}"
            )
    try:
        return np.array(sorted(distinct), dtype=values.dtype)
    except TypeError as error:
        raise UsageError("the target mixes strings and numbers; convert all of them to strings") from error


def _labels(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    if values.ndim == 2:
        zero_one(values)
        return np.array(names, dtype=object) if names else np.arange(values.shape[1])
    if not all(isinstance(labels, tuple) for labels in values):
        raise UsageError("a target of labels must be one list per row, or several columns of 0 and 1")
    return np.array(sorted({label for labels in values for label in labels}), dtype=object)


def _distinct(values: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Index of each row's value among the distinct values, and these as Python objects."""
    if values.dtype == object:
        row, distinct = rows_of(values)
        return row, [value.item() if isinstance(value, np.generic) else value for value in distinct]
    found, row = np.unique(values, return_inverse=True)
    return row, found.tolist()


def _list(classes: np.ndarray | None) -> list[Any]:
    return [] if classes is None else classes.tolist()
