"""Export a model: convert its graph, prove the file equal to the model, choose a precision, write the folder.

The package is also the function `reslab.ship.export(model, out=...)`: see job.py.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that can be called: `reslab.ship.export` is one name for the package and for the function."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """As `reslab.ship.export.job.export`, which is imported now."""
        return import_module("reslab.ship.export.job").export(*args, **settings)

    def __getattr__(self, name: str) -> Any:
        if name != "__signature__":  # what `help` and editors show
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from inspect import signature

        return signature(import_module("reslab.ship.export.job").export)


sys.modules[__name__].__class__ = _Callable
