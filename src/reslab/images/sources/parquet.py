"""Images in parquet files, as the Hugging Face Hub stores them."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reslab.errors import ReslabError, UsageError, first_line
from reslab.extras import need
from reslab.images.data.images import ImageData
from reslab.images.sources.assemble import Listing, assemble
from reslab.images.sources.encoded import ArrowCells, ArrowFileCells, Rows, Sources

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "category", "target", "y")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The image column, the label column, and the class names if the schema has them."""

    image: str
    label: str
    names: tuple[str, ...] | None


def load_parquet(path: Path, *, size: int | None, memory: int, cache: Path) -> ImageData:
    """A parquet file (split 80/20), or a folder of them: train*.parquet with test*.parquet or val*.parquet.

    Files larger than `memory` are copied once, uncompressed, to `cache`, which allows random access to rows.
    Raises UsageError if the columns or the labels are not those of an image data set.
    """
    train_files, test_files = _files(path)
    columns = _columns(train_files[0])
    sources, values = _open(train_files, columns, memory=memory, cache=cache)
    classes = columns.names or classes_of(values)
    train = Listing.of(sources, labels_of(values, sources, classes, named=columns.names is not None))
    about = f"Images of {path.name}"
    if test_files:
        sources, values = _open(test_files, columns, memory=memory, cache=cache)
        test = Listing.of(sources, labels_of(values, sources, classes, named=columns.names is not None))
        about += ", with its train and test files"
    else:
        train, test = train.split(classes)
        about += ", fixed 80/20 split within each class"
    return assemble(name=path.stem, train=train, test=test, classes=classes, size=size, memory=memory, about=about)


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    if path.is_file():
        return [path], []
    train = sorted(path.glob("train*.parquet"))
    test = next(filter(None, (sorted(path.glob(f"{word}*.parquet")) for word in ("test", "val"))), [])
    if not train or not test:
        found = ", ".join(sorted(p.name for p in path.glob("*.parquet"))[:5])
        raise UsageError(f"{path} needs train*.parquet and test*.parquet (or val*.parquet), but holds {found}")
    return train, test


def _pyarrow() -> tuple[Any, Any]:
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    return pa, pq


def _columns(file: Path) -> Columns:
    pa, pq = _pyarrow()
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file} is damaged or not a parquet file: {first_line(error)}") from error
    types, names = pa.types, list(schema.names)

    def binary(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind)

    images = [
        field.name
        for field in schema
        if binary(field.type)
        or (types.is_struct(field.type) and any(f.name == "bytes" and binary(f.type) for f in field.type))
    ]

    def label_like(kind: Any) -> bool:
        if types.is_dictionary(kind):  # a pandas categorical
            kind = kind.value_type
        return any(test(kind) for test in (types.is_integer, types.is_boolean, types.is_string, types.is_large_string))

    labels = [field.name for field in schema if label_like(field.type)]
    image = _choose(images, IMAGE_NAMES, f"image column (binary, or struct with bytes) in {file}", names)
    label = _choose(labels, LABEL_NAMES, f"label column (integer, boolean or string) in {file}", names)
    return Columns(image=image, label=label, names=_class_names(schema.metadata or {}, label))


def _choose(found: list[str], preferred: Sequence[str], what: str, names: list[str]) -> str:
    for name in preferred:
        if name in found:
            return name
    if len(found) == 1:
        return found[0]
    many = "no" if not found else f"{len(found)} candidates ({', '.join(found)}) for the"
    raise UsageError(f"{many} {what}; name it {preferred[0]!r}; the columns are {', '.join(names)}")


def _class_names(metadata: dict[bytes, bytes], label: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel, which `datasets` stores as JSON in the schema."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return tuple(str(name) for name in names) or None


def _open(files: list[Path], columns: Columns, *, memory: int, cache: Path) -> tuple[Sources, list[Any]]:
    """The images and the label values of `files`, concatenated."""
    pa, pq = _pyarrow()
    title, folder = files[0].name if len(files) == 1 else f"{files[0].parent.name}/", files[0].parent
    try:
        values = pa.concat_tables([pq.read_table(file, columns=[columns.label]) for file in files])
        if sum(file.stat().st_size for file in files) > memory:
            spilled = ArrowFileCells(_spilled(files, columns.image, cache))
            return Rows(spilled, title, folder), values[0].to_pylist()
        images = pa.concat_tables([pq.read_table(file, columns=[columns.image]) for file in files])
    except (pa.ArrowException, OSError) as error:
        raise ReslabError(f"cannot read {files[0]}: {first_line(error)}") from error
    return Rows(ArrowCells(images[0]), title, folder), values[0].to_pylist()


def _spilled(files: list[Path], image: str, cache: Path) -> Path:
    """The image column as one uncompressed Arrow stream: parquet can only be read one row group at a time."""
    pa, pq = _pyarrow()
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    target = cache / "arrow" / f"{hashlib.sha256(repr((stats, image)).encode()).hexdigest()[:16]}.arrows"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(f".{os.getpid()}")
    schema = pa.schema([pq.read_schema(files[0]).field(image)])
    try:
        with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for file in files:
                with pq.ParquetFile(file) as parquet:
                    for records in parquet.iter_batches(batch_size=256, columns=[image]):
                        writer.write_batch(records)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target


def classes_of(values: list[Any]) -> tuple[str, ...]:
    """Class names from the sorted label values."""
    return tuple(str(value) for value in sorted({value for value in values if value is not None}))


def labels_of(values: list[Any], sources: Sources, classes: tuple[str, ...], *, named: bool) -> Tensor:
    """Labels, int64 (N,): `named` values are class numbers or names; others are looked up in `classes`."""
    known: dict[Any, int] = {name: k for k, name in enumerate(classes)}
    labels = []
    for row, value in enumerate(values):
        k = value if named and isinstance(value, int) else known.get(str(value))
        if value is None or k is None or not 0 <= k < len(classes):
            raise UsageError(
                f"{sources.name(row)} has label {value!r}, which is not one of the {len(classes)} classes"
                + (" (-1 marks unlabeled images)" if value == -1 else "")
            )
        labels.append(k)
    return torch.tensor(labels, dtype=torch.int64)
