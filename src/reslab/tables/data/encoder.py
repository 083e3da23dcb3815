"""An encoder, fitted on a training frame, turns frames with the same columns into arrays, or into tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from reslab.errors import ReslabError, UsageError
from reslab.tables.data.bags import Bags
from reslab.tables.data.categories import ListCode, Unseen, Vocabulary
from reslab.tables.data.cells import DAY
from reslab.tables.data.convert import missing, read_as
from reslab.tables.data.frame import Frame, Report
from reslab.tables.data.gaps import without_words, words_of
from reslab.tables.data.kinds import Kind, find_kinds
from reslab.tables.data.lists import separator_of
from reslab.tables.data.numbers import NumberCode
from reslab.tables.data.rows import Rows, pooled
from reslab.tables.data.spelling import Spelling
from reslab.tables.data.words import TextCode
from reslab.tables.data.written import MARKS

if TYPE_CHECKING:
    from reslab.tables.data.table import Table

Code = NumberCode | Vocabulary | ListCode | TextCode
CODES = {"number": NumberCode, "category": Vocabulary, "categories": ListCode, "text": TextCode}
ORDER = (NumberCode, Vocabulary, (ListCode, TextCode))  # order of a table's columns: numbers, categories, bags
FORMAT = 1


@dataclass(frozen=True, eq=False)
class Coded:
    """One column of the table, from the frame's column `owner`, or from a `part` of it (a date has several)."""

    owner: str
    part: str
    code: Code

    @property
    def name(self) -> str:
        return f"{self.owner}: {self.part}" if self.part else self.owner


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """How each column becomes numbers, indices or bags. `kinds`: of every training column, including skipped ones."""

    kinds: dict[str, Kind]
    columns: tuple[Coded, ...]  # numbers, categories, bags
    spelling: Spelling = field(default_factory=Spelling)  # of the training table

    @classmethod
    def fit(
        cls, frame: Frame, kinds: Mapping[str, str] | None = None, *, rare: int = 2, buckets: int = 2**15,
        ngrams: int = 2, report: Report | None = None, missing: Sequence[str] | None = None,
        decimal: str | None = None,
    ) -> "TableEncoder":  # fmt: skip
        """Fit on a training frame; `kinds` overrides the result of `find_kinds`.

        missing: words that mean a missing value; None: the usual ones (`gaps.USUAL`). decimal: the mark of numbers like
        1.001, which can be read in two ways, "." or ","; None: that of the others.

        rare: values and n-grams in fewer rows map to unknown. With the default of 2, values seen in one row map to
        unknown, which also trains its vector. buckets, ngrams: for texts (TextCode).
        Raises UsageError if there is no usable column, and the errors of find_kinds.
        """
        for name, value in (("rare", rare), ("buckets", buckets), ("ngrams", ngrams)):
            if type(value) is not int or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
        if decimal not in (None, *MARKS):
            raise UsageError(f"decimal must be '.' or ',', got {decimal!r}")
        words = words_of(missing)
        gaps = without_words(frame.columns, words, report)
        frame = frame.with_columns(gaps)
        hint = decimal or frame.decimal
        found = find_kinds(frame, kinds, report=report, gaps=gaps, decimal=hint)
        spelling = Spelling.of(frame, found, words, hint)
        coded: list[Coded] = []
        for owner, kind in found.items():
            column = read_as(kind, owner, frame[owner], report, replace(spelling, decimal=hint))
            if kind == "text":
                coded.append(Coded(owner, "", TextCode.fit(column, buckets=buckets, ngrams=ngrams, rare=rare)))
            elif kind == "categories":
                mark = separator_of([value for value in set(column) if isinstance(value, str)])
                coded.append(Coded(owner, "", ListCode.fit(column, rare=rare, mark=mark)))
            elif kind == "category":
                coded.append(Coded(owner, "", Vocabulary.fit(column, rare=rare)))
            elif kind == "number":
                coded.append(Coded(owner, "", NumberCode.fit(column)))
                _report_infinite(report, owner, column)
            elif kind == "date":
                coded += _coded_date(owner, column, rare)
        if not coded:
            names = ", ".join(map(repr, found))
            raise UsageError(f"every column is constant, empty or skipped ({names}), so there is nothing to learn from")
        for one in coded:
            if report is not None and isinstance(one.code, Vocabulary | ListCode) and not one.code.values:
                report.add("rare", one.owner, f"no value occurs in {rare} rows or more; all are treated as unknown")
        ordered = [one for types in ORDER for one in coded if isinstance(one.code, types)]
        return cls(found, tuple(ordered), spelling)

    @property
    def owners(self) -> tuple[str, ...]:
        """The frame's column that each of the table's columns is made of."""
        return tuple(one.owner for one in self.columns)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that a frame needs, in the order of the training frame."""
        return tuple(name for name, kind in self.kinds.items() if kind != "skip")

    @property
    def sizes(self) -> dict[str, Any]:
        """numbers, categories, bags, vectors and columns, as a TableSpec takes them."""
        codes = [one.code for one in self.columns]
        return {
            "numbers": sum(isinstance(code, NumberCode) for code in codes),
            "categories": tuple(code.size for code in codes if isinstance(code, Vocabulary)),
            "bags": tuple(code.size for code in codes if isinstance(code, ListCode | TextCode)),
            "vectors": (),
            "columns": tuple(one.name for one in self.columns),
        }

    def transform(self, frame: Frame, *, report: Report | None = None) -> "Table":
        """`rows` as a Table of tensors, on the CPU."""
        from reslab.tables.data.table import Table

        return Table.of(self.rows(frame, report=report))

    def rows(self, frame: Frame, *, report: Report | None = None) -> Rows:
        """The frame as arrays. Columns may have any order.

        Raises UsageError naming all missing columns, or the row and value of a wrong type. Reported: columns that were
        not in training (ignored), values that were not (treated as unknown), and infinite values.
        """
        report = Report() if report is None else report
        frame = self.cleaned(frame, report)
        absent = [name for name in self.needed if name not in frame.columns]
        if absent:
            raise UsageError(f"missing column{'s' * (len(absent) > 1)}: {', '.join(map(repr, absent))}")
        for name in frame.names:
            if name not in self.kinds:
                report.add("extra", name, "not in the training table; ignored")
        read = {name: read_as(self.kinds[name], name, frame[name], report, self.spelling) for name in self.needed}
        n, sizes = len(frame), self.sizes
        numbers = np.empty((n, sizes["numbers"], 2), np.float32)
        codes = np.empty((n, len(sizes["categories"])), np.int32)
        bags: list[tuple[np.ndarray, Bags]] = []
        for k, one in enumerate(self.columns):
            column = _part_of_date(read[one.owner], one.part) if one.part else read[one.owner]
            unseen = Unseen()
            if isinstance(one.code, NumberCode):
                numbers[:, k] = one.code.encode(column)
                _report_infinite(report, one.owner, column)
            elif isinstance(one.code, Vocabulary):
                codes[:, k - sizes["numbers"]], unseen = one.code.encode(column)
            elif isinstance(one.code, ListCode):
                row, distinct, unseen = one.code.encode(column)
                bags.append((row, distinct))
            else:
                bags.append(one.code.encode(column))
            if unseen.rows and not one.part:
                what = f"{unseen.rows} of {n} rows {'has a value' if unseen.rows == 1 else 'have values'}"
                report.add("unseen", one.owner, f"{what} never or rarely seen in training "
                           f"(e.g. {str(unseen.example)[:40]!r}); treated as unknown")  # fmt: skip
            if unseen.pair:
                what = f"{unseen.likely} of {n} rows {'has a value' if unseen.likely == 1 else 'have values'}"
                report.add("alike", one.owner, f"{what} written otherwise than in training "
                           f"({unseen.pair[0][:40]!r} is read as {unseen.pair[1][:40]!r})")  # fmt: skip
        return Rows(rows=n, numbers=numbers if sizes["numbers"] else None,
                    codes=codes if sizes["categories"] else None, **pooled(bags), sizes=sizes,
                    owners=self.owners)  # fmt: skip

    def cleaned(self, frame: Frame, report: Report | None = None) -> Frame:
        """The needed columns, and names that were not in training, with the words for missing values removed."""
        names = {name: name if name in frame.columns or name.strip() not in frame.columns else name.strip()
                 for name in self.needed}  # fmt: skip
        columns = {name: frame[there] for name, there in names.items() if there in frame.columns}
        columns |= without_words(columns, self.spelling.missing, report)
        used = {*names.values(), *self.kinds}
        others = {name: column for name, column in frame.columns.items() if name not in used}
        return replace(frame, columns=columns | others)

    def to_dict(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-ready data, and arrays for safetensors; `from_dict` restores the encoder."""
        names = {code: name for name, code in CODES.items()}
        columns: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for k, one in enumerate(self.columns):
            state = {f.name: getattr(one.code, f.name) for f in fields(one.code)}
            arrays |= {f"{k}.{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
            plain = {name: list(value) if isinstance(value, tuple) else value
                     for name, value in state.items() if not isinstance(value, np.ndarray)}  # fmt: skip
            columns.append({"owner": one.owner, "part": one.part, "code": names[type(one.code)], **plain})
        about: dict[str, Any] = {"format": FORMAT, "kinds": dict(self.kinds), "columns": columns}
        return about | self.spelling.to_dict(), arrays

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "TableEncoder":
        """The encoder that `to_dict` wrote. Raises ReslabError for damaged data."""
        try:
            if data["format"] != FORMAT:
                raise ReslabError(f"this table encoder has format {data['format']!r}: this reslab reads {FORMAT}")
            columns = []
            for k, one in enumerate(data["columns"]):
                state: dict[str, Any] = dict(one)
                if "values" in state:
                    state["values"] = tuple(state["values"])
                owner, part, code = state.pop("owner"), state.pop("part"), CODES[state.pop("code")]
                own = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{k}.")}
                made = code(**state, **own)
                if owner not in data["kinds"] or not all(_is_of(getattr(made, f.name), f.type) for f in fields(code)):
                    raise TypeError(f"column {k} is incomplete")
                columns.append(Coded(owner, part, made))
            return cls(dict(data["kinds"]), tuple(columns), Spelling.from_dict(data.get("spelling", {})))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ReslabError(f"this is no table encoder, or it is damaged: {error}") from error


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a field's value has its declared type; integers count as floats."""
    if kind == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    return type(value) is kind or (kind is float and type(value) is int)


def _coded_date(owner: str, column: np.ndarray, rare: int) -> list[Coded]:
    """A date as days since 1970, and those of month, weekday and hour that vary, as categories."""
    coded = [Coded(owner, "day", NumberCode.fit(_part_of_date(column, "day")))]
    for part in ("month", "weekday", "hour"):
        values = _part_of_date(column, part)
        if len(np.unique(values[~missing(values)])) > 1:
            coded.append(Coded(owner, part, Vocabulary.fit(values, rare=rare)))
    return coded


def _part_of_date(column: np.ndarray, part: str) -> np.ndarray:
    """float64 (N,), NaN if missing: days since 1970, month 1-12, weekday 0-6 (from Monday), hour 0-23."""
    if part == "day":
        return (column - np.datetime64(0, "us")) / DAY
    unit, shift, cycle = {"month": ("M", 0, 12), "weekday": ("D", 3, 7), "hour": ("h", 0, 24)}[
        part
    ]  # 1970 began on a Thursday
    count = column.astype(f"datetime64[{unit}]").astype(np.int64)
    return np.where(np.isnat(column), np.nan, (count + shift) % cycle + (part == "month"))


def _report_infinite(report: Report | None, owner: str, column: np.ndarray) -> None:
    count = int(np.isinf(column).sum())
    if count and report is not None:
        report.add(
            "infinite",
            owner,
            f"{count} of {len(column)} values are infinite; replaced by the largest or smallest number",
        )
