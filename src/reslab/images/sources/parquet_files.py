"""Which parquet files make a data set, and what they hold: images, or the paths of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.extras import need
from reslab.images.sources.numbered import warn_of_missing
from reslab.images.sources.scan import Ignored, is_hidden, is_image, is_regular
from reslab.train.parts import TRAIN, first_of, held_out


def is_parquet(path: Path) -> bool:
    """Whether it is a regular file named .parquet, in any case."""
    return path.suffix.lower() == ".parquet" and not is_hidden(path.name) and is_regular(path)


def lists_files(path: Path) -> bool:
    """Whether the file has no column of images, but one of texts, which may be their files; False if damaged."""
    pa, pq = pyarrow()
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, UnicodeError):
        return False
    texts = [field for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return bool(texts) and not image_columns(schema)


def image_columns(schema: Any) -> list[str]:
    """The columns that are binary, or structs with bytes as the `datasets` library stores them."""
    types = pyarrow()[0].types

    def binary(kind: Any) -> bool:
        return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)

    return [field.name for field in schema if binary(field.type) or (
            types.is_struct(field.type) and any(f.name == "bytes" and binary(f.type) for f in field.type))]  # fmt: skip


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, or of the one folder in it that holds some; sorted."""
    found = sorted(filter(is_parquet, folder.iterdir()))
    if found:
        return found
    inner = [
        sorted(filter(is_parquet, one.iterdir()))
        for one in sorted(folder.iterdir())
        if one.is_dir() and not is_hidden(one.name) and not any(is_image(file.name) for file in one.iterdir())
    ]
    holding = [files for files in inner if files]
    if len(holding) > 1:
        names = ", ".join(files[0].parent.name for files in holding)
        raise UsageError(f"{folder} has {len(holding)} folders with parquet files ({names}); give one of them")
    return holding[0] if holding else []


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of each part."""

    train: list[Path]
    validation: list[Path]
    test: list[Path]
    unused: list[Path]

    @property
    def ignored(self) -> list[Ignored]:
        """What is not used."""
        names = tuple(file.name for file in self.unused[:5])
        return [Ignored(reason="not a train or test file", files=len(self.unused), examples=names)] if names else []


def files_of(path: Path) -> Files:
    """The parts of a folder of parquet files, by their names; a file alone is the training part. Raises UsageError."""
    if path.is_file():
        return Files(train=[path], validation=[], test=[], unused=[])
    every = parquet_files(path)
    warn_of_missing(every)
    names = [file.name for file in every]
    train, validation, test = ([file for file in every if file.name in found]
                               for found in (first_of(names, TRAIN), *held_out(names)))  # fmt: skip
    if not train or not test:
        found = ", ".join(file.name for file in every[:5])
        raise UsageError(f"{path} needs train*.parquet and test*.parquet (or val*.parquet), but holds {found}; of one "
                         "file given alone, a fifth is held out for testing")  # fmt: skip
    used = {*train, *validation, *test}
    return Files(train=train, validation=validation, test=test, unused=[file for file in every if file not in used])


def starts_with(file: Path, start: bytes) -> bool:
    """Whether a file that may be large, or gone, begins so."""
    try:
        with file.open("rb") as content:
            return content.read(len(start)) == start
    except OSError:
        return False


def pyarrow() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet."""
    pa, pq = (need(name, extra="data", why="reading parquet files") for name in ("pyarrow", "pyarrow.parquet"))
    return pa, pq
