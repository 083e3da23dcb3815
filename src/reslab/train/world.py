"""The processes of one training: which of them this is, what is whose, and what they decide together.

A process alone is the usual case: nothing here does anything then. How several find each other: joined.py.
"""

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from reslab.errors import ReslabError, UsageError, arg
from reslab.train.exchange import all_json, is_of_all, meeting, of_all
from reslab.train.folder import pick_device

LOOK = 0.1  # seconds between two looks at whether rank 0 has decided
FAILED = "reslab/failed"  # where a process stores why it ended


class Agreed(ReslabError):  # noqa: N818 - what it says
    """A failure of one process that all of them raise; rank 0 prints it."""

    def __init__(self, message: object, code: int, kind: str) -> None:
        super().__init__(message)
        self.exit_code, self.kind = code, kind  # kind: the name of the error's class
        of_all(self)


class AgreedUsage(Agreed, UsageError):  # noqa: N818 - as above
    """The same for a request that is invalid."""


def as_told(found: Sequence[Any]) -> Agreed:
    """The error for what `told` gives."""
    message, code, kind = found
    return (AgreedUsage if code == UsageError.exit_code else Agreed)(message, code, kind)


@dataclass
class Group:
    """The connection of this process to the others."""

    store: Any
    decided: int = 0  # how often rank 0 has decided something for all


@dataclass(frozen=True, kw_only=True)
class World:
    """Process `rank` of `size`, and number `local` of those on this machine; alone, rank 0 of 1."""

    rank: int = 0
    size: int = 1
    local: int = 0
    beside: int = 1  # processes on this machine
    group: Group | None = field(default=None, compare=False, repr=False)

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder, prints and shows progress."""
        return self.rank == 0

    def part(self, n: int) -> range:
        """This process's contiguous part of 0..n-1; the parts of all processes differ by one at most."""
        return range(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def device(self, name: str = "auto") -> torch.device:
        """The device of this process. Several on one machine take CUDA device 0, 1, ...: one each.

        Raises UsageError for one that is not available.
        """
        place = pick_device(name)
        if self.alone or place.type != "cuda":
            return place
        if place.index is not None and self.beside > 1:
            raise UsageError(f"{self.beside} processes cannot all train on {place}: leave the number out, and each "
                             "takes its own CUDA device")  # fmt: skip
        there = torch.cuda.device_count()
        number = self.local if place.index is None else place.index
        if number >= there:
            raise UsageError(f"{self.beside} processes need a CUDA device each, but this machine has {there}; start "
                             "fewer, or choose ", arg("device", "cpu"))  # fmt: skip
        torch.cuda.set_device(number)
        return torch.device("cuda", number)

    def first(self, decide: Callable[[], Any]) -> Any:
        """What rank 0 decides: plain data, as JSON gives it back to all. Alone, what `decide` gives.

        A ReslabError of rank 0 is raised by all of them. The others wait for as long as rank 0 takes.
        """
        if self.alone:
            return decide()
        key = self.next_key()
        if not self.leads:
            found = self.awaited(key)
            if "error" in found:
                raise as_told(found["error"])
            return found["value"]
        try:
            found = {"value": decide()}
        except ReslabError as error:
            self.tell(key, {"error": told(error)})
            of_all(error)
            raise
        return self.tell(key, found)["value"]

    def next_key(self) -> str:
        """Under which rank 0 stores what it decides next."""
        assert self.group is not None
        self.group.decided += 1
        return f"reslab/decided/{self.group.decided}"

    def tell(self, key: str, data: dict[str, Any]) -> Any:
        """Store plain data for the others; what they read."""
        assert self.group is not None
        text = json.dumps(data)
        with meeting():
            self.group.store.set(key, text)
        return json.loads(text)

    def awaited(self, key: str) -> Any:
        """What rank 0 stored, or will. Signals are served meanwhile."""
        assert self.group is not None
        while True:
            with meeting():
                if self.group.store.check([key]):
                    return json.loads(self.group.store.get(key))
            time.sleep(LOOK)

    def fail(self, sentence: str, code: int) -> None:
        """Tell the others why this process ends, for the sentence of those that then miss it."""
        if self.group is not None:
            with contextlib.suppress(RuntimeError):  # rank 0 may be gone, and what was stored with it
                self.group.store.set(FAILED, json.dumps([self.rank, sentence, code]))

    def failure(self) -> tuple[int, str, int] | None:
        """(rank, sentence, exit code) of a process that has told why it ended; of several the last. Call it in rank 0.

        The store is in rank 0 or in torchrun, so nothing is waited for.
        """
        if self.group is not None:
            with contextlib.suppress(RuntimeError):
                if self.group.store.check([FAILED]):
                    rank, sentence, code = json.loads(self.group.store.get(FAILED))
                    return rank, sentence, code
        return None

    def agreed(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; if it fails in one process with a ReslabError, all of them raise it.

        `work` must not meet other processes.
        """
        if self.alone:
            return work()
        own: ReslabError | None = None
        found = None
        try:
            found = work()
        except ReslabError as error:
            own = error
        failed = [one for one in all_json(told(own) if own else None) if one]
        if own is not None:
            raise of_all(own)
        if failed:
            raise as_told(failed[0])
        return found

    def leading(self, work: Callable[[], Any]) -> Any:
        """What `work` gives in each process: rank 0 does it first, as it may mend files; then the others."""
        found = self.by_first(work)
        return found if self.leads else work()

    def by_first(self, work: Callable[[], Any]) -> Any:
        """What `work` gives in rank 0, for which the others wait; None in them. All raise its ReslabError."""
        found: list[Any] = []
        self.first(lambda: found.append(work()))
        return found[0] if self.leads else None

    def ended(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `work`, in which all may meet, gives in rank 0, as JSON gives it back to the others."""
        if self.alone:
            return work()
        try:
            found = work()
        except ReslabError as error:
            if self.leads and not is_of_all(error):  # the others wait for it
                self.tell(self.next_key(), {"error": told(error)})
                of_all(error)
            raise
        everywhere: dict[str, Any] = self.first(lambda: found)
        return found if self.leads else everywhere

    def vote(self, look: Callable[[], tuple[int, bool]]) -> Callable[[], tuple[int, bool]]:
        """Ask all, while a step runs, for (the signal that arrived, whether a checkpoint is due); rank 0 decides on it.

        The result is called after the step and is the same in all processes. Alone, it is `look`.
        """
        if self.alone:
            return look
        asked, due = look()
        both = torch.tensor([asked, due and self.leads], dtype=torch.int64)
        with meeting():
            work = torch.distributed.all_reduce(both, op=torch.distributed.ReduceOp.MAX, async_op=True)

        def found() -> tuple[int, bool]:
            with meeting():
                work.wait()
            return int(both[0]), bool(both[1])

        return found

    def refuse_small(self, batch: int) -> None:
        """Raise UsageError for a batch with fewer examples than processes."""
        if batch < self.size:
            raise UsageError(f"each of the {self.size} processes takes its part of a batch, which holds {batch}: start "
                             "fewer processes, or set ", arg("batch", self.size))  # fmt: skip


ALONE = World()


def told(error: ReslabError) -> list[Any]:
    """What the others raise for it, for `as_told`."""
    return [str(error), error.exit_code, type(error).__name__]
