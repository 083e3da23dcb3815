"""Toy programs stand in for ranks: killed, failing, asked to stop, left alone."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from launch_toys import Toys, ended, runs, state, until

from reslab.errors import UsageError
from reslab.launch import supervise
from reslab.launch.coordinator import AT_ONCE
from reslab.train.cores import usable_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
Make = Callable[[str], Toys]


def test_each_rank_has_torchruns_variables(toys: Make) -> None:
    """Rank 0 prints where the supervisor does; the others' output is not shown."""
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT RESLAB_CORES".split()
    run = toys(f"(here / str(rank)).write_text(' '.join(os.environ[name] for name in {names}))\nprint('rank', rank)")
    done = run.run("nproc=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "rank 0\n", "")
    ranks = [(run.folder / str(k)).read_text().split() for k in range(3)]
    port, cores = ranks[0][5], str(max(1, usable_cores() // 3))
    assert ranks == [[str(k), str(k), "3", "3", "127.0.0.1", port, cores] for k in range(3)]
    assert 1024 < int(port) < 65536


def test_all_start_again_when_one_is_killed(toys: Make) -> None:
    """Rank 1 kills itself at its first start; rank 0 is ended, and both are started again at another port."""
    run = toys(
        "print(rank, start, os.environ['MASTER_PORT'], flush=True)\n(here / f'said.{rank}').touch()\n"
        "if start == 1:\n    see('said.0')\n    os.kill(os.getpid(), signal.SIGKILL) if rank else time.sleep(60)"
    )
    done = run.run("nproc=2")
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["0", "1"], ["0", "2"]]
    assert done.stderr == (
        f"[rank 1] 1 1 {done.stdout.split()[2]}\nrank 1 was killed by signal 9 (SIGKILL; out of memory?); restarting "
        "all processes from the last checkpoint (restart 1 of 5 without a new one)\n"
    )
    assert [len(run.pids(k)) for k in (0, 1)] == [2, 2]


@pytest.mark.parametrize("code", [1, 2])
def test_a_clear_failure_is_not_tried_again(toys: Make, code: int) -> None:
    """Rank 1 says what is wrong; rank 0, which has lost it, says that it may try again."""
    run = toys(f"time.sleep(0.2 * (1 - rank))\nprint('reslab: no such net', rank)\nsys.exit({code} if rank else AGAIN)")
    done = run.run("nproc=2")
    assert (done.returncode, done.stdout) == (code, "reslab: no such net 0\n")
    assert done.stderr == f"rank 1 ended with exit code {code} (no such net 1)\n"
    assert len(run.pids(0)) == 1


def test_what_rank_0_has_said_is_not_said_again(toys: Make) -> None:
    done = toys("print('no such net', file=sys.stderr)\nsys.exit(2)").run("nproc=3")
    assert (done.returncode, done.stderr) == (2, "no such net\n")


def test_it_gives_up_without_new_checkpoints(toys: Make) -> None:
    """Starts 1 to 3 write one each, so that restarts are counted from the third: it and 2 restarts make 5 starts."""
    run = toys("if rank == 0 and start <= 3:\n    tell_saved()\ntime.sleep(0.2)\nsys.exit(AGAIN)")
    done = run.run("nproc=1", "restarts=2")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "rank 0 ended with exit code 75; gave up after 2 restarts without a new checkpoint; run the same command "
        "again to resume"
    )
    assert len(run.pids(0)) == 5


WAITING = """
def leave(number, frame):
    (here / f"saved.{rank}").write_text(str(number))
    sys.exit(128 + number)
signal.signal(signal.SIGINT, leave)
signal.signal(signal.SIGTERM, leave)
(here / f"ready.{rank}").touch()
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_reaches_every_rank(toys: Make, number: signal.Signals) -> None:
    run = toys(WAITING)
    supervisor = run.start("nproc=2")
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in (0, 1)))
    supervisor.send_signal(number)
    done = ended(supervisor)
    assert (done.returncode, done.stderr) == (128 + number, "")
    assert [(run.folder / f"saved.{k}").read_text() for k in (0, 1)] == [str(int(number))] * 2


def test_a_rank_that_is_asked_alone_takes_the_others_along(toys: Make) -> None:
    run = toys(WAITING)
    supervisor = run.start("nproc=2")
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in (0, 1)))
    os.kill(run.pids(1)[0], signal.SIGTERM)
    assert ended(supervisor).returncode == 143
    assert (run.folder / "saved.0").exists()
    assert len(run.pids(0)) == 1


def test_a_second_ctrl_c_ends_all_at_once(toys: Make) -> None:
    run = toys("signal.signal(signal.SIGINT, signal.SIG_IGN)\n(here / f'ready.{rank}').touch()\ntime.sleep(60)")
    supervisor = run.start("nproc=2")
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in (0, 1)))
    supervisor.send_signal(signal.SIGINT)
    time.sleep(0.8)
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGINT)
    done = ended(supervisor, seconds=10)
    assert (done.returncode, done.stderr) == (130, f"{AT_ONCE}\n")
    assert not any(runs(run.pids(k)[0]) for k in (0, 1))


def test_two_signals_at_once_are_one(toys: Make) -> None:
    """Ctrl-C and the same as `timeout` forwards it: every rank saves and leaves, as after one."""
    run = toys("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITING.replace("SIGTERM, leave", "SIGUSR1, leave"))
    supervisor = run.start("nproc=2")
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in (0, 1)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        supervisor.send_signal(number)
        time.sleep(0.1)
    done = ended(supervisor)
    assert (done.returncode, done.stderr) == (130, "")
    assert [(run.folder / f"saved.{k}").read_text() for k in (0, 1)] == ["2", "2"]


@pytest.mark.parametrize("code", [0, 130])
def test_nothing_is_said_of_ranks_that_rank_0_left_behind(toys: Make, code: int) -> None:
    """It has written all and said so; that another then finds it gone is no failure."""
    run = toys(
        "see('go')\nif rank:\n    see('gone')\n    print('frame #30')\n    sys.exit(AGAIN)\n"
        f"(here / 'gone').touch()\nprint('all is well')\nsys.exit({code})"
    )
    supervisor = run.start("nproc=3")
    run.wait(0, 1, 2)
    (run.folder / "go").touch()
    done = ended(supervisor)
    assert (done.returncode, done.stdout, done.stderr) == (code, "all is well\n", "")
    assert len(run.pids(1)) == 1


def test_who_outlives_rank_0_is_ended(toys: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toys("time.sleep(60 * rank)")
    monkeypatch.setattr("reslab.launch.group.LINGER", 0.3)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    said: list[str] = []
    assert supervise([sys.executable, str(run.program), str(run.folder)], nproc=2, say=said.append) == 0
    assert said == []
    assert not runs(run.pids(1)[0])


def test_asked_to_stop_while_ranks_start(toys: Make) -> None:
    """Before they can save, the signal ends them: it is no failure."""
    run = toys("time.sleep(60)")
    supervisor = run.start("nproc=2")
    run.wait(0, 1)
    supervisor.send_signal(signal.SIGTERM)
    done = ended(supervisor)
    assert (done.returncode, done.stderr) == (143, "stopped; run the same command again to resume\n")
    assert [len(run.pids(k)) for k in (0, 1)] == [1, 1]


def test_asked_to_stop_between_two_starts(toys: Make) -> None:
    """After two failures at once, the third start waits for a second."""
    run = toys("if rank:\n    sys.exit(AGAIN)\ntime.sleep(60)")
    supervisor = run.start("nproc=2")
    run.wait(0, 1, starts=2)
    assert supervisor.stderr is not None
    lines = [supervisor.stderr.readline() for _ in range(2)]
    supervisor.send_signal(signal.SIGTERM)
    done = ended(supervisor)
    assert lines[1].endswith("(restart 2 of 5 without a new one)\n")
    assert (done.returncode, done.stderr) == (143, "stopped; run the same command again to resume\n")


def test_who_ignores_sigterm_is_killed_after_the_grace(toys: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = toys(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n(here / f'ready.{rank}.{start}').touch()\n"
        "while start == 1:\n    time.sleep(0.05)"
    )
    monkeypatch.setattr("reslab.launch.group.GRACE", 0.5)
    monkeypatch.delenv("WORLD_SIZE", raising=False)

    def kill() -> None:
        until(lambda: all((run.folder / f"ready.{k}.1").exists() for k in (0, 1)))
        os.kill(run.pids(1)[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    began = time.monotonic()
    assert supervise([sys.executable, str(run.program), str(run.folder)], nproc=2, say=print) == 0
    killer.join()
    assert 0.5 < time.monotonic() - began < 20
    assert [len(run.pids(k)) for k in (0, 1)] == [2, 2]
    assert not runs(run.pids(0)[0])


def test_ctrl_z_halts_the_ranks_too(toys: Make) -> None:
    run = toys("(here / f'ready.{rank}').touch()\nsee('go')")
    supervisor = run.start("nproc=2")
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in (0, 1)))
    everyone = [supervisor.pid, *run.wait(0, 1)]
    supervisor.send_signal(signal.SIGTSTP)
    until(lambda: [state(pid) for pid in everyone] == ["T"] * 3)
    supervisor.send_signal(signal.SIGCONT)
    until(lambda: "T" not in [state(pid) for pid in everyone])
    (run.folder / "go").touch()
    assert ended(supervisor).returncode == 0


def test_a_rank_without_reader_is_no_failure(toys: Make) -> None:
    """Exit code 141, as after `| head`; any other number that no signal explains may be gone at the next try."""
    assert toys("sys.exit(141)").run("nproc=1").returncode == 141
    done = toys("sys.exit(200)").run("nproc=1", "restarts=0")
    assert (done.returncode, done.stderr[:34]) == (1, "rank 0 ended with exit code 200; g")


@pytest.mark.parametrize("end", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_a_rank_started_ends_with_it(toys: Make, end: str) -> None:
    """Such as the processes that decode images."""
    run = toys(
        "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
        "(here / f'child.{rank}').write_text(str(child.pid))\n(here / f'ready.{rank}').touch()\n"
        f"see('ready.0')\nsee('ready.1')\n{end}"
    )
    run.run("nproc=2", "restarts=0")
    assert not any(runs(int((run.folder / f"child.{k}").read_text())) for k in (0, 1))


def test_no_rank_outlives_its_supervisor(toys: Make) -> None:
    """SIGKILL of the supervisor, which can do nothing more."""
    run = toys("time.sleep(60)")
    supervisor = run.start("nproc=2")
    ranks = run.wait(0, 1)
    supervisor.kill()
    supervisor.wait()
    until(lambda: not any(map(runs, ranks)), seconds=5)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"nproc": 0}, "nproc must be at least 1, got 0"),
        ({"nproc": 2, "restarts": -1}, "restarts must be at least 0, got -1"),
        ({"nproc": 2, "nodes": 2, "node": 2, "master": "a:1"}, "node must be 0 to 1 of 2 machines, got 2"),
        ({"nproc": 2, "nodes": 2}, "several machines meet at machine 0: give its HOST:PORT as master"),
        ({"nproc": 2, "master": "a:1"}, "master is for several machines: give their number as nodes"),
        ({"nproc": 2, "nodes": 2, "master": "a"}, "master must be HOST:PORT, such as node0:29400, got 'a'"),
        ({"nproc": 2, "nodes": 2, "master": "a:0"}, "master must be HOST:PORT, such as node0:29400, got 'a:0'"),
    ],
)
def test_numbers_that_do_not_fit(wrong: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        supervise(["true"], say=print, **wrong)  # type: ignore
    assert str(caught.value) == sentence


def test_not_within_another_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"^this process is one of several that torchrun .* leave out nproc$"):
        supervise(["true"], say=print, nproc=2)


def test_a_command_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="missing"):
        supervise([str(tmp_path / "missing")], say=print, nproc=2)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
