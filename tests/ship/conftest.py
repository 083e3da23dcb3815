"""A tiny reader and a tiny table, trained once for all tests of their export, and exported once for each engine."""

from pathlib import Path

import pytest
from shipping import reader, ship, table


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a reader that may say that there is no answer; facts.json beside it."""
    return reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="session")
def tiny_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two nets that predict whether a flat is large; flats.csv beside it."""
    return table(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session", params=["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine that needs no torch; ONNX takes its converter ten seconds."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def shipped_reader(tiny_reader: Path, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader, exported."""
    from reslab.ship.export.questions import QuestionExport

    return ship(QuestionExport(tiny_reader), engine, tmp_path_factory.mktemp("shipped") / engine)


@pytest.fixture(scope="session")
def shipped_table(tiny_table: Path, engine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table's nets, exported."""
    from reslab.ship.export.tables import TableExport

    return ship(TableExport(tiny_table), engine, tmp_path_factory.mktemp("shipped") / engine)
