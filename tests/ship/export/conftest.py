"""Exports in tests are timed as shortly as they may be."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _timed_shortly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reslab.ship.export.speed.SECONDS", 0.0)
        patch.setattr("reslab.ship.export.speed.SHORTEST", 0.0)
        yield
