"""How many cores there are to use."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from reslab.train import cores, workers


@pytest.mark.parametrize(
    ("quota", "many"), [("200000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("max 100000", 4), (None, 4)]
)
def test_usable_cores_are_those_of_the_mask_and_of_the_quota(
    quota: str | None, many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that may use 0.2 s of CPU time in each 0.1 s has two cores, however many the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota:
        cores.QUOTA.write_text(quota + "\n")
    assert cores.usable_cores() == many


def test_few_images_are_decoded_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 16)
    assert [workers.decoding_workers(n) for n in (1999, 2000)] == [0, 8]


class Squares(Dataset[Any]):
    """Step t: a list of a tensor of t², its position, and a text."""

    def __getitem__(self, t: int) -> tuple[list[torch.Tensor], int, str]:
        return [torch.full((2, 3), t * t)], t, f"{t}"


@pytest.mark.parametrize("free", [64 * 2**20, 64 * 2**30])
def test_batches_come_without_shared_memory_where_there_is_little(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers often have 64 MiB: 16 batches of 256 images of 224 x 224 are ten times as much."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096), raising=False)
    found = list(workers.in_order(Squares(), range(3, 6), workers=2))
    assert [(float(one[0, 0]), t, text) for (one,), t, text in found] == [(9, 3, "3"), (16, 4, "4"), (25, 5, "5")]
    assert all(isinstance(one, torch.Tensor) and one.is_shared() == (free > workers.ROOM) for (one,), _, _ in found)
    found[0][0][0].add_(1)  # and they can be written to


class Slow(Dataset[int]):
    def __getitem__(self, t: int) -> int:
        time.sleep(0.02)
        return t


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_signal_to_the_whole_process_group_does_not_end_the_workers() -> None:
    """A scheduler sends SIGTERM to every process; the main one then saves, and needs its workers until then."""
    steps = workers.in_order(Slow(), range(8), workers=1)
    assert next(steps) == 0
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    assert list(steps) == list(range(1, 8))
