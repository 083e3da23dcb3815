"""What machine 0 decides, by a clock of the test's own: without sockets and processes."""

from typing import Any

from reslab.launch.coordinator import Coordinator


def coordinator(now: list[float], *, nodes: int = 1, restarts: int = 9) -> Coordinator:
    """All machines are there, with one rank each, and have been told to start."""
    made = Coordinator(nodes=nodes, restarts=restarts, address="here", port=lambda: 1, clock=lambda: now[0])
    for node in range(nodes):
        made.hear(node, {"say": "hello", "count": 1})
    made.tick()
    return made


def told(made: Coordinator) -> list[tuple[int, str]]:
    """(machine, order) of those since the last call."""
    found = [(node, order["do"]) for node, order in made.orders]
    made.orders.clear()
    return found


def ended(made: Coordinator, node: int = 0, *, code: int = 1, **how: Any) -> None:
    about = {"why": "it failed", "again": code not in (0, 1, 2), "killed": False, **how}
    made.hear(node, {"say": "ended", "generation": made.generation, "code": code, **about})


def test_restarts_without_a_checkpoint_wait_ever_longer() -> None:
    """0, 1, 2, 4, 8 seconds; after a new checkpoint it is at once again."""
    now = [0.0]
    made = coordinator(now)
    assert told(made) == [(0, "start")]
    for pause in (0, 1, 2, 4, 8):
        ended(made, code=75)
        made.hear(0, {"say": "ready", "generation": made.generation})
        if pause:
            now[0] += pause - 0.01
            made.tick()
            assert told(made) == [(0, "end")]
            now[0] += 0.02
        made.tick()
        assert told(made)[-1] == (0, "start")
    made.hear(0, {"say": "saved"})
    ended(made, code=75)
    made.hear(0, {"say": "ready", "generation": made.generation})
    made.tick()
    assert told(made) == [(0, "end"), (0, "start")]


def test_the_end_of_rank_0_is_that_of_all() -> None:
    """Whichever machine tells first: machine 1, which lost rank 0, or machine 0, which had ended well."""
    for first in (0, 1):
        now = [0.0]
        made = coordinator(now, nodes=2)
        told(made)
        for node in (first, 1 - first):
            assert told(made) == []
            ended(made, node, code=75 * node, why="" if node == 0 else "rank 1 lost another")
        assert made.orders == [(node, {"do": "leave", "code": 0, "why": "", "at_once": False}) for node in (0, 1)]


def test_a_machine_that_is_lost_after_the_end_is_not_waited_for() -> None:
    made = coordinator([0.0], nodes=2)
    told(made)
    ended(made, 0, code=0, why="")
    made.lost(1, "its supervisor is gone")
    assert told(made) == [(0, "leave")]


def test_a_stop_between_two_starts_is_a_sentence() -> None:
    made = coordinator([0.0])
    ended(made, code=75)
    made.hear(0, {"say": "stop", "signal": 15})
    made.tick()
    assert made.orders[-1] == (0, {"do": "leave", "code": 143, "at_once": False,
                                   "why": "stopped; run the same command again to resume"})  # fmt: skip
