"""A disk that fills up: one sentence, exit code 1, the last checkpoint whole, and afterwards the same result."""

import contextlib
import errno
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from reslab.errors import ReslabError
from reslab.images.data import ImageData
from reslab.images.train import train
from reslab.run import Run
from reslab.study.jobs import child_main, heard
from reslab.train import checkpoint
from reslab.train.checkpoint import write_last
from reslab.train.signals import Interrupted


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 3 MiB, where mounting is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "reslab-test", str(folder)],
                              capture_output=True, check=False)  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """A file that takes all of the disk but `leave` bytes."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    with ballast.open("r+b") as file:
        file.truncate(max(0, ballast.stat().st_size - leave))
    return ballast


@pytest.mark.parametrize("leave", [0, 4096, 500_000], ids=["not a byte", "the log fits", "half a checkpoint fits"])
def test_a_full_disk(
    leave: int, small_disk: Path, begin: Any, few: ImageData, tmp_path: Path, stopped_after: Any, same_end: Any,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("reslab.images.train.load_stored", lambda run: few)
    whole = begin(tmp_path / "whole", few)
    train(whole.folder, data=few, device="cpu")
    run = begin(small_disk / "run", few)
    with stopped_after(7), pytest.raises(Interrupted):
        train(run.folder, data=few, device="cpu")
    ballast = fill(small_disk, leave=leave)
    before = run.path("last.pt").read_bytes()
    assert child_main(str(run.folder), "cpu") == 1
    said = [sentence for line in capsys.readouterr().out.splitlines() if (sentence := heard(line))]
    assert len(said) == 1
    assert said[0].startswith(f"cannot write {run.folder}")
    assert said[0].endswith("the disk is full; free some space and run the command again "
                            "(training resumes where it stopped)")  # fmt: skip
    assert run.path("last.pt").read_bytes() == before
    assert not run.has("results/train.json")
    ballast.unlink()
    train(run.folder, data=few, device="cpu")
    same_end(whole, run)


class Narrow:
    """A file that takes some bytes and then says that the disk is full."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)


@pytest.mark.parametrize("room", [0, 10_000, 79_000])
def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    write_last(run, {"net": torch.zeros(20_000), "iteration": 1})
    before = run.path("last.pt").read_bytes()
    plain = checkpoint.write_aside
    monkeypatch.setattr(checkpoint, "write_aside",
                        lambda path, write, keep: plain(path, lambda f: write(Narrow(f, room)), keep=keep))  # fmt: skip
    with pytest.raises(ReslabError, match=r"cannot write .*last\.pt: the disk is full"):
        write_last(run, {"net": torch.ones(20_000), "iteration": 2})
    assert run.path("last.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_file_where_the_run_folder_should_be(begin: Any, few: ImageData, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(ReslabError, match="a file is in the place of a folder; choose another folder"):
        begin(tmp_path / "runs" / "mine", few)
    with pytest.raises(ReslabError, match="a file is in the place of a folder; choose another folder"):
        begin(tmp_path / "runs", few)
