"""TensorBoard, where the extra `track` is installed."""

import sys
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import UsageError
from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.run import Run
from reslab.train.signals import Interrupted
from reslab.train.track import Tracker


def scalars(run: Run, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path("tensorboard")))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_the_metrics_are_events_too_and_a_resume_repeats_none(
    begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any
) -> None:
    pytest.importorskip("tensorboard")
    run = begin(tmp_path / "run", few, tensorboard=True)
    with stopped_after(6), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    tracker = Tracker(run, 6)  # what a process wrote that was killed after its last checkpoint
    tracker.add(10, {"event": "train", "loss": 123.0})
    tracker.writer.close()
    train(run.folder, data=few, device="cpu")
    for key in ("loss", "error", "lr"):
        told = [(e["iteration"], e[key]) for e in run.metrics() if e["event"] == "train"]
        found = scalars(run, f"train/{key}")
        assert [step for step, _ in found] == [step for step, _ in told] == [5, 10, 12]
        assert [value for _, value in found] == pytest.approx([value for _, value in told], rel=1e-6)
    tests = [(e["iteration"], e["error"]) for e in run.metrics() if e["event"] == "eval"]
    assert [step for step, _ in scalars(run, "test/error")] == [step for step, _ in tests]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"TensorBoard events needs the package .*: pip install 'reslab\[track\]'"):
        Tracker(Run(tmp_path), 0)
