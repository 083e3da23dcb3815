"""Encoded images: files under a folder, rows of a column, rows of a hub data set."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from reslab.images.sources.openfiles import OpenFiles


class Sources(Protocol):
    """Encoded images by row number: random access is cheap, and the object can be sent to a worker process."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> bytes | Path:
        """The encoded image, or the file that holds it."""
        ...

    def name(self, row: int) -> str:
        """Human-readable location, the same on every machine."""
        ...

    def key(self, row: int) -> str:
        """What stands for the location in a fingerprint; as stable as the fingerprints of stored runs."""
        ...

    def length(self, row: int) -> int:
        """Size of the encoded image in bytes; -1 if there is none: whoever reads it, reports it."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class HeaderTable:
    """What the headers of all images say, as arrays (N,); `mode`, `kind` and `reason` count in the tables, -1: none."""

    height: np.ndarray
    width: np.ndarray
    deep_color: np.ndarray  # bool: 16 bits per color
    mode: np.ndarray
    kind: np.ndarray  # of gray of more than 8 bits
    reason: np.ndarray  # why a header cannot be read
    modes: tuple[str, ...]
    kinds: tuple[str, ...]
    reasons: tuple[str, ...]


@runtime_checkable
class Indexed(Protocol):
    """Sources whose index holds the headers of all images, so that surveying them reads no image."""

    headers: HeaderTable


@dataclass(frozen=True)
class Files:
    """Image files, by their paths under `root` (with /, so that names are the same on every system)."""

    root: Path
    paths: Sequence[str]  # of many files, Texts: a million strings would be copied into every worker

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Path:
        return self.root / self.paths[row]

    def name(self, row: int) -> str:
        return self.paths[row]

    def key(self, row: int) -> str:
        return self.paths[row]

    def length(self, row: int) -> int:
        return length(self.root / self.paths[row])


def length(path: Path) -> int:
    """Size of a file in bytes, -1 for a link that leads nowhere or a file that vanished."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # ValueError: a path with a NUL in it
        return -1


class Cells(Protocol):
    """A column of encoded images: each cell binary, or {bytes, path} as the `datasets` library stores it."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...


@dataclass(frozen=True)
class Rows:
    """The images in a column of a table."""

    cells: Cells
    title: str
    folder: Path = Path()  # cells that hold only a path are relative to it
    files: tuple[tuple[str, int], ...] = ()  # of several files: the name and the first row of each

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, row: int) -> bytes | Path:
        cell = self.cells[row]
        if isinstance(cell, dict):
            if cell.get("bytes") is None and cell.get("path"):
                return self.folder / cell["path"]
            cell = cell.get("bytes")
        return cell or b""  # `decode` reports an empty cell, with its name

    def name(self, row: int) -> str:
        if not self.files:
            return self.key(row)
        name, first = self.files[bisect_right(self.files, row, key=lambda file: file[1]) - 1]
        return f"{name} row {row - first}"

    def key(self, row: int) -> str:
        return f"{self.title} row {row}"

    def length(self, row: int) -> int:
        source = self[row]
        return length(source) if isinstance(source, Path) else len(source)


@dataclass(frozen=True)
class ArrowCells:
    """A pyarrow column in memory."""

    column: Any

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> Any:
        return self.column[row].as_py()


class ArrowFileCells:
    """A column of Arrow streams on disk, binary or {bytes, path}: each image is read at its place.

    A mapped column would do the same, but each page that was read once counts as memory of the process.
    """

    def __init__(self, paths: Sequence[Path], column: str = "image") -> None:
        self.paths, self.column, self.files = tuple(paths), column, OpenFiles(paths)
        self.places: tuple[np.ndarray, ...] | None = None  # file, offset, size (N,); size -1: a missing image
        self.mapped: Any = None  # the column, only where images are missing: it holds their paths

    def __getstate__(self) -> dict[str, Any]:
        # A worker finds the places itself: pickling a mapped column would copy the whole data set to the worker.
        return {"paths": self.paths, "column": self.column}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._found()[0])

    def __getitem__(self, row: int) -> Any:
        files, offsets, sizes = self._found()
        if sizes[row] < 0:
            return self.mapped[row].as_py()
        return self.files.read(int(files[row]), int(offsets[row]), int(sizes[row]))

    def _found(self) -> tuple[np.ndarray, ...]:
        """Where the images lie, from the offsets that Arrow stores beside them. Raises what pyarrow does."""
        if self.places is None:
            import pyarrow as pa

            found, chunks = [], []
            for k, path in enumerate(self.paths):
                whole = pa.memory_map(str(path)).read_buffer()
                column = pa.ipc.open_stream(whole).read_all().column(self.column)
                found += [(np.full(len(chunk), k), *_places(chunk, whole.address)) for chunk in column.chunks]
                chunks += column.chunks
            empty = [np.empty(0, np.int64)]
            self.places = tuple(np.concatenate(each) for each in zip(*found, strict=True)) if found else (*empty * 3,)
            self.mapped = pa.chunked_array(chunks) if (self.places[2] < 0).any() else None
        return self.places


def _places(chunk: Any, base: int) -> tuple[np.ndarray, np.ndarray]:
    """Offset and size of each image of a chunk in a file that is mapped at the address `base`; size -1: missing.

    Raises TypeError for a column that is neither binary nor {bytes, path}.
    """
    import pyarrow as pa

    content = chunk.field("bytes") if pa.types.is_struct(chunk.type) else chunk
    if not (pa.types.is_binary(content.type) or pa.types.is_large_binary(content.type)):
        raise TypeError(f"no column of images: {chunk.type}")
    width = np.int64 if pa.types.is_large_binary(content.type) else np.int32
    _, ends, data = content.buffers()
    first, n = content.offset, len(content)
    edges = np.zeros(n + 1, np.int64) if ends is None else np.frombuffer(ends, width)[first : first + n + 1]
    missing = np.asarray(content.is_null()) | np.asarray(chunk.is_null())
    start = 0 if data is None else data.address - base
    return edges[:-1].astype(np.int64) + start, np.where(missing, -1, np.diff(edges).astype(np.int64))


@dataclass(frozen=True)
class HubCells:
    """A column of a Hugging Face data set, its images left encoded, wherever the library holds them."""

    dataset: Any
    column: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        return self.dataset[row][self.column]


def hub_cells(dataset: Any, column: str) -> Cells:
    """The column of a Hugging Face data set: read at its places, where all of the library's files are the data set."""
    files = [Path(one["filename"]) for one in getattr(dataset, "cache_files", ())]
    if files and getattr(dataset, "_indices", None) is None:
        found = ArrowFileCells(files, column)
        try:
            if len(found) == len(dataset):  # otherwise it is a part of them
                return found
        except Exception:  # a file of another kind: pyarrow raises nearly anything
            pass
    return HubCells(dataset, column)
