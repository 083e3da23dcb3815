"""Quick trainings."""

from pathlib import Path

import pytest
from quick import _one_thread, digits, few
from text_models import NAMES

__all__ = ["_one_thread", "digits", "few"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file of sixteen paragraphs."""
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(f"{name} was born in 18{k}7. Later {name} went away." for k, name in enumerate(NAMES)))
    return path
