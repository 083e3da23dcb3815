"""What all tests share: one thread (the nets are tiny), and where the shared data lie."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start, too

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder with real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (RESLAB_SHARED names another place)")
    return folder
