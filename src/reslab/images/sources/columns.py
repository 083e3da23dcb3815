"""Which columns of a list of images hold the files, the labels and the parts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.errors import UsageError, arg, nearest
from reslab.images.sources.table import Table
from reslab.train.parts import TEST, TRAIN, VALIDATION, starts_as

FILE = ("file", "filename", "filepath", "path", "image", "imagepath", "imagefile", "imagename", "img", "imgpath",
        "imgfile", "imgname", "photo", "imageid", "id")  # fmt: skip
LABEL = ("label", "labels", "class", "classes", "classname", "labelname", "category", "categories", "target", "targets",
         "tag", "tags", "finelabel", "y")  # fmt: skip
PART = ("part", "split", "subset", "set", "partition")
YES = {"1": 1, "1.0": 1, "true": 1, "yes": 1}
NO = {"0": 0, "0.0": 0, "false": 0, "no": 0}
MINUS = ("-1", "-1.0")  # "no", in a list that holds no 0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The columns that a caller names, and what separates several labels in one cell; None: found by name."""

    file: str | None = None
    labels: tuple[str, ...] = ()
    part: str | None = None
    separator: str | None = None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns that are used."""

    file: str
    labels: tuple[str, ...]  # one of class names, or several of 0 and 1
    part: str | None
    unused: tuple[str, ...]


def choose(table: Table, asked: Asked) -> Columns:
    """The columns by what was asked for, otherwise by name. Raises UsageError that names the columns there are."""
    file = _named(table, asked.file, "file_column") or _known(table, FILE) or _only_image_like(table)
    if file is None:
        raise UsageError(f"{table.path} has no column of files (known names: file, path, image, ...); its columns are "
                         f"{listed_columns(table)}; set ", arg("file_column", table.columns[0]))  # fmt: skip
    part = _named(table, asked.part, "part_column") or _part_column(table)
    labels = tuple(name for name in (_named(table, one, "label_columns") for one in asked.labels) if name)
    if twice := [name for name in (file, part) if name in labels]:
        raise UsageError(f"the column {twice[0]!r} of {table.path} cannot hold labels and files or parts; name "
                         "another one with ", arg("label_columns"))  # fmt: skip
    if not labels:
        labels = _labels(table, [name for name in table.columns if name and name not in (file, part)])
    if asked.separator is not None and (not asked.separator or len(labels) > 1):
        raise UsageError(f"{arg('label_separator')} must be what separates the labels in the cells of one column, "
                         f"got {asked.separator!r} for {len(labels)} columns")  # fmt: skip
    used = (file, part, *labels)
    return Columns(file=file, labels=labels, part=part,
                   unused=tuple(name for name in table.columns if name and name not in used))  # fmt: skip


def part_of(value: str) -> str | None:
    """The part that a cell names: train, validation or test; None for another word."""
    words = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    return next((part for part, known in words.items() if starts_as(value, known)), None)


def decision(value: str) -> int | None:
    """1 or 0 of a cell that says whether an image has a label, -1 of -1; None for another value."""
    low = value.casefold()
    return YES.get(low, NO.get(low, -1 if low in MINUS else None))


def listed_columns(table: Table) -> str:
    shown = ", ".join(table.columns[:8])
    return f"{shown}, ..." if len(table.columns) > 8 else shown


def _plain(name: str) -> str:
    return re.sub(r"[\s_.\-]+", "", name).casefold()


def _known(table: Table, names: Sequence[str]) -> str | None:
    """The column with the first of the known names."""
    plain = {_plain(name): name for name in reversed(table.columns)}
    return next((plain[name] for name in names if name in plain), None)


def _named(table: Table, name: str | None, argument: str) -> str | None:
    if name is None or name in table.columns:
        return name
    raise UsageError(f"{table.path} has no column {name!r}{nearest(name, table.columns)} (its columns are "
                     f"{listed_columns(table)}); name another one with ", arg(argument))  # fmt: skip


def _only_image_like(table: Table) -> str | None:
    """The only column whose first cell is named as an image, as in a file without names of columns."""
    from reslab.images.sources.scan import is_image

    found = [name for name, cell in zip(table.columns, table.rows[0], strict=False) if is_image(cell)]
    return found[0] if len(found) == 1 else None


def _part_column(table: Table) -> str | None:
    """The column of parts: one with a known name in which at least one cell names a part."""
    name = _known(table, PART)
    return name if name and any(part_of(cell) for cell in table.column(name)) else None


def _labels(table: Table, others: list[str]) -> tuple[str, ...]:
    """The label column by its name; or the only other column; or several of 0 and 1."""
    if name := _known(table, [one for one in LABEL if one in set(map(_plain, others))]):
        return (name,)
    if len(others) == 1:
        return (others[0],)
    if others and all(decision(cell) is not None for name in others for cell in table.column(name)):
        return tuple(others)
    if not others:
        raise UsageError(f"{table.path} has no column of labels; its columns are {listed_columns(table)}; give a file "
                         "with columns such as file,label")  # fmt: skip
    raise UsageError(f"{table.path} has no column named label or class, and several that could hold the labels "
                     f"({', '.join(others[:8])}); choose with ", arg("label_columns", others[0]))  # fmt: skip
