"""How many cores there are to use."""

import os
from pathlib import Path

import pytest

from reslab.train import workers


@pytest.mark.parametrize(
    ("quota", "cores"), [("200000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("max 100000", 4), (None, 4)]
)
def test_usable_cores_are_those_of_the_mask_and_of_the_quota(
    quota: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that may use 0.2 s of CPU time in each 0.1 s has two cores, however many the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(workers, "QUOTA", tmp_path / "cpu.max")
    if quota:
        workers.QUOTA.write_text(quota + "\n")
    assert workers.usable_cores() == cores


def test_few_images_are_decoded_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "usable_cores", lambda: 16)
    assert [workers.decoding_workers(n) for n in (1999, 2000)] == [0, 8]
