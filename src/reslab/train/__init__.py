"""Train by the paper's recipe or a faster one: one loop, exact resume. Import what you need from the modules.

The package is also the function `reslab.train(data, net=...)`, which trains on images: reslab/subject/train.py.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A module that can be called: `reslab.train` is one name for the package and for the function."""

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """As `reslab.subject.train.train`, which is imported now."""
        return import_module("reslab.subject.train").train(*args, **settings)

    def __getattr__(self, name: str) -> Any:
        if name != "__signature__":  # what `help` and editors show
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from inspect import signature

        return signature(import_module("reslab.subject.train").train)


sys.modules[__name__].__class__ = _Callable
