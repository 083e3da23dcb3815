"""A tiny reader and a tiny table, trained once for all tests of their export."""

from pathlib import Path

import pytest
from shipping import reader, table


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a reader that may say that there is no answer."""
    return reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def tiny_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two nets that predict whether a flat is large."""
    return table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session", params=["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that needs no torch; ONNX takes its converter ten seconds."""
    name: str = request.param
    return name
