"""All models that are served, with what they share: decoding threads, limits, and whether the server is ready."""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from reslab.ship.serve.batching import Batcher
from reslab.ship.serve.decoding import Budget
from reslab.ship.serve.refused import Refused, no_such, refusal
from reslab.ship.serve.servable import Place, Servable
from reslab.ship.serve.settings import Settings

DECODERS = 8  # threads that decode, at most


class Hosted:
    """One name under which versions of a model are served, one after the other."""

    def __init__(self, where: Place, first: Servable, batcher: Batcher) -> None:
        self.where, self.current, self.batcher = where, first, batcher
        self.users: Counter[int] = Counter()  # requests in work, by the id of their version

    @property
    def name(self) -> str:
        return self.where.name

    @contextlib.contextmanager
    def using(self) -> Iterator[Servable]:
        """The current version; it stays open until all its requests are answered, even if it is replaced."""
        one = self.current
        self.users[id(one)] += 1
        try:
            yield one
        finally:
            self.users[id(one)] -= 1
            if one is not self.current and not self.users[id(one)]:
                one.close()

    def swap(self, new: Servable) -> None:
        """From now on requests are answered by `new`; those in work by the version they began with."""
        old, self.current = self.current, new
        if not self.users[id(old)]:
            old.close()


class House:
    """The models by name."""

    def __init__(self, settings: Settings, models: Mapping[str, tuple[Place, Servable]]) -> None:
        self.settings = settings
        self.models: dict[str, Hosted] = {}
        for name, (where, one) in models.items():
            delay = settings.max_delay_ms / 1000
            self.models[name] = Hosted(where, one, Batcher(batch=settings.max_batch, delay=delay, queue=settings.queue))
        self.pool = ThreadPoolExecutor(min(DECODERS, (os.cpu_count() or 1) + 1), thread_name_prefix="reslab-decode")
        self.ready = True
        self.draining = False  # the server stops: clients are asked to close their connections
        self.crowded: Callable[[], bool] = lambda: False  # whether there are too many connections
        self.changed: Callable[[], object] = lambda: None  # called when a version was replaced
        self.pixels = Budget(settings.max_pixels)
        self.limits: set[asyncio.Timeout] = set()  # of the requests in work
        self.over = False  # the time for stopping is over

    def count(self, seen: Callable[[str, int, float], object], told: Callable[[str, int], object]) -> None:
        """Call `seen(model, size, seconds)` after every batch, `told(model, held)` when a queue's length changes."""
        for name, hosted in self.models.items():
            hosted.batcher.seen, hosted.batcher.told = partial(seen, name), partial(told, name)

    def give_up(self) -> None:
        """Answer what is not answered yet with 503: the server's time for stopping is over."""
        self.over = True
        for limit in self.limits:
            limit.reschedule(asyncio.get_running_loop().time())

    def find(self, name: str) -> Hosted:
        """The model of this name. Raises Refused (404)."""
        if name not in self.models:
            raise Refused(404, f"there is no model {no_such(name, self.models, after=' here')}")
        return self.models[name]

    async def ask(
        self, hosted: Hosted, one: Servable, payloads: Sequence[Any], options: Mapping[str, Any]
    ) -> list[Any]:
        """A result for each payload, or a Refused in its place.

        Raises Refused if there is no place in the queue, or no answer within the time limit.
        """
        loop, limit = asyncio.get_running_loop(), self.settings.timeout
        options = {"max_text": self.settings.max_text, "pixels": self.pixels, **options}
        timer = asyncio.timeout(0 if self.over else limit)
        asked = None
        with hosted.batcher.places(len(payloads)):
            try:
                async with timer:
                    self.limits.add(timer)
                    making = [loop.run_in_executor(self.pool, made, one, payload, options) for payload in payloads]
                    prepared = await asyncio.gather(*making)
                    good = [item for item in prepared if not isinstance(item, Refused)]
                    asked = hosted.batcher.put(one, good)
                    found = iter(await asked.results())
            except TimeoutError:
                if self.over:
                    raise Refused(
                        503, "the server stops: the request was not answered in time", retry_after=1
                    ) from None
                if asked is not None and asked.begun:
                    raise Refused(504, f"the model did not answer within {limit:g} s") from None
                raise Refused(503, f"the server is busy: the request waited {limit:g} s; try again later",
                              retry_after=hosted.batcher.wait()) from None  # fmt: skip
            finally:
                self.limits.discard(timer)
        return [item if isinstance(item, Refused) else next(found) for item in prepared]

    async def close(self) -> None:
        """Stop all models; requests that still wait are dropped."""
        for hosted in self.models.values():
            await hosted.batcher.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


def made(one: Servable, payload: Any, options: Mapping[str, Any]) -> Any:
    """The prepared item, or the Refused that says why there is none."""
    try:
        return one.prepare(payload, options)
    except Exception as error:  # on damaged bytes, readers raise nearly anything
        return refusal(error)
