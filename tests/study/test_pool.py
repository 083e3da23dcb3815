"""The scheduler: order, needs, failures, stops; with hands that do nothing, so that every step can be followed."""

import os
import signal
import threading
import time
from typing import Any

import pytest

from reslab.study import pool
from reslab.study.pool import Busy, Failed, Outcome, work_off
from reslab.train.signals import Interrupted


class Fake:
    """A hand that answers from a table, and writes down what it was asked."""

    def __init__(self, told: list[str], answers: dict[str, list[Outcome]] | None = None) -> None:
        self.told, self.answers = told, answers or {}

    def do(self, task: str) -> Outcome:
        self.told.append(task)
        return self.answers[task].pop(0) if self.answers.get(task) else None

    def stop(self) -> None:
        self.told.append("stop")

    def close(self) -> None:
        self.told.append("close")


def test_the_first_ready_task_of_the_greatest_cost() -> None:
    """d costs most but waits for a; b and c cost the same: the first in order."""
    told: list[str] = []
    costs = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 9.0}
    assert work_off({"a": (), "b": (), "c": (), "d": ("a",)}, [Fake(told)], first=costs.__getitem__) == {}
    assert told == ["b", "c", "a", "d", "close"]


def test_what_is_needed_from_elsewhere_is_done() -> None:
    told: list[str] = []
    work_off({"a": ("not a task of this call",)}, [Fake(told)])
    assert told == ["a", "close"]


def test_what_does_not_need_the_failed_task_is_finished() -> None:
    told: list[str] = []
    no = Failed(why="no")
    needs = {"a": (), "b": ("a",), "c": ("b",), "d": (), "e": ("d",)}
    assert work_off(needs, [Fake(told, {"a": [no]})], go_on=True) == {"a": no}
    assert told == ["a", "d", "e", "close"]


def test_without_go_on_nothing_is_begun_after_a_failure() -> None:
    told: list[str] = []
    no = Failed(why="no")
    assert work_off({"a": (), "b": ()}, [Fake(told, {"a": [no]})]) == {"a": no}
    assert [one for one in told if one != "stop"] == ["a", "close"]


def test_a_task_whose_hand_dies_is_done_once_more() -> None:
    told: list[str] = []
    died = Failed(why="killed", died=True)
    assert work_off({"a": (), "b": ()}, [Fake(told, {"a": [died, None], "b": [died, died]})], go_on=True) == {"b": died}
    assert told == ["a", "a", "b", "b", "close"]


def test_what_another_command_does_is_asked_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others come first; it is not counted as a failure however often it is busy."""
    monkeypatch.setattr(pool, "AGAIN", 0.05)
    told: list[str] = []
    work_off({"a": (), "b": (), "c": ("a",)}, [Fake(told, {"a": [Busy(), Busy(), Busy()]})])
    assert told == ["a", "b", "a", "a", "a", "c", "close"]


def test_a_fault_of_a_hand_is_raised_after_all_have_stopped() -> None:
    class Broken(Fake):
        def do(self, task: str) -> Outcome:
            raise ZeroDivisionError(task)

    told: list[str] = []
    with pytest.raises(ZeroDivisionError, match="a"):
        work_off({"a": (), "b": ()}, [Broken(told)], go_on=True)
    assert told[-1] == "close"


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_signal_asks_each_hand_once() -> None:
    class Slow(Fake):
        def __init__(self, told: list[str]) -> None:
            super().__init__(told)
            self.asked = threading.Event()

        def do(self, task: str) -> Outcome:
            self.told.append(task)
            os.kill(os.getpid(), signal.SIGTERM) if task == "a" else None
            self.asked.wait(20)
            time.sleep(0.6)  # longer than the scheduler waits between two looks
            return Failed(why="stopped")

        def stop(self) -> None:
            super().stop()
            self.asked.set()

    told: list[list[str]] = [[], []]
    with pytest.raises(Interrupted, match=r"^stopped; run the same command again to resume$") as caught:
        work_off({"a": (), "b": (), "c": ()}, [Slow(each) for each in told], go_on=True)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert sorted(one for each in told for one in each) == ["a", "b", "close", "close", "stop", "stop"]


def test_two_hands_work_at_the_same_time() -> None:
    """Each waits for the other at a barrier: one after the other they would break it."""
    both = threading.Barrier(2, timeout=20)

    class Meeting(Fake):
        def do(self, task: Any) -> Outcome:
            both.wait()
            return super().do(task)

    told: list[str] = []
    hands = [Meeting(told) for _ in range(2)]
    work_off({"a": (), "b": ()}, hands)
    assert sorted(told) == ["a", "b", "close", "close"]
