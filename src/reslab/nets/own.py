"""A user's own Python file, run."""

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line, nearest


def run_function(file: Path, function: str) -> Any:
    """Run the user's file and call its function. Raises ReslabError that names the line where it fails."""
    described = importlib.util.spec_from_file_location(file.stem, file)
    assert described is not None  # it ends in .py
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    sys.path.insert(0, str(file.resolve().parent))  # it may import its neighbors
    try:
        described.loader.exec_module(module)
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        if function not in known:
            raise UsageError(f"{file} has no function {function!r}{nearest(function, known)}")
        return getattr(module, function)()
    except UsageError:
        raise
    except Exception as error:
        places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                  if Path(frame.filename).resolve() == file.resolve()]  # fmt: skip
        line = f", line {places[-1]}" if places else ""
        raise ReslabError(f"{file}{line}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
