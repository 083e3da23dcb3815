"""The labels of a list of images: one class for each, or several labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reslab.errors import UsageError, arg
from reslab.images.sources.columns import Columns, decision
from reslab.images.sources.table import Table

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Tags:
    """The labels of each row: class names, or the indices of its labels among `names`, in the order of the file."""

    rows: list[frozenset[str]]
    names: tuple[str, ...]
    several: bool
    notes: tuple[str, ...] = ()

    def tensor(self, rows: Sequence[frozenset[str]]) -> Tensor:
        """int64 (N,), or for several labels (N, K) of 0 and 1."""
        number = {name: k for k, name in enumerate(self.names)}
        if not self.several:
            return torch.tensor([number[next(iter(row))] for row in rows], dtype=torch.int64)
        found = torch.zeros(len(rows), len(self.names), dtype=torch.int64)
        places = [(i, number[name]) for i, row in enumerate(rows) for name in row]
        if places:
            found[tuple(torch.tensor(places).T)] = 1
        return found


def tags_of(table: Table, columns: Columns, separator: str | None) -> Tags:
    """The labels of the table's rows. Raises UsageError for a cell without one, naming its line."""
    if len(columns.labels) > 1:
        return _of_columns(table, columns.labels)
    cells = table.column(columns.labels[0])
    if separator is not None:
        rows = [frozenset(filter(None, (piece.strip() for piece in cell.split(separator)))) for cell in cells]
        names = in_order({name for row in rows for name in row})
        if len(names) < 1:
            raise UsageError(f"{table.path} has no label in its column {columns.labels[0]!r}")
        return Tags(rows=rows, names=names, several=True, notes=tuple(_several_notes(rows, names)))
    if empty := [i for i, cell in enumerate(cells) if not cell]:
        many = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        raise UsageError(f"{table.where(empty[0])}{many} {'have' if many else 'has'} no label; write one, or remove "
                         f"the row{'s' * bool(many)}")  # fmt: skip
    names = in_order(set(cells))
    return Tags(rows=[frozenset((cell,)) for cell in cells], names=names, several=False,
                notes=tuple(_class_notes(names)))  # fmt: skip


def in_order(names: set[str]) -> tuple[str, ...]:
    """Sorted: by number if all are whole numbers as a program writes them, otherwise by code point."""
    if all(name.isascii() and name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names
           if len(name) < 20) and all(len(name) < 20 for name in names):  # fmt: skip
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))


def _of_columns(table: Table, names: tuple[str, ...]) -> Tags:
    """Of several columns of 0 and 1; -1 is 0 where there is no 0."""
    columns = {name: table.column(name) for name in names}
    found = {name: [decision(cell) for cell in cells] for name, cells in columns.items()}
    values = {value for each in found.values() for value in each}
    for name, each in found.items():
        for i, value in enumerate(each):
            if value is None or (value == -1 and 0 in values):
                beside = ", beside cells with 0" if value == -1 else ""
                raise UsageError(f"{table.where(i)} has {columns[name][i]!r} in the label column {name!r}{beside}: "
                                 "several label columns hold 1 (the image has the label) or 0; for one column of "
                                 "names, set ", arg("label_columns", name))  # fmt: skip
    rows = [frozenset(name for name in names if found[name][i] == 1) for i in range(len(table.rows))]
    notes = ["-1 counts as 0 in the label columns"] * (-1 in values)
    return Tags(rows=rows, names=names, several=True, notes=(*notes, *_several_notes(rows, names)))


def _several_notes(rows: Sequence[frozenset[str]], names: Sequence[str]) -> Iterator[str]:
    if all(len(row) == 1 for row in rows) and len(names) > 1:
        yield ("every image has exactly one label; if labels exclude each other, one column of class names trains one "
               "class per image")  # fmt: skip
    elif none := sum(not row for row in rows):
        yield f"{none:,} image{'s have' if none > 1 else ' has'} no label"


def _class_notes(names: Sequence[str]) -> Iterator[str]:
    """What to say of class names that may not be meant as they are."""
    numbers: dict[int, list[str]] = {}
    for name in names:
        if name.isascii() and name.isdecimal() and len(name) < 20:
            numbers.setdefault(int(name), []).append(name)
    for many in numbers.values():
        if len(many) > 1:
            yield f"{' and '.join(map(repr, many))} are {len(many)} classes, though they are the same number"
    for mark in ";|,":
        joined = [name for name in names if mark in name]
        if joined and {piece.strip() for name in joined for piece in name.split(mark)} & {*names}:
            yield (f"{joined[0]!r} is one class; if it is several labels of an image, set the label separator "
                   f"{mark!r}")  # fmt: skip
