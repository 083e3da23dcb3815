"""Optional packages: imported where they are used, with one sentence of what to install where that fails."""

import importlib
from types import ModuleType

from reslab.errors import UsageError, first_line


def need(module: str, *, why: str, extra: str = "") -> ModuleType:
    """The module of an optional package: need("pyarrow", extra="data", why="reading parquet files").

    `extra`: which extra of reslab brings it; without one the package is installed by itself, as timm and torchvision
    are. Raises UsageError saying what needs the package and how to install it, also where it is broken.
    """
    package = module.partition(".")[0]
    how = f"pip install 'reslab[{extra}]'" if extra else f"pip install {package}, from the same index as torch"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"{why} needs the package {error.name or package}: {how}") from error
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        # Operators or libraries that do not fit torch's; the second import of such a torchvision is an AttributeError.
        raise UsageError(
            f"{why} needs {package}, which is installed but does not import ({first_line(error)}); "
            f"`reslab doctor` reports known problems, or install it anew: {how}"
        ) from error
