"""Several supervisors on this machine as if each were on one of its own."""

import signal
import socket
import sys
from collections.abc import Callable

import pytest
from launch_toys import Toys, ended, runs, until

from reslab.launch.network import free_port, interface, place
from reslab.launch.wire import Wire
from reslab.version import __version__

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
Make = Callable[[str], Toys]


def two(run: Toys, **options: int) -> list[object]:
    """Supervisors of machine 0, with 2 ranks, and of machine 1, with 1."""
    words = ["nodes=2", f"master=127.0.0.1:{free_port()}", *(f"{key}={value}" for key, value in options.items())]
    return [run.start("nproc=2", "node=0", *words), run.start("nproc=1", "node=1", *words)]


def test_ranks_are_numbered_over_all_machines(toys: Make) -> None:
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT".split()
    run = toys(f"(here / str(rank)).write_text(' '.join(os.environ[name] for name in {names}))")
    assert [ended(one).returncode for one in two(run)] == [0, 0]
    ranks = [(run.folder / str(k)).read_text().split() for k in range(3)]
    port = ranks[0][5]
    assert ranks == [[*"0032", "127.0.0.1", port], [*"1132", "127.0.0.1", port], [*"2031", "127.0.0.1", port]]


def test_all_machines_start_again_together(toys: Make) -> None:
    """Rank 2, on machine 1, is killed at its first start: both supervisors say so."""
    run = toys(
        "for k in range(3):\n    see(f'start.{k}.{start}')\n"
        "if start == 1:\n    os.kill(os.getpid(), signal.SIGKILL) if rank == 2 else time.sleep(60)"
    )
    done = [ended(one) for one in two(run)]
    assert [one.returncode for one in done] == [0, 0]
    assert [len(run.pids(k)) for k in range(3)] == [2, 2, 2]
    why = "machine 1: rank 2 was killed by signal 9 (SIGKILL; out of memory?); restarting all processes from the last"
    assert all(why in one.stderr for one in done)


def test_a_clear_failure_ends_all_machines(toys: Make) -> None:
    """The others have lost rank 2 and say that they may try again: they say so first, the reason comes later."""
    run = toys("if rank == 2:\n    time.sleep(0.5)\n    print('reslab: no such net')\n    sys.exit(2)\nsys.exit(AGAIN)")
    done = [ended(one) for one in two(run)]
    assert [one.returncode for one in done] == [2, 2]
    assert [len(run.pids(k)) for k in range(3)] == [1, 1, 1]
    assert done[0].stderr.splitlines()[-1] == "machine 1: rank 2 ended with exit code 2 (no such net)"


def test_a_machine_that_is_lost_may_come_again(toys: Make) -> None:
    """The supervisor of machine 1 is killed: its rank ends with it, the others are ended, and all go on when it is
    there again."""
    run = toys("see('go')")
    zero, one = two(run)
    first = run.wait(0, 1, 2)
    one.kill()
    until(lambda: not any(map(runs, first)))
    words = one.args[4:]
    again = run.start(*words[1:])
    run.wait(0, 1, 2, starts=2)
    (run.folder / "go").touch()
    assert (ended(again).returncode, ended(zero).returncode) == (0, 0)


def test_machine_0_may_come_again(toys: Make) -> None:
    run = toys("see('go')")
    zero, one = two(run)
    first = run.wait(0, 1, 2)
    zero.kill()
    until(lambda: not any(map(runs, first)))
    again = run.start(*zero.args[5:])
    run.wait(0, 1, 2, starts=2)
    (run.folder / "go").touch()
    done = [ended(again), ended(one)]
    assert [each.returncode for each in done] == [0, 0]
    assert "machine 0: its supervisor is gone; waiting for it" in done[1].stderr


@pytest.mark.slow  # 20 seconds of silence
def test_a_machine_that_was_silent_comes_again(toys: Make) -> None:
    """The supervisor of machine 1 is halted, then goes on: it finds itself given up, ends its rank and says hello."""
    run = toys("see('go')")
    zero, one = two(run)
    first = run.wait(0, 1, 2)
    one.send_signal(signal.SIGSTOP)
    until(lambda: not any(map(runs, first[:2])), seconds=60)
    assert runs(first[2])
    one.send_signal(signal.SIGCONT)
    until(lambda: not runs(first[2]))
    run.wait(0, 1, 2, starts=2)
    (run.folder / "go").touch()
    done = [ended(zero), ended(one)]
    assert [each.returncode for each in done] == [0, 0]
    assert "machine 1: no sign of life for 20 seconds; restarting all processes" in done[0].stderr


@pytest.mark.parametrize("asked", [0, 1])
def test_a_request_to_stop_reaches_all_machines(toys: Make, asked: int) -> None:
    run = toys(
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))\n"
        "(here / f'ready.{rank}').touch()\nwhile True:\n    time.sleep(0.05)"
    )
    supervisors = two(run)
    until(lambda: all((run.folder / f"ready.{k}").exists() for k in range(3)))
    supervisors[asked].send_signal(signal.SIGTERM)
    assert [ended(one).returncode for one in supervisors] == [143, 143]


def test_what_follows_rank_0_is_no_failure(toys: Make) -> None:
    """Rank 2, on machine 1, finds rank 0 gone, which has written all."""
    run = toys("see('go')\nif rank == 2:\n    time.sleep(0.2)\n    sys.exit(AGAIN)")
    supervisors = two(run)
    run.wait(0, 1, 2)
    (run.folder / "go").touch()
    done = [ended(one) for one in supervisors]
    assert [one.returncode for one in done] == [0, 0]
    assert [len(run.pids(k)) for k in range(3)] == [1, 1, 1]
    assert not any("rank" in one.stderr for one in done)


def test_strangers_and_other_versions(toys: Make) -> None:
    """Nonsense is not answered, another version is told so, and a second machine 1 waits; the right one is taken in."""
    run = toys("see('go')")
    port = free_port()
    words = ["nproc=1", "nodes=2", f"master=127.0.0.1:{port}"]
    zero = run.start(*words, "node=0")
    until(lambda: answers(port))
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b'{"say": "abandon", "signal": 2}\n', b"[]\n", b"x" * 70_000):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
            stranger.sendall(nonsense)
            stranger.settimeout(10)
            assert received(stranger) == b""
    other = told(port, version="0.0", node=1, nodes=2)
    assert other == {"do": "leave", "code": 2, "at_once": True, "why": f"machine 0 has reslab {__version__}, machine 1 "
                     "0.0; install one version on all"}  # fmt: skip
    assert "expects machines 1 to 1 of 2, not machine 3 of 4" in str(told(port, version=__version__, node=3, nodes=4))
    one = run.start(*words, "node=1")
    run.wait(0, 1)
    assert told(port, version=__version__, node=1, nodes=2) == {"do": "later", "why": "there is a machine 1 already"}
    (run.folder / "go").touch()
    assert [ended(each).returncode for each in (zero, one)] == [0, 0]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionResetError:
        return b""


def told(port: int, **hello: object) -> dict[str, object]:
    """What a machine that says hello so is told first."""
    wire = Wire(socket.create_connection(("127.0.0.1", port), timeout=10))
    wire.say({"say": "hello", "count": 1, **hello})
    found: list[dict[str, object]] = []

    def heard() -> bool:
        found.extend(wire.messages())
        return bool(found)

    until(heard)
    wire.close()
    return found[0]


def test_a_silent_machine_is_lost() -> None:
    """After 20 seconds by the clock without a sign of life; the other end's beats are such signs."""
    now = [0.0]
    left, right = (Wire(one, clock=lambda: now[0]) for one in socket.socketpair())
    for now[0] in (0.0, 3.0, 6.0, 25.0, 25.0):
        assert list(left.messages()) == []
        assert list(right.messages()) == []
    assert (left.lost, right.lost) == ("", "")
    now[0] = 46.0
    assert list(left.messages()) == []
    assert left.lost == "no sign of life for 20 seconds"
    for one in (left, right):
        one.close()


def test_places_and_interfaces() -> None:
    assert [place(word) for word in ("node0:29400", "[fe80::1]:80")] == [("node0", 29400), ("fe80::1", 80)]
    assert interface("127.0.0.1") == "lo"
    assert interface("192.0.2.1") == ""  # an address for documentation, which no machine has
