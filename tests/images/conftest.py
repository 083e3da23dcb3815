"""Small image folders, and quick trainings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from quick import _one_thread, begin, digits, few, pngs, straight

from reslab.images.data import Pixels

__all__ = ["_one_thread", "begin", "digits", "few", "pngs", "straight"]  # fixtures


@pytest.fixture
def pixels() -> Pixels:
    """Ten images of 3 x 6 x 5, no two alike."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 256, (10, 3, 6, 5), generator=generator, dtype=torch.uint8)
    return Pixels(pixels=values, labels=torch.arange(10) % 3)


Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """fill("a/cat", 3, size=(8, 6)): three PNG files of noise in a folder under tmp_path."""

    def make(folder: str, count: int, *, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
        target = tmp_path / folder
        target.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(sum(folder.encode()))
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        for k in range(count):
            image = Image.fromarray(noise.integers(0, 256, shape, dtype=np.uint8))
            image.save(target / f"{k}.png")
        return target

    return make
