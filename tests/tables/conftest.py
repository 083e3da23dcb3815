"""Quick trainings: small nets on a small table of every kind of column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocks import leap
from rows import flats as sixty

from reslab.run import Run
from reslab.tables.reading import Reading
from reslab.tables.train import load, prepare
from reslab.train.recipe import Recipe, change

SMALL = {"width": 8, "inner": 8, "depth": 2, "embedding": 4, "bins": 4}
__all__ = ["leap"]
QUICK = Recipe(
    iterations=12, batch=16, optimizer="adamw", lr=1e-2, schedule="cosine", decay_all=False, validation=0.2,
    evaluate_every=0.5, early_stop=50, precision="fp32", compile="off", threads=1, checkpoint_seconds=1e9,
)  # fmt: skip


@pytest.fixture(scope="session")
def flats() -> dict[str, list[Any]]:
    """60 flats: numbers, a category with gaps, booleans, few whole numbers, dates, lists and texts of four words."""
    return sixty()


@pytest.fixture(scope="session")
def large(flats: dict[str, list[Any]]) -> np.ndarray:
    """Of each flat whether it is larger than 50: "no", "yes"."""
    return np.array(["yes" if size > 50 else "no" for size in flats["size"]])


@pytest.fixture
def file(flats: dict[str, list[Any]], large: np.ndarray, tmp_path: Path) -> Path:
    """The flats as a CSV file with the columns `large`, `sea` and `bus` (0, 1), `price` and `tax`, to be targets."""
    import csv

    near = flats["near"]
    more = {
        "large": large.tolist(), "sea": [int("sea" in one) for one in near], "bus": [int("bus" in one) for one in near],
        "price": [3 * size + 0.5 for size in flats["size"]], "tax": [rooms / 7 for rooms in flats["rooms"]],
    }  # fmt: skip
    path = tmp_path / "flats.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([*flats, *more])
        writer.writerows(zip(*flats.values(), *more.values(), strict=True))
    return path


Begin = Callable[..., Run]


@pytest.fixture
def begin(file: Path) -> Begin:
    """begin(folder, target=("large",), reading={...}, lr=0.1): a run folder ready to train."""

    def make(
        folder: Path, word: Path = file, *, target: tuple[str, ...] = ("large",), preset: str = "gated",
        reading: dict[str, Any] | None = None, **changes: Any,
    ) -> Run:  # fmt: skip
        how = Reading(target=target, **{"sizes": SMALL, **(reading or {})})
        recipe = change(QUICK, **changes)
        data = load(str(word), how, recipe)
        return prepare(folder, word=str(word), reading=how, data=data, preset=preset, recipe=recipe)

    return make
