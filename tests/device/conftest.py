"""A folder of small data, and the device that stands in for a GPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from far_runs import Place, filled


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("device"))


@pytest.fixture(scope="session", params=["cuda", "mps"])
def place(request: pytest.FixtureRequest, data: Path) -> Place:
    return Place(data, request.param)
