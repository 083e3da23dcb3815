"""The run folder: whole files or none, one training at a time, sentences for what fails."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from reslab.errors import ReslabError, ReslabWarning, UsageError
from reslab.run import Run, command_line, commit, environment, finite
from reslab.stored import write as write_file
from reslab.stored.write import sweep, write_aside


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = write_aside(tmp_path / "deep" / "a.bin", lambda file: file.write(b"abc"))
    assert path.read_bytes() == b"abc"
    assert names(tmp_path / "deep") == ["a.bin"]


def test_a_file_is_as_open_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    path = write_aside(tmp_path / "aside", lambda file: file.write(b""))
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_writer_that_fails_midway_leaves_the_old_file(tmp_path: Path, number: int, words: str) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"old")

    def fail(file: Any) -> None:
        file.write(b"ne")
        raise OSError(number, os.strerror(number))

    with pytest.raises(ReslabError, match=words) as caught:
        write_aside(path, fail)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["last.pt"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(tmp_path)
    run.write_json("a.json", {"old": 1})
    monkeypatch.setattr(os, name, full)
    with pytest.raises(ReslabError, match="the disk is full; free some space"):
        run.write_json("a.json", {"new": 2})
    assert run.read_json("a.json") == {"old": 1}
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_other_errors_pass_and_leave_nothing_aside(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(file: Any) -> None:
        raise error

    with pytest.raises(error):
        write_aside(tmp_path / "a", fail)
    assert names(tmp_path) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("I am a file")
    for run in (Run(tmp_path / "runs"), Run(tmp_path / "runs" / "deep")):
        with pytest.raises(ReslabError, match="a file is in the place of a folder; choose") as caught:
            run.make()
        assert caught.value.exit_code == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReslabError, match="permission denied; choose another folder"):
        Run(tmp_path / "run").make()


def test_json_keeps_what_json_has(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_json("a.json", {"nan": float("nan"), "deep": [1.5, (float("inf"), "é")], 3: True})
    assert run.read_json("a.json") == {"nan": None, "deep": [1.5, [None, "é"]], "3": True}
    assert "NaN" not in run.path("a.json").read_text()
    assert finite({"x": -float("inf"), "n": 0.0}) == {"x": None, "n": 0.0}


def test_a_folder_that_is_no_run_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run folder: it has no spec\.json"):
        Run(tmp_path).read_json("spec.json")
    (tmp_path / "spec.json").write_text('{"cut": ')
    with pytest.raises(ReslabError, match=r"spec\.json is damaged") as caught:
        Run(tmp_path).read_json("spec.json")
    assert not isinstance(caught.value, UsageError)


def test_a_line_cut_by_a_crash_is_not_read_and_goes(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.metrics() == []
    for t in range(4):
        run.log(event="train", iteration=t, loss=float("nan") if t == 3 else t / 2)
    with run.path("metrics.jsonl").open("a") as file:
        file.write('{"event": "train", "itera')
    assert [event["iteration"] for event in run.metrics()] == [0, 1, 2, 3]
    assert run.metrics()[3]["loss"] is None
    run.forget_after(2)
    run.log(event="resume", iteration=2)
    assert [(event["event"], event["iteration"]) for event in run.metrics()] == [
        ("train", 0), ("train", 1), ("train", 2), ("resume", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ['{"event": "tr\x00}', '{"event": "tr', "[1]", '{"a": 1}{"b": 2}'])
def test_a_damaged_line_is_named_and_goes(tmp_path: Path, bad: str) -> None:
    run = Run(tmp_path)
    run.log(event="train", iteration=1)
    with run.path("metrics.jsonl").open("a") as file:
        file.write(bad + "\n")
    run.log(event="train", iteration=2)
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: line 2 is damaged and skipped"):
        run.forget_after(2)
    assert [event["iteration"] for event in run.metrics()] == [1, 2]


def test_a_command_is_stored_so_that_a_shell_reads_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/bin/reslab", "train", "--data", "my photos", "--out", "it's"]
    monkeypatch.setattr(sys, "argv", words)
    assert shlex.split(command_line()) == ["reslab", *words[1:]]


def test_a_file_missing_from_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(ReslabError, match=r"normalize\.json is missing; restore a copy") as caught:
        Run(tmp_path).read_json("normalize.json")
    assert caught.value.exit_code == 1


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(ReslabError, match=r"page\.html: it is a folder; give a file"):
        write_aside(tmp_path / "page.html", lambda file: file.write(b""))
    assert names(tmp_path) == ["page.html"]


def test_a_log_on_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(ReslabError, match="the disk is full"):
        Run(tmp_path).log(event="train", iteration=1)


def test_a_second_training_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    refused = pytest.raises(ReslabError, match="another process is training here; wait for it or stop it")
    with run.lock(), refused, Run(tmp_path).lock():
        pass
    with run.lock():
        pass  # and free again


HOLDER = """
import os, sys, time
from pathlib import Path
from reslab.run import Run
with Run(sys.argv[1]).lock():
    if os.fork() == 0:
        print("held", flush=True)
    time.sleep(60)  # both: the worker does not notice that its parent is gone
"""


def test_the_lock_of_a_killed_process_is_free_though_its_workers_live(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)  # fmt: skip
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ReslabError, match="another process is training here"), Run(tmp_path).lock():
            pass
        holder.kill()
        holder.wait()
        with Run(tmp_path).lock():
            pass
    finally:
        os.killpg(holder.pid, signal.SIGKILL)  # its worker
        holder.wait()
        holder.stdout.close()


def test_sweep_takes_only_what_was_left_aside(tmp_path: Path) -> None:
    for name in ("last.pt", ".last.pt.x1y2", ".report.html.abc", ".lock", "weights.safetensors"):
        (tmp_path / name).write_text("")
    sweep(tmp_path, ("last.pt", "weights.safetensors"))
    assert names(tmp_path) == [".lock", ".report.html.abc", "last.pt", "weights.safetensors"]


def test_the_environment_is_json_and_true() -> None:
    import torch

    found = environment("cpu", 3)
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__
    assert (found["device"], found["threads"]) == ("cpu", 3)
    assert found["device_name"]
    assert found["commit"] == commit()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "it lacks mean, std"),
        ('{"mean": [[[1]]]}', "it lacks std"),
        ("[]", "it must be an object, got an empty list"),
        ("3", "it must be an object, got 3"),
        ('{"mean": 1, "std": 1}', r"\.mean must be a list, got 1"),
    ],
)
def test_json_without_its_keys_is_damaged(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "normalize.json").write_text(text)
    with pytest.raises(ReslabError, match=rf"normalize\.json is damaged: {said}; restore a copy"):
        Run(tmp_path).read_json("normalize.json", "mean", "std")


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("fcntl.flock", errno.ENOLCK, "has no locks"),
        ("fcntl.flock", errno.EOPNOTSUPP, "has no locks"),
        ("os.fsync", errno.EINVAL, "cannot sync files"),
        ("os.fsync", errno.EOPNOTSUPP, "cannot sync files"),
        ("os.chmod", errno.EPERM, "does not let permissions be set"),
        ("os.chmod", errno.EOPNOTSUPP, "does not let permissions be set"),
    ],
)
def test_what_a_file_system_cannot_do_is_warned_about_once(
    name: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lustre and NFS without locks, CIFS without modes, FUSE without fsync: runs are possible all the same."""

    def refuses(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"reslab.run.{name}", refuses)
    monkeypatch.setattr(write_file, "WARNED", set())
    run = Run(tmp_path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with run.lock():
            run.write_text("a.txt", "x")
            run.write_text("b.txt", "y")
    assert (run.path("a.txt").read_text(), run.path("b.txt").read_text()) == ("x", "y")
    (one,) = warned
    assert issubclass(one.category, ReslabWarning)
    assert said in str(one.message)
    assert not list(tmp_path.glob(".*.txt.*"))


def test_a_disk_error_while_syncing_is_still_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("reslab.stored.write.os.fsync", refuses)
    with pytest.raises(ReslabError, match=r"cannot write .*a\.txt: Input/output error"):
        Run(tmp_path).write_text("a.txt", "x")
    assert not list(tmp_path.iterdir())
