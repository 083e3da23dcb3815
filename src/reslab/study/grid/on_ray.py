"""The cells of a grid on a Ray cluster: an actor on a node holds a worker process like those that work here.

Assumed of the cluster: the same version of reslab on every node, and data where their word says (digits come with
reslab). A node that sees the cache works in it; to one that does not, the folders of the cells that a cell needs are
sent through Ray, and its own folder comes back, also when it was stopped midway.
"""

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from reslab.errors import ReslabError, first_line
from reslab.progress import Progress
from reslab.run import Locked, Run
from reslab.study.grid.cell import Cell, from_plain, plain
from reslab.study.grid.one import DONE, sound
from reslab.study.grid.ray_start import connected
from reslab.study.grid.worker import Worker
from reslab.study.pool import Busy, Failed, Outcome
from reslab.version import __version__

LOOK = 0.5  # seconds between two looks at a cell that is being done
Pack = list[tuple[str, bytes]]  # the files of a folder


class Node:
    """What an actor does on its node. Its methods run in threads of it: `do` in one, `stop` beside."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.worker: Worker | None = None
        self.seen: tuple[int, int, str] = (0, 0, "")
        self.own = ""

    def version(self) -> str:
        return __version__

    def sees(self, path: str, text: str) -> bool:
        """Whether a file that the driver wrote is here, too."""
        with contextlib.suppress(OSError):
            return Path(path).read_text(encoding="utf-8") == text
        return False

    def do(self, one: dict[str, Any], cache: str, packs: dict[str, Pack] | None) -> tuple[Outcome, Pack]:
        """Do a cell in the cache; with `packs`, the folders that it needs and its own so far, in a folder of this node.

        Returns how it ended and, with `packs`, the files of its folder.
        """
        if packs is not None:
            self.own = self.own or tempfile.mkdtemp(prefix="reslab-cells-")
            cache = self.own
            for key, pack in packs.items():
                unpack(pack, Path(cache) / key)
        if self.worker is None or self.worker.cache != Path(cache):
            self.worker = Worker(Path(cache), self.device, lambda _: self.see)
        self.seen = (0, 0, "")
        cell = from_plain(one)
        outcome = self.worker.do(cell)
        return outcome, [] if packs is None else packed(Path(cache) / cell.key)

    def see(self, done: int, total: int, note: str = "", /) -> None:
        self.seen = (done, total, str(note))

    def progress(self) -> tuple[int, int, str]:
        return self.seen

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.stop()

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)


class Remote:
    """A hand of the pool: one actor of the cluster; one that dies is replaced before the next cell."""

    def __init__(self, ray: Any, cache: Path, device: str, progress: Callable[[Cell], Progress], *, gpu: bool) -> None:
        self.ray, self.cache, self.device, self.progress, self.gpu = ray, cache.resolve(), device, progress, gpu
        self.actor: Any = None
        self.cores = 0  # that the actor holds
        self.shared = True
        self.stopped = False

    def do(self, one: Cell) -> Outcome:
        if self.stopped:
            return Failed(why="")
        try:
            if self.actor is not None and self.cores != one.cores:
                self.close()
            if self.actor is None:
                self.begin(one.cores)
            return self.here(one) if self.shared else self.sent(one)
        except self.ray.exceptions.RayActorError as error:
            self.actor = None
            return Failed(why=f"its worker on the Ray cluster died ({first_line(error)})",
                          died=not self.stopped)  # fmt: skip

    def begin(self, cores: int) -> None:
        """Start an actor with so many cores of a node, or GPUs. Raises ReslabError if it has another reslab."""
        self.cores = cores
        kind = self.ray.remote(Node).options(num_cpus=cores, num_gpus=cores * self.gpu, max_concurrency=4,
                                             max_restarts=0)  # fmt: skip
        self.actor = kind.remote(self.device)
        try:
            version = self.ray.get(self.actor.version.remote())
        except self.ray.exceptions.RayActorError as error:
            raise ReslabError(f"no worker could be started on the Ray cluster ({first_line(error)}); reslab "
                              f"{__version__} must be installed on every node") from error  # fmt: skip
        if version != __version__:
            raise ReslabError(f"a node of the Ray cluster has reslab {version}, this machine {__version__}; install "
                              "the same version on all")  # fmt: skip
        self.shared = self.shares()

    def shares(self) -> bool:
        """Whether the actor's node sees the cache."""
        token = self.cache / f".seen-{uuid.uuid4().hex}"
        token.parent.mkdir(parents=True, exist_ok=True)
        token.write_text(token.name, encoding="utf-8")
        try:
            return bool(self.ray.get(self.actor.sees.remote(str(token), token.name)))
        finally:
            token.unlink()

    def here(self, one: Cell) -> Outcome:
        """In the cache, which the node sees; the node locks the cell."""
        return self.wait(one, None)[0]

    def sent(self, one: Cell) -> Outcome:
        """On the node's own disk; this machine locks the cell, sends what it needs, and keeps what comes back."""
        folder = Run(self.cache / one.key)
        folder.make()
        try:
            with folder.lock():
                if sound(one, self.cache):
                    return None
                packs = {each.key: packed(self.cache / each.key) for each in (*one.needs, one)}
                packs[one.key] = [file for file in packs[one.key] if file[0] != DONE]
                outcome, pack = self.wait(one, packs)
                unpack(pack, folder.folder)
                return outcome
        except Locked:
            return Busy()

    def wait(self, one: Cell, packs: dict[str, Pack] | None) -> tuple[Outcome, Pack]:
        report = self.progress(one)
        ended = self.actor.do.remote(plain(one), str(self.cache), packs)
        while not self.ray.wait([ended], timeout=LOOK)[0]:
            done, total, note = self.ray.get(self.actor.progress.remote())
            if total:
                report(done, total, note)
        found: tuple[Outcome, Pack] = self.ray.get(ended)
        return found

    def stop(self) -> None:
        self.stopped = True
        if self.actor is not None:
            self.actor.stop.remote()

    def close(self) -> None:
        if self.actor is not None:
            with contextlib.suppress(Exception):
                self.ray.get(self.actor.close.remote(), timeout=15)
            self.ray.kill(self.actor)
            self.actor = None


def packed(folder: Path) -> Pack:
    """Every file of a folder by its path within it, the one that says that it is done last; locks stay here."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"]
    files.sort(key=lambda path: path == folder / DONE)
    return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]


def unpack(pack: Pack, folder: Path) -> None:
    """Write the files of `packed`, each whole, into a folder. Raises ReslabError for a path that leads out of it."""
    from reslab.stored.write import write_aside

    for name, content in pack:
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()):
            raise ReslabError(f"a node sent a file outside of its cell's folder: {name}")
        write_aside(place, partial(writing, content))


def writing(content: bytes, file: BinaryIO) -> int:
    return file.write(content)


@contextlib.contextmanager
def cluster(
    on: str, cache: Path, *, jobs: int, device: str, each: int = 1
) -> Iterator[tuple[int, Callable[[int, Callable[[Cell], Progress]], Sequence[Remote]]]]:
    """(how many cells at once, a function that makes so many hands) of the cluster at `on`: "ray:HOST:PORT" or "ray".

    "ray" alone starts Ray on this machine, bound to 127.0.0.1, without a dashboard; nothing is reported to its makers.
    `each`: cores of one node, or GPUs, that a cell takes at most. Raises ReslabError if no node has so many.
    """
    ray = connected(on.partition(":")[2], jobs=jobs * each)
    try:
        gpu = device.startswith("cuda") or (device == "auto" and ray.cluster_resources().get("GPU", 0) >= 1)
        kind = "GPU" if gpu else "CPU"
        most = sum(int(node["Resources"].get(kind, 0)) // each for node in ray.nodes() if node["Alive"])
        if most < 1:
            raise ReslabError(f"no node of the Ray cluster has {each} {kind}s" if each > 1 else
                              f"the Ray cluster has no {kind}")  # fmt: skip
        yield (
            min(jobs, most) or most,
            lambda n, progress: [Remote(ray, cache, device, progress, gpu=gpu) for _ in range(n)],
        )
    finally:
        ray.shutdown()
