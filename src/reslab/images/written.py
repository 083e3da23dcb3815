"""Predictions as a file: .csv, .parquet, .json or .jsonl, written as they come, so that their number is not bounded."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from reslab.errors import UsageError, arg
from reslab.extras import need
from reslab.nets.predictions import Prediction
from reslab.stored.files import named

KINDS = (".csv", ".parquet", ".json", ".jsonl")
GROUP = 10_000  # rows of a parquet file that are written together
START = ("file", "class", "probability")


class Rows(Protocol):
    """An open file of predictions."""

    def add(self, found: Sequence[Prediction]) -> None:
        """Write these."""

    def end(self, about: Mapping[str, Any]) -> None:
        """Write what is known at the end: how the predictions were made, broken files, notes."""

    def close(self) -> None:
        """Let go of the file, which stays open, also after an error."""


def record(one: Prediction, top: int | None) -> dict[str, Any]:
    """One prediction for JSON, with the `top` classes or, if None, the probability of every class."""
    more: Any = {"probabilities": one.probabilities}
    if top is not None:
        more = {"top": [{"class": name, "probability": p} for name, p in one.top(top)]}
    labels = {"labels": list(one.labels)} if one.several else {}
    return {"file": one.file, "class": one.class_name, "probability": one.probability, **labels, **more}


def columns(classes: Sequence[str], *, top: int | None, several: bool) -> list[str]:
    """The names of a table's columns: file, class, probability; p(CLASS) of each class, or class_2, probability_2, ...

    Of several labels an image, class is those of it joined by |; then the columns begin with class_1.
    """
    if top is None:
        return [*START, *(f"p({name})" for name in classes)]
    first = 1 if several else 2
    return [*START, *(f"{what}_{k}" for k in range(first, min(top, len(classes)) + 1)
                      for what in ("class", "probability"))]  # fmt: skip


def row(one: Prediction, *, top: int | None) -> list[Any]:
    """The cells of `columns`."""
    start: list[Any] = [one.file, "|".join(one.labels), one.probability]
    if top is None:
        return start + list(one.values.tolist())
    return start + [cell for pair in one.top(top)[0 if one.several else 1 :] for cell in pair]


class Csv:
    def __init__(self, file: BinaryIO, names: Sequence[str], top: int | None) -> None:
        # A file's name may hold bytes that are not text: they are written as \udcff.
        self.text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        self.writer, self.top = csv.writer(self.text), top
        self.writer.writerow(names)

    def add(self, found: Sequence[Prediction]) -> None:
        self.writer.writerows(row(one, top=self.top) for one in found)

    def end(self, about: Mapping[str, Any]) -> None:
        self.text.flush()

    def close(self) -> None:
        with suppress(OSError, ValueError):  # it writes what is left
            self.text.detach()


class JsonLines:
    def __init__(self, file: BinaryIO, top: int | None) -> None:
        self.file, self.top = file, top

    def add(self, found: Sequence[Prediction]) -> None:
        for one in found:
            self.file.write(coded(record(one, self.top)) + b"\n")

    def end(self, about: Mapping[str, Any]) -> None:
        """It has no place for more than the rows."""

    def close(self) -> None:
        """It holds nothing back."""


class Json:
    def __init__(self, file: BinaryIO, top: int | None) -> None:
        self.file, self.top, self.between = file, top, b'{\n"predictions": [\n'

    def add(self, found: Sequence[Prediction]) -> None:
        for one in found:
            self.file.write(self.between + coded(record(one, self.top)))
            self.between = b",\n"

    def end(self, about: Mapping[str, Any]) -> None:
        self.add_nothing()
        self.file.write(b"\n]" + b"".join(b",\n" + coded(key) + b": " + coded(value) for key, value in about.items()))
        self.file.write(b"\n}\n")

    def close(self) -> None:
        """It holds nothing back."""

    def add_nothing(self) -> None:
        if self.between != b",\n":
            self.file.write(self.between)


class Parquet:
    def __init__(self, file: BinaryIO, names: Sequence[str], top: int | None) -> None:
        self.pa, pq = (need(name, extra="data", why="writing parquet") for name in ("pyarrow", "pyarrow.parquet"))
        words = [name.startswith("class") or name == "file" for name in names]
        kinds = [self.pa.string() if word else self.pa.float64() for word in words]
        self.schema = self.pa.schema(list(zip(map(printable, names), kinds, strict=True)))
        self.writer, self.waiting, self.top = pq.ParquetWriter(file, self.schema), list[list[Any]](), top

    def add(self, found: Sequence[Prediction]) -> None:
        self.waiting += [[printable(cell) for cell in row(one, top=self.top)] for one in found]
        if len(self.waiting) >= GROUP:
            self.write()

    def write(self) -> None:
        if self.waiting:
            cells = zip(zip(*self.waiting, strict=True), self.schema.types, strict=True)
            arrays = [self.pa.array(list(column), kind) for column, kind in cells]
            self.writer.write_table(self.pa.Table.from_arrays(arrays, schema=self.schema))
        self.waiting = []

    def end(self, about: Mapping[str, Any]) -> None:
        self.write()
        self.writer.add_key_value_metadata({"reslab": json.dumps(about)})
        self.writer.close()

    def close(self) -> None:
        with suppress(Exception):  # closed, or cut off
            self.writer.close()


def printable(value: Any) -> Any:
    """Text without half characters, which parquet cannot hold: they are written as \\udcff; numbers as they are."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def coded(value: Any) -> bytes:
    """The value as JSON on one line; the bytes of a name that are not text are \\udcff, which Python reads back."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


@contextmanager
def rows_in(file: BinaryIO, kind: str, *, classes: Sequence[str], top: int | None, several: bool) -> Iterator[Rows]:
    """An open file of the kind ".csv", ".parquet", ".json" or ".jsonl"."""
    names = columns(classes, top=top, several=several)
    makers: dict[str, Any] = {
        ".csv": lambda: Csv(file, names, top), ".parquet": lambda: Parquet(file, names, top),
        ".json": lambda: Json(file, top), ".jsonl": lambda: JsonLines(file, top),
    }  # fmt: skip
    rows = makers[kind]()
    try:
        yield rows
    finally:
        rows.close()


def check_target(out: Path) -> bool:
    """Whether an older file of predictions is replaced. Raises UsageError for another kind, or a file of another use.

    An empty file holds nothing that could be lost: it counts as none.
    """
    if out.suffix.lower() not in KINDS:
        raise UsageError(f"predictions are written as {', '.join(KINDS[:-1])} or {KINDS[-1]}, got {named(out.name)!r}")
    if out.suffix.lower() == ".parquet":
        need("pyarrow.parquet", extra="data", why="writing parquet")
    if out.is_dir():
        raise UsageError(f"{named(out)} is a folder; name a file with ", arg("out"))
    if not out.is_file() or not out.stat().st_size:
        return False
    if not is_ours(out):
        raise UsageError(f"{named(out)} exists and does not look like predictions; choose another file with ",
                         arg("out"))  # fmt: skip
    return True


def is_ours(out: Path) -> bool:
    """Whether a file begins as those that are written here."""
    if out.suffix.lower() == ".parquet":
        parquet = need("pyarrow.parquet", extra="data", why="writing parquet")
        try:
            return tuple(parquet.read_schema(out).names[:3]) == START
        except (ValueError, OSError):  # ArrowInvalid is a ValueError
            return False
    with open(out, "rb") as file:
        start = file.read(100)
    begins: Iterable[bytes] = {".csv": (b"file,class,probability",), ".json": (b'{\n"predictions": [',)}.get(
        out.suffix.lower(), (b'{"file": ',)
    )
    return any(start.startswith(one) for one in begins)
