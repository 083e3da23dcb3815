"""Run a user's Python file: FILE.py:FUNCTION."""

import contextlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reslab.errors import ReslabError, UsageError, first_line, nearest


def run_function(
    file: Path, function: str, *, offer: Mapping[str, Any] | None = None, arguments: Mapping[str, Any] | None = None
) -> tuple[Any, tuple[str, ...]]:
    """Run the user's file and call its function: (what it returns, what of `offer` it took).

    It is given the `arguments`, and the first value of `offer` whose name is one of its parameters. Raises ReslabError
    that names the line where it fails.

    `sys.path` and `sys.modules` are left as they were; what the file imported from its folder stays with the model.
    """
    name = file.stem if file.stem not in sys.modules else f"{file.stem}_file"
    described = importlib.util.spec_from_file_location(name, file)
    assert described is not None  # it ends in .py
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    try:
        # What it prints must not come between the results that a command prints.
        with importable(file.resolve().parent), contextlib.redirect_stdout(sys.stderr):
            sys.modules[name] = module  # dataclasses look their module up there
            described.loader.exec_module(module)
            known = defined(module)
            if function not in known:
                imported = f"{file} does not define {function!r} itself; define a function there that calls it"
                raise UsageError(imported if callable(getattr(module, function, None)) and function[:1] != "_" else
                                 f"{file} has no function {function!r}{nearest(function, known)}")  # fmt: skip
            call = getattr(module, function)
            taken = next(({key: value} for key, value in (offer or {}).items() if key in parameters(call)), {})
            return call(**taken, **(arguments or {})), tuple(taken)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                  if Path(frame.filename).resolve() == file.resolve()]  # fmt: skip
        line = f", line {places[-1]}" if places else ""
        if isinstance(error, SystemExit):
            left = f"it called sys.exit({error.code!r}) instead of returning a model"
            raise ReslabError(f"{file}{line}: {left}") from error
        raise ReslabError(f"{file}{line}: {type(error).__name__}: {first_line(error)}") from error


def defined(module: Any) -> list[str]:
    """The public functions and classes that a file defines; what it imports is not meant by naming the file."""
    return [key for key, value in vars(module).items()
            if callable(value) and not key.startswith("_") and value.__module__ == module.__name__]  # fmt: skip


def parameters(call: Any) -> tuple[str, ...]:
    """The names of a function's parameters; none if they cannot be known."""
    try:
        return tuple(inspect.signature(call).parameters)
    except (TypeError, ValueError):
        return ()


def returned(given: Any, word: str) -> tuple[Any, Any, Any]:
    """(model, example input or None, labels or None) of what a function gave. Raises UsageError for anything else."""
    from torch import Tensor, nn

    several = tuple(given) if isinstance(given, tuple | list) else (given,)
    if not 1 <= len(several) <= 3 or not isinstance(several[0], nn.Module):
        what = type(given).__name__
        if isinstance(given, tuple | list):
            what = f"a {what} of {len(several)}" if several else f"an empty {what}"
            what += f" that begins with {type(several[0]).__name__}" if 1 <= len(several) <= 3 else ""
        raise UsageError(f"{word} returns {what}; return the model (an nn.Module), or (model, example input), or "
                         "(model, example input, labels)")  # fmt: skip
    model, example, labels = (*several, None, None)[:3]
    if example is not None and not isinstance(example, Tensor | tuple | list | Mapping):
        raise UsageError(f"{word}: its example input must be a tensor, a tuple of arguments or a dict of keyword "
                         f"arguments, got {type(example).__name__}")  # fmt: skip
    return model, example, labels


@contextlib.contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules be imported from the folder; forget them afterwards, as another folder may have the same names."""
    path, modules = list(sys.path), dict(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        for name in sys.modules.keys() - modules.keys():
            origin = getattr(sys.modules[name], "__file__", None) or ""
            if Path(origin).is_relative_to(folder) and "site-packages" not in Path(origin).parts:
                del sys.modules[name]
