"""The random number generators that a net may use while it trains: torch's, numpy's and Python's own."""

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed all of them. `seed`: any number that torch takes."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(np.random.SeedSequence(seed % 2**64).generate_state(4))  # noqa: NPY002 - the one that nets use


def generators(device: torch.device) -> dict[str, Any]:
    """Their states, as tensors and numbers."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state(), **plain()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_generators(state: dict[str, Any], device: torch.device) -> None:
    """Put back what `generators` gave. Raises RuntimeError, KeyError, TypeError or ValueError for anything else.

    Checkpoints of older versions lack the states of numpy and Python.
    """
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
    set_plain(state)


@contextlib.contextmanager
def kept(device: torch.device) -> Iterator[None]:
    """What is drawn inside, on the CPU or this device, is drawn again afterwards."""
    state = plain()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            set_plain(state)


def plain() -> dict[str, Any]:
    """The states of numpy's and Python's generators."""
    _, words, place, has_normal, normal = np.random.get_state()  # noqa: NPY002
    version, numbers, gauss = random.getstate()
    return {"numpy": {"words": torch.from_numpy(np.asarray(words).astype(np.int64)), "place": int(place),
                      "normal": float(normal) if has_normal else None},
            "python": {"version": version, "words": torch.tensor(numbers), "gauss": gauss}}  # fmt: skip


def set_plain(state: dict[str, Any]) -> None:
    if "numpy" in state:
        found = state["numpy"]
        words, normal = found["words"].numpy().astype(np.uint32), found["normal"]
        np.random.set_state(("MT19937", words, found["place"], int(normal is not None), normal or 0.0))  # noqa: NPY002
    if "python" in state:
        found = state["python"]
        random.setstate((found["version"], tuple(found["words"].tolist()), found["gauss"]))
