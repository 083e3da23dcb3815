"""A clock for trainings that leaps when a function is called: what a measured time includes."""

import importlib
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from reslab.train import life


@pytest.fixture
def leap(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, float], None]:
    """leap("reslab.qa.train.judge", 1000): the clock of a training is 1,000 s later once the function is called."""
    late, clock = [0.0], time.perf_counter
    monkeypatch.setattr(life, "time", SimpleNamespace(perf_counter=lambda: clock() + late[0]))

    def after(name: str, seconds: float) -> None:
        module, _, function = name.rpartition(".")
        plain = getattr(importlib.import_module(module), function)

        def slow(*given: Any, **options: Any) -> Any:
            late[0] += seconds
            return plain(*given, **options)

        monkeypatch.setattr(name, slow)

    return after
