"""Optional packages: imported where they are used; if that fails, one sentence says what to install."""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from reslab.errors import UsageError, first_line


def need(module: str, *, why: str, extra: str = "") -> ModuleType:
    """The module of an optional package: need("pyarrow", extra="data", why="reading parquet files").

    `extra`: the extra of reslab that contains it; without one it is installed separately, like timm and torchvision.
    Raises UsageError saying what needs the package and how to install it, also if the package is broken.
    """
    package = module.partition(".")[0]
    how = f"pip install 'reslab[{extra}]'" if extra else f"pip install {package}, from the same index as torch"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{why} needs the package {error.name or package}: {how}") from error
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        # Operators or libraries that do not match torch; importing such a torchvision again raises AttributeError.
        raise UsageError(
            f"{why} needs {package}, which is installed but cannot be imported ({first_line(error)}); "
            f"run `reslab doctor` to see known problems, or reinstall it: {how}"
        ) from error


def installed(name: str) -> str | None:
    """The version of a package; None if it is not installed. Nothing of it is imported."""
    from importlib import metadata  # slow to import, and not needed for `reslab --help`

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def frame_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as a pandas.DataFrame. Raises UsageError if pandas is not installed."""
    try:
        pandas = importlib.import_module("pandas")  # without types
    except ImportError as error:
        raise UsageError("a data frame needs pandas: pip install pandas; rows() gives the same as dicts") from error
    return pandas.DataFrame(rows)
