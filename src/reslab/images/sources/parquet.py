"""Images in parquet files, as the Hugging Face Hub stores them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line
from reslab.images.data.images import ImageData
from reslab.images.sources import labels
from reslab.images.sources.assemble import Listing, Loading, assemble
from reslab.images.sources.cells import cells_of, read_column
from reslab.images.sources.encoded import Rows
from reslab.images.sources.labels import Labels
from reslab.images.sources.parquet_files import files_of, image_columns, pyarrow, starts_with

IMAGE_NAMES = ("image", "img")
LONGEST = 1000  # characters of a class name
POINTER = b"version https://git-lfs"
ROW_BYTES = 4  # a file of fewer bytes per row holds no images, but one that claims millions of rows


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The image column, the label column, and the class names if the schema has them."""

    image: str
    label: str
    names: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Known:
    """Of a training part: its classes, whether a file names their numbers, and its first file with its columns."""

    classes: tuple[str, ...]
    numbered: bool
    first: tuple[Path, Columns]


def load_parquet(path: Path, *, loading: Loading, cache: Callable[[], Path]) -> ImageData:
    """A parquet file (split 80/20), or a folder of them: train*.parquet, test*.parquet, val*.parquet, ...

    The folder may hold them directly or in one folder, such as data/ in a clone of a data set of the Hub. Each file's
    labels mean what its own schema says. Files larger than `memory` are copied once, uncompressed, to the folder that
    `cache()` gives, which allows random access to rows. Raises UsageError if the columns or the labels are not those of
    an image data set.
    """
    loading.check()
    files = files_of(path)
    train, known = _open(files.train, None, loading=loading, cache=cache)
    classes = known.classes
    about = f"Images of {path.name}"
    validation = _open(files.validation, known, loading=loading, cache=cache)[0] if files.validation else None
    if files.test:
        test, _ = _open(files.test, known, loading=loading, cache=cache)
        about += ", with its train, validation and test files" if validation else ", with its train and test files"
    else:
        train, test = train.split(classes)
        about += ", fixed 80/20 split within each class"
    return assemble(name=path.stem if path.is_file() else path.name, train=train, test=test, validation=validation,
                    classes=classes, loading=loading, about=about, ignored=files.ignored,
                    split=not files.test)  # fmt: skip


def _open(
    files: list[Path], known: Known | None, *, loading: Loading, cache: Callable[[], Path]
) -> tuple[Listing, Known]:
    """The images of `files` in order, and the classes: those given, or those of these files."""
    import torch

    start = known.first if known else (files[0], _columns(files[0]))
    columns = [start[1] if file == start[0] else _columns(file, first=start) for file in files]
    parts = [_labels(file, one) for file, one in zip(files, columns, strict=True)]
    title = files[0].name if len(files) == 1 else f"{files[0].parent.name}/"
    cells = cells_of([(file, one.image) for file, one in zip(files, columns, strict=True)],
                     memory=loading.memory, cache=cache)  # fmt: skip
    if len(cells) != (rows := sum(len(part.values) for part in parts)):
        raise ReslabError(f"{title} is damaged: it has {len(cells):,} images and {rows:,} labels")
    starts = accumulate((len(part.values) for part in parts[:-1]), initial=0)
    sources = Rows(cells, title, files[0].parent, tuple(zip([file.name for file in files], starts, strict=True)))
    classes = known.classes if known else labels.classes_of(parts)
    numbered = known.numbered if known else labels.numbered(parts)
    found, first = [], 0
    for part in parts:
        found.append(labels.labels_of(part, sources, classes, numbered=numbered, first_row=first))
        first += len(part.values)
    if first == 0:
        raise UsageError(f"{files[0]} holds no rows")
    return Listing.of(sources, torch.cat(found)), Known(classes=classes, numbered=numbered, first=start)


def _labels(file: Path, columns: Columns) -> Labels:
    pa, pq = pyarrow()
    values: list[Any] = []
    try:
        rows, size = pq.read_metadata(file).num_rows, file.stat().st_size
        if rows * ROW_BYTES > size:
            raise UsageError(f"{file} claims {rows:,} images in {size:,} bytes, which cannot hold as many different "
                             "ones; write it again without repeated rows")  # fmt: skip
        for array in read_column(file, columns.label, rows=2**16):
            found = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
            known = found.dictionary.to_pylist()  # each text once
            if long := next((text for text in known if isinstance(text, str) and len(text) > LONGEST), None):
                raise UsageError(f"{file} has a label of {len(long):,} characters; a class name has at most {LONGEST}")
            values += [None if k is None else known[k] for k in found.indices.to_pylist()]
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ReslabError(f"cannot read {file}: {first_line(error)}") from error
    return Labels(where=file.name, values=labels.whole(values, file.name), names=columns.names)


def _columns(file: Path, *, first: tuple[Path, Columns] | None = None) -> Columns:
    """The columns of a file. `first`: another file of the data and its columns, of which this one needs the label's.

    Without it, a label column that was chosen among several is named.
    """
    pa, pq = pyarrow()
    try:
        schema = pq.read_schema(file)
        names = list(schema.names)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if starts_with(file, POINTER):
            raise UsageError(f"{file} is a pointer of Git LFS, not the file itself; run `git lfs pull` in its "
                             "folder") from error  # fmt: skip
        raise UsageError(f"{file} is damaged or not a parquet file: {first_line(error)}") from error
    wanted = _label_like(schema, file)
    image = _choose(image_columns(schema), IMAGE_NAMES, f"image column (binary, or struct with bytes) in {file}", names)
    if first and first[1].label in wanted:
        label = first[1].label
    else:
        label = _choose(wanted, labels.NAMES, f"label column (integer, boolean or string) in {file}", names)
        if first and not {label, first[1].label} <= labels.SAME:
            raise UsageError(f"{file} has its labels in {label!r}, and {first[0]} in {first[1].label!r}; write both "
                             "with the same columns")  # fmt: skip
        if not first:
            labels.tell_choice(file.name, label, wanted)
    return Columns(image=image, label=label, names=_class_names(schema.metadata or {}, label, file))


def _label_like(schema: Any, file: Path) -> list[str]:
    """The columns that may hold labels; of floats, which may be whole numbers, those named so.

    Raises UsageError if the column `label` cannot be one, naming its type: another column would be taken for it.
    """
    types = pyarrow()[0].types
    tests = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string, types.is_string_view)
    found = []
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type  # a pandas categorical
        if any(test(kind) for test in tests):
            found.append(field.name)
    known = labels.SAME if found else labels.NAMES
    found += [field.name for field in schema if types.is_floating(field.type) and field.name in known]
    odd = next((field for field in schema if field.name in labels.SAME), None)
    if odd and not labels.SAME & {*found}:
        raise UsageError(f"{file}: its column {odd.name!r} holds {odd.type}, and a label is a whole number, true or "
                         "false, or a text; write it as one of these")  # fmt: skip
    return found


def _choose(found: list[str], preferred: Sequence[str], what: str, names: list[str]) -> str:
    for name in preferred:
        if name in found:
            return name
    if len(found) == 1:
        return found[0]
    many = "no" if not found else f"{len(found)} candidates ({', '.join(found)}) for the"
    raise UsageError(f"{many} {what}; name it {preferred[0]!r}; the columns are {', '.join(names)}")


def _class_names(metadata: dict[bytes, bytes], label: str, file: Path) -> tuple[str, ...] | None:
    """The names of a ClassLabel, which `datasets` stores as JSON in the schema."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
        if isinstance(names, dict):  # {"0": "cat", "1": "dog"}, as in a README of the Hub
            names = [names[str(k)] for k in range(len(names))]
        found = list(names)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return labels.class_names(found, str(file)) or None
