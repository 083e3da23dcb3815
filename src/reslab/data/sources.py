"""Where encoded images lie: files under a folder, rows of an Arrow column, rows of a hub data set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Sources(Protocol):
    """Encoded images by row number: cheap at random, and able to travel to a worker process."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> bytes | Path:
        """The encoded image, or the file that holds it."""
        ...

    def name(self, row: int) -> str:
        """Where it lies, for people: the same on every machine."""
        ...

    def length(self, row: int) -> int:
        """Bytes it takes encoded."""
        ...


@dataclass(frozen=True)
class Files:
    """Image files, by their paths under `root` (with /, so that names agree between systems)."""

    root: Path
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Path:
        return self.root / self.paths[row]

    def name(self, row: int) -> str:
        return self.paths[row]

    def length(self, row: int) -> int:
        return (self.root / self.paths[row]).stat().st_size


@dataclass(frozen=True)
class Rows:
    """A column of encoded images held in memory: `column[row]` is binary or struct{bytes, path} (pyarrow)."""

    column: Any
    title: str
    folder: Path  # where a row that holds only a path starts from

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> bytes | Path:
        return content(self.column[row].as_py(), folder=self.folder)

    def name(self, row: int) -> str:
        return f"{self.title} row {row}"

    def length(self, row: int) -> int:
        return _length(self[row])


@dataclass
class ArrowFile:
    """A column of encoded images in an Arrow stream on disk, mapped into memory by each process itself."""

    path: Path
    title: str
    folder: Path
    _column: Any = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # A worker maps the file anew: pickling the mapped column would copy the whole data set to it.
        return {**self.__dict__, "_column": None}

    @property
    def column(self) -> Any:
        if self._column is None:
            import pyarrow as pa

            self._column = pa.ipc.open_stream(pa.memory_map(str(self.path))).read_all().column(0)
        return self._column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> bytes | Path:
        return content(self.column[row].as_py(), folder=self.folder)

    def name(self, row: int) -> str:
        return f"{self.title} row {row}"

    def length(self, row: int) -> int:
        return _length(self[row])


@dataclass(frozen=True)
class HubRows:
    """A column of a Hugging Face data set, its images left encoded."""

    dataset: Any
    column: str
    title: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> bytes | Path:
        return content(self.dataset[row][self.column], folder=Path())

    def name(self, row: int) -> str:
        return f"{self.title} row {row}"

    def length(self, row: int) -> int:
        return _length(self[row])


def content(value: Any, *, folder: Path) -> bytes | Path:
    """The encoded image in one cell: bytes, or {bytes, path} as the `datasets` library stores it."""
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            return folder / value["path"]
        value = value.get("bytes")
    return value or b""  # an empty cell: `decode` says so, with its name


def _length(source: bytes | Path) -> int:
    return source.stat().st_size if isinstance(source, Path) else len(source)
