"""The supervisor of one machine: it starts the ranks, watches them, passes on signals, and does what it is ordered."""

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from reslab.errors import UsageError, arg
from reslab.launch.coordinator import AT_ONCE, Coordinator
from reslab.launch.group import Group
from reslab.launch.links import Hub, Link, Spoke, listening
from reslab.launch.network import LOOPBACK, address_of, free_port, interface, place, way_to
from reslab.launch.wire import Message
from reslab.train.cores import usable_cores
from reslab.train.signals import ASKED, TOGETHER, WARNED
from reslab.train.supervised import CORES, SUPERVISOR
from reslab.version import __version__

RESTARTS = 5  # default: the most without a new checkpoint between them
TICK = 0.1  # seconds between two looks at the ranks


def supervise(
    command: Sequence[str], *, nproc: int, nodes: int = 1, node: int = 0, master: str = "", restarts: int = RESTARTS,
    say: Callable[[str], None],
) -> int:  # fmt: skip
    """Run `nproc` processes of the command on this machine, with torchrun's variables, to their end; its exit code.

    With `nodes` > 1 the same call runs on every machine with its own `node`; `master` is HOST:PORT of machine 0. If a
    process is killed or ends with another exit code than 1 and 2, as after lack of memory, all are ended and started
    again, at most `restarts` times without a new checkpoint. SIGINT, SIGTERM and warnings reach every process once;
    after a second SIGINT or SIGTERM, half a second later or more, all end at once. `say` is told each restart and why
    it gave up.

    Raises UsageError for numbers that do not fit together.
    """
    check(nproc=nproc, nodes=nodes, node=node, master=master, restarts=restarts)
    if nodes == 1:
        own = LOOPBACK
        link: Link = Hub(Coordinator(nodes=1, restarts=restarts, address=own, port=free_port), None, say)
    else:
        host, port = place(master)
        address = address_of(host)
        if node == 0:
            own = address
            coordinator = Coordinator(nodes=nodes, restarts=restarts, address=own, port=lambda: free_port(own))
            link = Hub(coordinator, listening(own, port), say)
            say(f"waiting for {nodes - 1} more machine{'s' * (nodes > 2)} at {own}:{port}")
        else:
            own = way_to(address)
            link = Spoke(address, port, hello(nproc, nodes=nodes, node=node), say)
            say(f"machine {node} of {nodes} looks for machine 0 at {address}:{port}")
    return Supervisor(command, nproc, link, say, fixed=settings(nproc, own)).run(hello(nproc, nodes=nodes, node=node))


def check(*, nproc: int, nodes: int, node: int, master: str, restarts: int) -> None:
    """Raise UsageError for numbers that do not fit together, or a system without sessions and signals of POSIX."""
    for name, value, least in (("nproc", nproc, 1), ("nodes", nodes, 1), ("node", node, 0), ("restarts", restarts, 0)):
        if value < least:
            raise UsageError(arg(name), f" must be at least {least}, got {value}")
    if node >= nodes:
        raise UsageError(arg("node"), f" must be 0 to {nodes - 1} of {nodes} machines, got {node}")
    if nodes > 1 and not master:
        raise UsageError("several machines meet at machine 0: give its HOST:PORT as ", arg("master"))
    if nodes == 1 and master:
        raise UsageError(arg("master"), " is for several machines: give their number as ", arg("nodes"))
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError("this process is one of several that torchrun or the like has started: leave out ",
                         arg("nproc"))  # fmt: skip
    if os.name != "posix":
        raise UsageError("several processes need Linux or macOS: leave out ", arg("nproc"))


def hello(nproc: int, *, nodes: int, node: int) -> Message:
    return {"say": "hello", "version": __version__, "nodes": nodes, "node": node, "count": nproc}


def settings(nproc: int, own: str) -> dict[str, str]:
    """What every rank of this machine finds in its environment, whatever its number and generation."""
    cores = max(1, usable_cores() // nproc)
    found = {SUPERVISOR: str(os.getpid()), CORES: str(cores), "LOCAL_WORLD_SIZE": str(nproc),
             "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(cores))}  # fmt: skip
    if "GLOO_SOCKET_IFNAME" not in os.environ and (name := interface(own)):
        found["GLOO_SOCKET_IFNAME"] = name  # else gloo asks for the host's name, which may lead elsewhere
    return found


class Signals:
    """Inside the `with`, signals that ask to save and leave are kept in `arrived`; those that are ignored stay so.

    One that comes together with another, as from a terminal and from `timeout`, which forwards its own, is not kept.
    `halt` sends a signal to all ranks and what they have started.
    """

    def __init__(self, halt: Callable[[int], None]) -> None:
        self.arrived: list[int] = []
        self.at = -TOGETHER  # when the last came, on the monotonic clock
        self.halt = halt
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for number in (*ASKED, *WARNED):
            if number in ASKED or signal.getsignal(number) == signal.SIG_DFL:
                self.before[number] = signal.signal(number, self.keep)
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
            self.before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self.suspend)
        return self

    def keep(self, number: int, frame: FrameType | None) -> None:
        now, before = time.monotonic(), self.at
        self.at = now
        if now >= before + TOGETHER:
            self.arrived.append(number)

    def suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the ranks, which no terminal reaches, are halted first; after `fg` they go on."""
        self.halt(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self.halt(signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Supervisor:
    """The ranks of this machine and the link to who decides."""

    def __init__(
        self, command: Sequence[str], nproc: int, link: Link, say: Callable[[str], None], *, fixed: Mapping[str, str]
    ) -> None:
        self.command, self.nproc, self.link, self.say, self.fixed = command, nproc, link, say, fixed
        self.group: Group | None = None
        self.generation = 0
        self.told = self.passed_on = False  # how this generation ended; a signal that a rank was sent
        self.stops = 0  # how often this supervisor was asked to stop
        self.code: int | None = None  # to leave with, once no rank runs

    def run(self, first: Message) -> int:
        """Do what is ordered, to the end."""
        with Signals(self.halt) as signals:
            try:
                self.link.say(first)
                while True:
                    self.wait()
                    for order in self.link.orders(idle=self.group is None):
                        self.obey(order)
                    while signals.arrived:
                        self.asked(signals.arrived.pop(0))
                    self.look()
                    if self.code is not None and self.group is None:
                        return self.code
            finally:
                if self.group:
                    self.group.close()
                self.link.close()

    def halt(self, number: int) -> None:
        if self.group:
            self.group.send(number, all_of_them=True)

    def wait(self) -> None:
        pipes = self.group.pipes if self.group else []
        select.select([*self.link.sockets(), *pipes], [], [], TICK)

    def obey(self, order: Message) -> None:
        match order["do"]:
            case "start" if self.code is None:
                self.start(order)
            case "stop" if self.group:
                self.group.pass_on(order["signal"])
            case "end":
                if self.code is None:
                    self.say(order["why"])
                self.end()
            case "leave" if self.code is None:
                self.code = order["code"]
                if order["why"]:
                    self.say(order["why"])
                self.end(at_once=order["at_once"])

    def start(self, order: Message) -> None:
        self.generation, self.told, self.passed_on = order["generation"], False, False
        first = order["first"]
        self.group = Group(self.command, {
            first + k: {**os.environ, **self.fixed, "RANK": str(first + k), "LOCAL_RANK": str(k),
                        "WORLD_SIZE": str(order["world"]), "MASTER_ADDR": order["address"],
                        "MASTER_PORT": str(order["port"]), "TORCHELASTIC_RESTART_COUNT": str(order["generation"] - 1)}
            for k in range(self.nproc)
        })  # fmt: skip

    def end(self, *, at_once: bool = False) -> None:
        self.told = True
        if self.group:
            self.group.end(at_once=at_once)
        else:
            self.link.say({"say": "ready", "generation": self.generation})

    def asked(self, number: int) -> None:
        """Pass on the first request to stop; after a second Ctrl-C or SIGTERM end at once."""
        if self.stops and number not in ASKED:
            return  # a closed terminal may warn twice
        self.stops += 1
        if self.stops == 1:
            self.link.say({"say": "stop", "signal": number})
        elif self.code is None:
            self.link.say({"say": "abandon", "signal": number})
            if not (self.group and self.group.done_at):  # else rank 0 has saved and said so
                self.say(AT_ONCE)
            self.code = 128 + number
            self.end(at_once=True)

    def look(self) -> None:
        """See to the ranks, and tell what became of them."""
        if self.group is None:
            return
        ended = self.group.look()
        if self.group.take_saved():
            self.link.say({"say": "saved"})
        if self.group.asked and not self.passed_on and not self.told:
            self.passed_on = True  # someone asked one rank alone: then all
            self.link.say({"say": "stop", "signal": self.group.asked})
        if ended and not self.told:
            self.told = True
            for line in ended.shown:
                self.say(line)
            self.link.say({"say": "ended", "generation": self.generation, "code": ended.code, "why": ended.why,
                           "again": ended.again, "killed": ended.killed})  # fmt: skip
            if not ended.well:
                self.group.end()
        if self.told and self.group.gone:
            self.group.close()
            self.group = None
            self.link.say({"say": "ready", "generation": self.generation})
