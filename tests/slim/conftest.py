"""Quick trainings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quick import _one_thread, digits, few
from text_models import NAMES

from reslab.slim.planning import timing

__all__ = ["_one_thread", "digits", "few"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file of sixteen paragraphs."""
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(f"{name} was born in 18{k}7. Later {name} went away." for k, name in enumerate(NAMES)))
    return path


@pytest.fixture(scope="module")
def few_passes() -> Iterator[None]:
    """For tests of whole jobs: the clock is not what they test."""
    plain = timing.in_turn

    def quick(models: Any, example: Any, **how: Any) -> list[list[float]]:
        return plain(models, example, **{**how, "rounds": (5, 5), "seconds": 0.1})

    with pytest.MonkeyPatch.context() as patch:
        for name in ("reslab.slim.planning.timing", "reslab.slim.planning.job", "reslab.slim.sizes"):
            patch.setattr(f"{name}.in_turn", quick)
        yield
