"""Real trainings whose processes are killed, recovered by the supervisor alone."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from launch_trainings import QUICK, counted, end, finish, kill_some, start

from reslab.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")]
EXAMPLES = 48  # of the training part of the folder `pngs`
BATCH = 8


def words(folder: Path, pngs: Path, *, iterations: int) -> list[str]:
    settings = ["--batch", str(BATCH), "--iterations", str(iterations), "--checkpoint-seconds", "0.3"]
    return ["train", "--net", "resnet8", "--recipe", "digits", "--data", str(pngs), "--out", str(folder), *settings,
            "--evaluate-every", "20", *QUICK]  # fmt: skip


@pytest.mark.timeout(5400)
@pytest.mark.parametrize(("nproc", "kills", "iterations"), [(2, 50, 2500)])
def test_killed_fifty_times(nproc: int, kills: int, iterations: int, pngs: Path, tmp_path: Path, same_end: Any) -> None:
    """Ends with the bits of an unbroken training; each example was trained on once in each epoch."""
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    for run in (whole, broken):
        notes = tmp_path / f"notes-{run.folder.name}"
        supervisor = start(notes, words(run.folder, pngs, iterations=iterations), nproc=nproc)
        if run is broken:
            try:
                done = kill_some([supervisor], run, kills=kills, seed=17, seconds=4000)
            except BaseException:
                end(supervisor)
                print((notes / "printed.0").read_text()[-3000:])
                raise
            print(f"kills: {Counter(done)}")
        printed = finish(notes, supervisor, seconds=1200)
        assert printed.count("restarting all processes") == (kills if run is broken else 0)
        assert printed.count("was killed by signal 9") == (kills if run is broken else 0)
        epochs = counted(notes, examples=EXAMPLES)
        assert len(epochs) == iterations * BATCH // EXAMPLES
        assert all(epoch == Counter(range(EXAMPLES)) for epoch in epochs)
    same_end(whole, broken)
