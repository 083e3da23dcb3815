"""Dynamic batching of one model: requests wait in a bounded queue and are answered together in the model's thread."""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from reslab.ship.serve.refused import Refused, refusal

FRESH = 0.2  # weight of the newest batch in the mean time per item


class Runs(Protocol):
    """What a batch is run by: see servable.Servable."""

    def run(self, items: Sequence[Any]) -> Sequence[Any]:
        """One result for each item."""


@dataclass(eq=False)
class Job:
    """One item that waits."""

    by: Runs
    item: Any
    answer: asyncio.Future[Any]  # the result, or a Refused
    given: float  # when, by the loop's clock
    begun: bool = False

    @property
    def key(self) -> tuple[int, Any]:
        """Jobs of one key may share a batch."""
        return id(self.by), getattr(self.item, "key", None)


@dataclass(eq=False)
class Asked:
    """The items of one request in the queue. Leaving without waiting for them drops those that have not begun."""

    jobs: list[Job]

    @property
    def begun(self) -> bool:
        return any(job.begun for job in self.jobs)

    async def results(self) -> list[Any]:
        """The results in order; in place of one that failed a Refused."""
        try:
            return [await job.answer for job in self.jobs]
        finally:
            for job in self.jobs:
                job.answer.cancel()  # does nothing to those that are done
                if (given_up := getattr(job.item, "given_up", None)) is not None:
                    given_up.set()  # a long pass ends before it is complete


class Batcher:
    """Lives in one event loop. `seen(size, seconds)` is called after every batch, `told(held)` when `held` changes."""

    def __init__(
        self, *, batch: int = 8, delay: float = 0.005, queue: int = 64,
        seen: Callable[[int, float], object] | None = None,
    ) -> None:  # fmt: skip
        self.batch, self.delay, self.queue, self.seen = batch, delay, queue, seen
        self.told: Callable[[int], object] | None = None
        self.waiting: deque[Job] = deque()
        self.held = 0  # items that were admitted and are not answered yet: being prepared, waiting or running
        self.pace = 0.0  # seconds per item, a moving mean
        self.news = asyncio.Event()
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="reslab-model")
        self.task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def places(self, n: int) -> Iterator[None]:
        """Places for n items, from before they are prepared until they are answered. Raises Refused if too few."""
        if n > self.queue:
            raise Refused(413, f"a request may hold at most {self.queue} items here, got {n}")
        if self.held + n > self.queue + self.batch:
            raise Refused(503, "the server is busy: its queue is full; try again later", retry_after=self.wait())
        self.hold(n)
        try:
            yield
        finally:
            self.hold(-n)
            self.news.set()

    def hold(self, n: int) -> None:
        self.held += n
        if self.told:
            self.told(self.held)

    def wait(self) -> int:
        """After how many seconds those that wait now should be answered, by the measured pace."""
        return min(600, max(1, math.ceil(self.held * self.pace)))

    def put(self, by: Runs, items: Sequence[Any]) -> Asked:
        """Queue the items of a request that has places."""
        loop = asyncio.get_running_loop()
        if self.task is None:
            self.task = loop.create_task(self._work())
        jobs = [Job(by, item, loop.create_future(), loop.time()) for item in items]
        self.waiting.extend(jobs)
        self.news.set()
        return Asked(jobs)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.news.wait()
            jobs = await self._collect()
            if not jobs:
                continue
            for job in jobs:
                job.begun = True
            start = time.perf_counter()
            found = await loop.run_in_executor(self.thread, answered, jobs[0].by, [job.item for job in jobs])
            seconds = time.perf_counter() - start
            each = seconds / len(jobs)
            self.pace = each if not self.pace else (1 - FRESH) * self.pace + FRESH * each
            for job, one in zip(jobs, found, strict=True):
                if not job.answer.done():
                    job.answer.set_result(one)
            if self.seen:
                self.seen(len(jobs), seconds)

    async def _collect(self) -> list[Job]:
        """The next batch: full, or the oldest job has waited long enough, or nothing else is on its way."""
        loop = asyncio.get_running_loop()
        while True:
            self.waiting = deque(job for job in self.waiting if not job.answer.done())  # their clients left
            self.news.clear()
            if not self.waiting:
                return []
            first = self.waiting[0]
            like = [job for job in self.waiting if job.key == first.key][: self.batch]
            end = first.given + self.delay
            if len(like) == self.batch or self.held <= len(self.waiting) or loop.time() >= end:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self.news.wait()
        taken = set(map(id, like))
        self.waiting = deque(job for job in self.waiting if id(job) not in taken)
        if self.waiting:
            self.news.set()
        return like

    async def close(self) -> None:
        """Stop. Jobs that still wait are dropped."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        for job in self.waiting:
            job.answer.cancel()
        self.thread.shutdown(wait=False, cancel_futures=True)


def answered(by: Runs, items: Sequence[Any]) -> list[Any]:
    """A result or a Refused for each item: if the batch fails, its items are run one by one."""
    try:
        found = list(by.run(items))
        if len(found) != len(items):
            raise RuntimeError(f"{len(items)} items gave {len(found)} results")
        return found
    except Exception as error:
        if len(items) == 1:
            return [refusal(error)]
        return [answered(by, [one])[0] for one in items]
