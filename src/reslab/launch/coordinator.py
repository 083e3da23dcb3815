"""What all machines do together: start, end and start again, leave. It hears what happened and gives orders."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reslab.launch.group import ASKED, SETTLE, STOPPED, WELL

Message = dict[str, Any]
WAIT = 600.0  # seconds in which every machine must be there, at the start and after one was lost
AT_ONCE = ("asked to stop a second time: all processes end at once; run the same command again to resume from the last "
           "checkpoint")  # fmt: skip
PAUSES = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds before a restart, by how many were without a checkpoint


@dataclass
class Machine:
    """What is known of a machine."""

    count: int  # of its ranks
    ready: bool = True  # none of them runs, as it said after the last order to end them
    ended: int | None = None  # their exit code


@dataclass
class Coordinator:
    """It has no sockets and no processes: `hear`, `lost` and `tick` put orders into `orders`, as (machine, message).

    A generation is one start of all ranks; what is said about an earlier one is not heard.
    """

    nodes: int
    restarts: int  # the most without a new checkpoint between them
    address: str  # of machine 0, where the ranks meet
    port: Callable[[], int]  # a free one there
    clock: Callable[[], float] = time.monotonic
    machines: dict[int, Machine] = field(default_factory=dict)
    orders: list[tuple[int, Message]] = field(default_factory=list)
    generation: int = 0
    running: bool = False
    left: bool = False
    stopping: int = 0  # the signal that asked to stop
    tries: int = 0  # restarts since the last new checkpoint
    word: str = ""  # of machine 0 at its end
    not_before: float = 0.0
    supposed: tuple[float, str] | None = None  # when to start again, and why, unless a better reason comes before
    missing_since: float = 0.0

    def __post_init__(self) -> None:
        self.missing_since = self.clock()

    def hear(self, node: int, message: Message) -> None:
        """What a machine says. Raises KeyError, TypeError or ValueError for what no supervisor says."""
        match message["say"]:
            case "hello":
                self.machines[node] = Machine(count=int(message["count"]))
            case "ready" if message["generation"] == self.generation:
                self.machines[node].ready = True
            case "saved":
                self.tries = 0
            case "ended" if not self.left and message["generation"] == self.generation:
                self.ended(node, int(message["code"]), str(message["why"]), again=bool(message["again"]),
                           killed=bool(message["killed"]))  # fmt: skip
            case "stop":
                self.stop(int(message["signal"]))
            case "abandon":
                self.leave(ASKED + int(message["signal"]), AT_ONCE, at_once=True)

    def tick(self) -> None:
        """Start if all are there and ready; give up if one has been missing for too long. Call it often."""
        if self.supposed and self.running and self.clock() >= self.supposed[0]:
            self.again(self.supposed[1])
        if self.left or self.running:
            return
        if self.stopping:
            self.leave(ASKED + self.stopping, STOPPED)
        elif len(self.machines) < self.nodes:
            if self.clock() > self.missing_since + WAIT:
                missing = next(node for node in range(self.nodes) if node not in self.machines)
                self.leave(1, f"machine {missing} was not there for {WAIT / 60:.0f} minutes; run the command on every "
                              "machine again")  # fmt: skip
        elif all(one.ready for one in self.machines.values()) and self.clock() >= self.not_before:
            self.start()

    def start(self) -> None:
        self.generation += 1
        self.running, self.supposed = True, None
        port, first = self.port(), 0
        world = sum(one.count for one in self.machines.values())
        for node, one in sorted(self.machines.items()):
            one.ready, one.ended = False, None
            self.orders.append((node, {"do": "start", "generation": self.generation, "address": self.address,
                                       "port": port, "first": first, "world": world}))  # fmt: skip
            first += one.count

    def ended(self, node: int, code: int, why: str, *, again: bool, killed: bool) -> None:
        """All ranks of a machine ended well, or one of them failed."""
        self.machines[node].ended = code
        if self.done:
            self.supposed = None
            if node == 0:
                self.word = why
            self.leave_if_all_ended()
            return
        if code in WELL:
            return
        if self.nodes > 1:
            why = f"machine {node}: {why}" if why else f"machine {node} failed"
        if self.stopping:
            self.leave(ASKED + self.stopping, why)
        elif not again:
            self.leave(code, why)
        elif self.running and (killed or self.nodes == 1):
            self.again(why)
        elif self.running and self.supposed is None:  # it may have lost a rank of another machine, which says why
            self.supposed = (self.clock() + SETTLE, why)

    @property
    def done(self) -> bool:
        """Whether machine 0, and so rank 0, ended well: all is written, and it does not matter how the others end."""
        return 0 in self.machines and self.machines[0].ended in WELL

    def leave_if_all_ended(self) -> None:
        code = self.machines[0].ended
        if code is not None and all(one.ended is not None for one in self.machines.values()):
            self.leave(code, self.word)

    def again(self, why: str) -> None:
        """End all ranks, to start them again."""
        self.tries += 1
        if self.tries > self.restarts:
            self.leave(1, f"{why}; gave up after {self.restarts} restart{'s' * (self.restarts != 1)} without a new "
                          "checkpoint; run the same command again to resume")  # fmt: skip
            return
        self.running = False
        self.not_before = self.clock() + PAUSES[min(self.tries, len(PAUSES) - 1)]
        for node, one in self.machines.items():
            one.ready = False
            self.orders.append((node, {"do": "end", "why": f"{why}; restarting all processes from the last checkpoint "
                                                           f"(restart {self.tries} of {self.restarts} without a new "
                                                           "one)"}))  # fmt: skip

    def lost(self, node: int, why: str) -> None:
        """The connection to a machine is gone: its ranks end by themselves, and it may come again."""
        if node not in self.machines:
            return
        del self.machines[node]
        self.missing_since = self.clock()
        if self.left:
            return
        if self.done:
            self.leave_if_all_ended()
        elif self.running:
            self.again(f"machine {node}: {why}")

    def stop(self, number: int) -> None:
        """Some machine was asked to stop: every rank saves and leaves."""
        self.stopping = self.stopping or number
        if self.running:
            for node in self.machines:
                self.orders.append((node, {"do": "stop", "signal": self.stopping}))

    def leave(self, code: int, why: str = "", *, at_once: bool = False) -> None:
        if not self.left:
            self.left = True
            for node in self.machines:
                self.orders.append((node, {"do": "leave", "code": code, "why": why, "at_once": at_once}))
