"""A small table with columns of every kind."""

from typing import Any

import numpy as np

WORDS = "red green blue dull bright dark round flat big small new old".split()


def flats(n: int = 60) -> dict[str, list[Any]]:
    """n flats: numbers, a category with gaps, booleans, few whole numbers, dates, lists and texts of four words."""
    draws = np.random.default_rng(0)
    return {
        "size": draws.normal(50, 20, n).round(1).tolist(),
        "city": [("Rome", "Oslo", None)[k] for k in draws.integers(0, 3, n)],
        "lift": [bool(k) for k in draws.integers(0, 2, n)],
        "rooms": draws.integers(1, 6, n).tolist(),
        "since": [f"20{k:02d}-03-1{k % 9}" for k in draws.integers(0, 24, n)],
        "near": ["|".join(draws.choice(["sea", "park", "bus"], 2, replace=False)) for _ in range(n)],
        "says": [None if k == 7 else " ".join(draws.choice(WORDS, 4)) for k in range(n)],
    }
