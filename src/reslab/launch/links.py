"""How a machine's supervisor hears what to do: machine 0 decides for all, the others are connected to it."""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

from reslab.errors import UsageError, arg
from reslab.launch.coordinator import WAIT, Coordinator
from reslab.launch.group import STOPPED
from reslab.launch.network import family
from reslab.launch.wire import Message, Wire
from reslab.version import __version__

PATIENCE = 1.0  # seconds for one try to connect, and between two
Say = Callable[[str], None]


class Link(Protocol):
    """Where orders come from."""

    def say(self, message: Message) -> None:
        """Tell what happened here."""

    def orders(self, *, idle: bool) -> list[Message]:
        """What to do now. `idle`: no rank runs here."""

    def sockets(self) -> list[Any]:
        """What to wait for."""

    def close(self) -> None:
        """Let go."""


class Hub:
    """Machine 0: the coordinator itself, and the wires to the other machines. Alone it has none."""

    def __init__(self, coordinator: Coordinator, listener: socket.socket | None, say: Say) -> None:
        self.coordinator, self.listener, self.tell = coordinator, listener, say
        self.strangers: list[Wire] = []  # connected, but they have not said hello
        self.wires: dict[int, Wire] = {}

    def say(self, message: Message) -> None:
        self.coordinator.hear(0, message)

    def sockets(self) -> list[Any]:
        return [*([self.listener] if self.listener else []), *self.strangers, *self.wires.values()]

    def orders(self, *, idle: bool) -> list[Message]:
        self.accept()
        for wire in list(self.strangers):
            self.greet(wire)
        for node, wire in list(self.wires.items()):
            self.listen(node, wire)
        self.coordinator.tick()
        own = []
        for node, order in self.coordinator.orders:
            if node == 0:
                own.append(order)
            elif node in self.wires:
                self.wires[node].say(order)
        self.coordinator.orders.clear()
        return own

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # nobody more is there
            while self.listener:
                self.strangers.append(Wire(self.listener.accept()[0]))

    def greet(self, wire: Wire) -> None:
        """Take a machine in, or tell it why not; who does not say hello is left."""
        for message in wire.messages():
            try:
                node, refused = int(message["node"]), self.refusal(message)
                if not refused:
                    self.coordinator.hear(node, message)
                    self.wires[node] = wire
                    self.tell(f"machine {node} is there")
                else:
                    wire.say(refused)
                    wire.close()
            except (KeyError, TypeError, ValueError):
                wire.close()
            self.strangers.remove(wire)
            return
        if wire.lost:
            self.strangers.remove(wire)
            wire.close()

    def refusal(self, hello: Message) -> Message:
        """Why a machine is not taken in; {} if it is. A mistake ends it; one that is there twice may try again."""
        node, nodes = hello["node"], self.coordinator.nodes
        if hello["version"] != __version__:
            why = f"machine 0 has reslab {__version__}, machine {node} {hello['version']}; install one version on all"
        elif hello["nodes"] != nodes or not 0 < node < nodes:
            why = f"machine 0 expects machines 1 to {nodes - 1} of {nodes}, not machine {node} of {hello['nodes']}"
        elif node in self.wires:
            return {"do": "later", "why": f"there is a machine {node} already"}
        else:
            return {}
        return {"do": "leave", "code": 2, "why": why, "at_once": True}

    def listen(self, node: int, wire: Wire) -> None:
        for message in wire.messages():
            try:
                self.coordinator.hear(node, message)
            except (KeyError, TypeError, ValueError):
                wire.lost = "it does not speak as a supervisor of reslab does"
        if wire.lost:
            del self.wires[node]
            wire.close()
            self.coordinator.lost(node, wire.lost)

    def close(self) -> None:
        for wire in (*self.wires.values(), *self.strangers):
            wire.close()
        if self.listener:
            self.listener.close()


class Spoke:
    """Another machine than 0. While it has no connection, it tries to get one, as long as no rank runs here."""

    def __init__(self, address: str, port: int, hello: Message, say: Say,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.address, self.port, self.hello, self.tell, self.clock = address, port, hello, say, clock
        self.wire: Wire | None = None
        self.since, self.tried, self.last = clock(), -PATIENCE, ""
        self.stopping = 0

    def say(self, message: Message) -> None:
        if self.wire:
            self.wire.say(message)
        elif message["say"] in ("stop", "abandon"):
            self.stopping = message["signal"]

    def sockets(self) -> list[Any]:
        return [self.wire] if self.wire else []

    def orders(self, *, idle: bool) -> list[Message]:
        if self.wire is None:
            if self.stopping:
                return [{"do": "leave", "code": 128 + self.stopping, "why": STOPPED, "at_once": True}]
            if not idle or self.clock() < self.tried + PATIENCE:
                return []
            return self.connect()
        found = list(self.wire.messages())
        for order in found:
            if order.get("do") == "later":
                self.last = str(order.get("why"))
                self.drop()
                return []
        if self.wire.lost and not any(order.get("do") == "leave" for order in found):
            why = self.wire.lost
            self.drop()
            found.append({"do": "end", "why": f"machine 0: {why}; waiting for it"})
        return found

    def connect(self) -> list[Message]:
        """Try once; give up when machine 0 has not answered for too long."""
        self.tried = self.clock()
        try:
            connection = socket.create_connection((self.address, self.port), timeout=PATIENCE)
        except OSError as error:
            self.last = self.last or str(error.strerror or error)
            if self.clock() < self.since + WAIT:
                return []
            return [{"do": "leave", "code": 1, "at_once": True,
                     "why": f"machine 0 did not answer at {self.address}:{self.port} for {WAIT / 60:.0f} minutes "
                            f"({self.last}); run the command on every machine again"}]  # fmt: skip
        self.wire = Wire(connection)
        self.wire.say(self.hello)
        return []

    def drop(self) -> None:
        assert self.wire is not None
        self.wire.close()
        self.wire, self.since, self.tried = None, self.clock(), self.clock()

    def close(self) -> None:
        if self.wire:
            self.wire.close()


def listening(address: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError if this machine cannot."""
    listener = socket.socket(family(address))
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise UsageError(f"machine 0 cannot listen at {address}:{port} ({error.strerror}); give its own address and a "
                         "free port with ", arg("master")) from error  # fmt: skip
    listener.setblocking(False)
    return listener
