"""New versions of served folders: verified, loaded and warmed beside the old one, then taken between two batches."""

import asyncio
import logging
import multiprocessing
import os
import signal

from reslab.errors import ReslabError, first_line, one_line
from reslab.ship.serve.board import Board
from reslab.ship.serve.house import Hosted, House
from reslab.ship.serve.servable import Servable, load
from reslab.ship.serve.versions import trace, version

log = logging.getLogger("reslab.serve")
TICK, AGAIN = 0.05, 2.0  # seconds between looks at what other workers serve, and between asking them to look


class Reloader:
    """Looks for new versions of a house's models."""

    def __init__(self, house: House, *, threads: int = 0, board: Board | None = None) -> None:
        self.house, self.threads, self.board = house, threads, board
        self.tell()
        # () as if nothing had been seen: the folders may have changed since they were loaded.
        self.traces: dict[str, tuple[object, ...]] = dict.fromkeys(house.models, ())
        self.locks = {name: asyncio.Lock() for name in house.models}

    async def watch(self, seconds: float) -> None:
        """Look every `seconds`, for ever. A folder that is still being written is left alone until it rests."""
        last = dict(self.traces)
        while True:
            await asyncio.sleep(seconds)
            for name, hosted in self.house.models.items():
                now = await asyncio.to_thread(trace, hosted.where.folder)
                if now == last[name] != self.traces[name]:
                    await self.check(name)
                last[name] = now

    async def check_all(self) -> None:
        for name in self.house.models:
            await self.check(name)

    async def check(self, name: str) -> str:
        """Serve the newest version of a model; "" if that is so now, or the sentence that says why it is not."""
        hosted = self.house.models[name]
        async with self.locks[name]:
            self.traces[name] = await asyncio.to_thread(trace, hosted.where.folder)
            try:
                new = await asyncio.to_thread(self.newer, hosted)
            except Exception as error:  # whatever a damaged folder does, the old version stays
                sentence = one_line(error if isinstance(error, ReslabError) else first_line(error))
                log.error("%s: version %s stays, the new one is refused: %s", name, hosted.current.about.version,
                          sentence)  # fmt: skip
                return sentence
            if new is not None:
                log.info("%s: version %s is served now, after %s", name, new.about.version,
                         hosted.current.about.version)  # fmt: skip
                hosted.swap(new)
                self.house.changed()
                self.tell()
            return ""

    def tell(self) -> None:
        """Tell the other workers what this one serves."""
        if self.board is not None:
            self.board.tell({name: hosted.current.about.version for name, hosted in self.house.models.items()})

    async def agreed(self, name: str, seconds: float) -> int:
        """Have all workers look for a new version; how many others do not serve this worker's after so many seconds.

        A folder that changes meanwhile is looked at again: in the end all serve its last version.
        """
        loop, hosted = asyncio.get_running_loop(), self.house.models[name]
        end, next_look = loop.time() + seconds, loop.time()
        while True:
            served = {} if self.board is None else self.board.others()
            late = sum(one.get(name) != hosted.current.about.version for one in served.values())
            if not late or loop.time() >= end:
                return late
            if loop.time() >= next_look:
                await self.check(name)
                self.tell_others()
                next_look = loop.time() + AGAIN
            await asyncio.sleep(TICK)

    def tell_others(self) -> None:
        """Have the other workers look, too: the supervisor passes SIGHUP on to all."""
        if multiprocessing.parent_process() is not None and hasattr(signal, "SIGHUP"):
            os.kill(os.getppid(), signal.SIGHUP)

    def newer(self, hosted: Hosted) -> Servable | None:
        """The model of the folder, ready to be served, if its version is another one. Raises what loading raises."""
        if version(hosted.where.folder) == hosted.current.about.version:
            return None
        new = load(hosted.where, threads=self.threads, max_pixels=self.house.settings.max_pixels)
        if new.about.kind != hosted.current.about.kind:
            raise ReslabError(f"it is a model for {new.about.kind}, not for {hosted.current.about.kind}")
        new.warm(self.house.settings.max_batch)
        return new
