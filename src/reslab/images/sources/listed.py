"""Images that a CSV, TSV or parquet file lists with their labels."""

import os
import posixpath
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reslab.errors import UsageError, arg
from reslab.images.data.images import ImageData
from reslab.images.sources import columns as found_columns
from reslab.images.sources.assemble import Listing, Loading, assemble, counted, listed
from reslab.images.sources.columns import Asked, Columns, choose
from reslab.images.sources.encoded import Files
from reslab.images.sources.list_table import read_list
from reslab.images.sources.scan import EXTENSIONS
from reslab.images.sources.table import Table
from reslab.images.sources.tags import Tags, tags_of
from reslab.images.sources.texts import Texts

PARTS = ("train", "validation", "test")
LINK = ("http://", "https://", "s3://", "gs://")


@dataclass(frozen=True, kw_only=True)
class Row:
    """An image of the list."""

    where: str  # `photos.csv line 7`
    name: str  # its path with /, relative to the folder of the images if it lies in it
    labels: frozenset[str]
    part: str | None


def load_list(path: Path, *, root: Path | None, asked: Asked, loading: Loading) -> ImageData:
    """The images that `path` lists: a column of files, one of labels (or several of 0 and 1), maybe one of parts.

    A folder of parquet files is one list, whose parts are the files' names, unless a column of parts is asked for.
    Paths are relative to `root`, by default the list's own folder; absolute ones, and those with .. and ~, are followed
    and counted where they leave it. Backslashes separate folders if no file has them in its name. Without parts, or
    with training rows alone, a fixed fifth is held out for testing. Files that do not exist are left out and counted,
    unless none exists or the list has them in its validation or test part. Raises UsageError for any other fault,
    naming the row.
    """
    loading.check()
    if root is not None and not root.expanduser().is_dir():
        raise UsageError(f"no folder {root.expanduser()}, in which the images of {path} should lie; set ", arg("root"))
    read = read_list(path)
    table, folder = read.table, read.folder if root is None else root.expanduser()
    columns = choose(table, replace(asked, part=asked.part or read.part))
    tags = tags_of(table, columns, asked.separator)
    rows, notes = once(rows_of(table, columns, tags, folder), tags, union=asked.separator is not None)
    rows, more = existing(rows, folder, table)
    parts, split = by_part(rows, table)
    names = names_of(parts, tags)
    listings = {part: _listing(folder, some, replace(tags, names=names)) for part, some in parts.items()}
    about = f"Images listed in {path.name} (columns {listed([columns.file, *columns.labels[:3]])}"
    about += f" and {len(columns.labels) - 3} more labels)" * (len(columns.labels) > 3) or ")"
    if split:
        listings["train"], listings["test"] = listings["train"].split(names)
        about += f", fixed 80/20 split within each {'label' if tags.several else 'class'}"
    else:
        about += f", with its {listed([part for part in PARTS if part in parts])} rows"
    unused = [f"columns that are not used: {', '.join(columns.unused[:5])}" + ", ..." * (len(columns.unused) > 5)]
    return assemble(name=path.name if path.is_dir() else path.stem, train=listings["train"], test=listings["test"],
                    validation=listings.get("validation"), classes=names, loading=loading, about=about, split=split,
                    ignored=read.ignored,
                    notes=[*table.notes, *tags.notes, *notes, *more, *unused * bool(columns.unused)])  # fmt: skip


def rows_of(table: Table, columns: Columns, tags: Tags, folder: Path) -> list[Row]:
    """The rows with the paths and parts that they mean. Raises UsageError for an empty path or an unknown part."""
    cells = table.column(columns.file)
    parts = table.column(columns.part) if columns.part else [""] * len(cells)
    found = []
    for i, (cell, word) in enumerate(zip(cells, parts, strict=True)):
        if not cell:
            raise UsageError(f"{table.where(i)} names no file in the column {columns.file!r}; write one, or remove "
                             "the row")  # fmt: skip
        part = found_columns.part_of(word) if columns.part else None
        if columns.part and part is None:
            raise UsageError(f"{table.where(i)} has {word!r} in the column {columns.part!r}, which is none of train, "
                             "val and test")  # fmt: skip
        found.append(Row(where=table.where(i), name=path_of(cell, folder), labels=tags.rows[i], part=part))
    return found


def path_of(cell: str, folder: Path) -> str:
    """The path that a cell means, with /; relative to the folder if it lies in it."""
    if "\\" in cell and os.sep == "/" and not exists(folder / cell):
        cell = cell.replace("\\", "/")
    if cell.startswith("~/") and not exists(folder / cell):
        cell = os.path.expanduser(cell)
    plain = posixpath.normpath(cell.replace(os.sep, "/"))
    if not plain.startswith(("/", "../")):
        return plain
    here = posixpath.normpath(folder.absolute().as_posix())
    inside = posixpath.relpath(posixpath.join(here, plain), here)
    return plain if inside.startswith("../") else inside


def exists(path: Path) -> bool:
    """Whether there is a regular file; False also for what cannot be a path."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def once(rows: Sequence[Row], tags: Tags, *, union: bool) -> tuple[list[Row], list[str]]:
    """Each file once. `union`: rows of one file add up their labels. Raises UsageError where two rows disagree."""
    known: dict[str, Row] = {}
    repeated = joined = 0
    for row in rows:
        first = known.setdefault(row.name, row)
        if first is row:
            continue
        if first.part != row.part:
            raise UsageError(f"{row.where} puts {row.name} into the {row.part} part, and {first.where} into the "
                             f"{first.part} part; remove one of these rows")  # fmt: skip
        if first.labels == row.labels:
            repeated += 1
        elif union:
            known[row.name], joined = replace(first, labels=first.labels | row.labels), joined + 1
        elif tags.several:
            raise UsageError(f"{row.where} and {first.where} give {row.name} different labels; remove one of them")
        else:
            label, other = (next(iter(one.labels)) for one in (row, first))
            raise UsageError(f"{row.where} labels {row.name} {label!r}, and {first.where} {other!r}; remove one of "
                             "these rows or, if an image may have several labels, set ",
                             arg("label_separator", ";"))  # fmt: skip
    notes = [f"{counted(repeated, 'repeated row')} left out"] * bool(repeated)
    notes += [f"the labels of {counted(joined, 'further row')} added to those of the same files"] * bool(joined)
    return list(known.values()), notes


def existing(rows: list[Row], folder: Path, table: Table) -> tuple[list[Row], list[str]]:
    """The rows whose files exist, and what to say of the others and of files outside the folder."""
    found = [row for row in rows if exists(folder / row.name)]
    lost = [row for row in rows if not exists(folder / row.name)] if len(found) < len(rows) else []
    if not found:
        none = f"none of the {len(rows):,} files that {table.path} lists is in {folder} (first: {rows[0].name})"
        if why := _why(rows[0].name, folder):
            raise UsageError(none + why)
        raise UsageError(f"{none}; set ", arg("root"), " to the folder of the images")
    if held := [row for row in lost if row.part in ("validation", "test")]:
        more = f", nor do {len(held) - 1:,} other files of these parts" if len(held) > 1 else ""
        raise UsageError(f"{held[0].where}: {held[0].name} of the {held[0].part} part does not exist in {folder}"
                         f"{more}; restore the files, or remove their rows")  # fmt: skip
    notes = []
    if lost:
        many = "files do not exist and are" if len(lost) > 1 else "file does not exist and is"
        notes.append(f"{len(lost):,} listed {many} left out, such as {lost[0].name}")
    if outside := [row for row in found if row.name.startswith(("/", "../"))]:
        lie = "lies" if len(outside) == 1 else "lie"
        notes.append(f"{counted(len(outside), 'image')} {lie} outside {folder.name or folder}, such as "
                     f"{outside[0].name}")  # fmt: skip
    return found, notes


def _why(name: str, folder: Path) -> str:
    """What may be wrong with a path that leads to no file."""
    if name.lower().replace(":/", "://").startswith(LINK):
        return ": a list holds local files, so download the images first"
    if re.match("[A-Za-z]:/", name):
        return ": it is a path of another machine, so write paths relative to the folder of the images"
    with_ending = next((name + end for end in EXTENSIONS if exists(folder / (name + end))), None)
    return f", but {with_ending} is, so write the names with their endings" if with_ending else ""


def by_part(rows: list[Row], table: Table) -> tuple[dict[str, list[Row]], bool]:
    """The rows of each part, and whether the test part is still to be split off. Without a test part, val is one."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.part or "train", []).append(row)
    if "train" not in parts:
        raise UsageError(f"{table.path} has no training rows that can be used; its parts are "
                         f"{listed(sorted(parts))}")  # fmt: skip
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    return parts, "test" not in parts


def names_of(parts: dict[str, list[Row]], tags: Tags) -> tuple[str, ...]:
    """The labels in use. Raises UsageError for a class that the training rows lack: no net could learn it."""
    if tags.several:
        return tags.names
    known = {name for row in parts["train"] for name in row.labels}
    for part, rows in parts.items():
        if new := next((row for row in rows if not row.labels <= known), None):
            raise UsageError(f"{new.where} has the class {next(iter(new.labels))!r} in the {part} part, but no "
                             "training row has it; add training images of it, or remove these rows")  # fmt: skip
    return tuple(name for name in tags.names if name in known)


def _listing(folder: Path, rows: list[Row], tags: Tags) -> Listing:
    labels = tags.tensor([row.labels for row in rows])
    sources = Files(folder, Texts.of(row.name for row in rows))
    return Listing(sources=sources, rows=torch.arange(len(rows)), labels=labels)
