"""Fill shards with the images of a part, one after another; the manifest is replaced after each."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from reslab.errors import ReslabError
from reslab.images.data.images import ImageData
from reslab.images.prepare.encode import Form
from reslab.images.prepare.shard import ShardFile
from reslab.images.prepare.steps import Example, Steps
from reslab.images.sources.tars.manifest import MANIFEST
from reslab.progress import Progress
from reslab.run import Run
from reslab.stored.files import named
from reslab.stored.shards import Shard, Shards
from reslab.train.cores import usable_cores
from reslab.train.signals import Interrupted
from reslab.train.workers import in_order

PREFIX = {"train": "train", "validation": "val", "test": "test"}  # of a shard's name
MEGABYTE = 10**6
WORTH = 256  # images from which processes are started


def write_manifest(out: Path, manifest: Shards) -> None:
    """Replace the manifest of the folder."""
    Run(out).write_json(MANIFEST, asdict(manifest))


@dataclass(kw_only=True)
class Filling:
    """A folder of shards that is being filled; `manifest` says how far it is."""

    data: ImageData
    out: Path
    manifest: Shards
    workers: int | None
    progress: Progress
    stopped: Callable[[], None] = lambda: None

    @property
    def form(self) -> Form:
        return Form(side=self.manifest.side, quality=self.manifest.quality, reading=self.data.reading)

    @property
    def done(self) -> int:
        """Images of whole shards, and broken ones before them."""
        return sum(shards[-1].stop for shards in self.manifest.parts.values() if shards)

    @property
    def total(self) -> int:
        return sum(self.manifest.images.values())

    @property
    def processes(self) -> int:
        if self.workers is not None:
            return self.workers
        return min(usable_cores(), 8) if self.total - self.done >= WORTH else 0

    def shards(self, part: str) -> list[Shard]:
        return cast(dict[str, list[Shard]], self.manifest.parts)[part]

    def write_part(self, part: str) -> None:
        """Write what is missing of a part. Raises ReslabError if none of its images can be read."""
        n, megabytes, most = len(self.data.parts[part]), *self.manifest.limits
        start = self.shards(part)[-1].stop if self.shards(part) else 0
        stream = self.examples(part, range(start, n))
        while start < n:
            path = self.out / f"{PREFIX[part]}-{len(self.shards(part)):05d}.tar"
            with ShardFile(path, start) as file:
                stop, skipped, copied = start, list[str](), 0
                for example, as_it_was in stream:
                    stop, copied = stop + 1, copied + as_it_was
                    if isinstance(example, str):
                        skipped.append(example)
                    else:
                        file.add(example)
                    self.progress(self.done + stop - start, self.total)
                    if file.bytes >= megabytes * MEGABYTE or file.images == most > 0:
                        break
                if file.images:
                    shards = [*self.shards(part), file.close(stop)]
                elif self.shards(part):  # only broken images after the last shard
                    shards = [*self.shards(part)[:-1], replace(self.shards(part)[-1], stop=stop)]
                else:
                    raise ReslabError(f"no {part} image can be read (first: {skipped[0]})")
            self.keep(parts={**self.manifest.parts, part: shards}, skipped=[*self.manifest.skipped, *skipped],
                      copied=self.manifest.copied + copied)  # fmt: skip
            start = stop

    def rewrite(self, part: str, k: int) -> None:
        """Write a faulty shard anew, with the same images."""
        shards = list(self.shards(part))
        old = shards[k]
        with ShardFile(self.out / old.file, old.start) as file:
            for example, _ in self.examples(part, range(old.start, old.stop)):
                if not isinstance(example, str):
                    file.add(example)
            shards[k] = file.close(old.stop)
        self.keep(parts={**self.manifest.parts, part: shards})

    def examples(self, part: str, rows: range) -> Iterator[tuple[Example, bool]]:
        """The examples of these images in order, and whether each image is copied."""
        steps = Steps(self.data.parts[part], self.form, self.data.classes, rows)
        for some in in_order(steps, range(len(steps)), workers=self.processes):
            for one in some:
                self.stopped()
                yield one

    def keep(self, **changes: Any) -> None:
        """Change the manifest, here and in the folder."""
        self.manifest = replace(self.manifest, **changes)
        write_manifest(self.out, self.manifest)

    def refuse_signal(self, number: int) -> None:
        """Raise Interrupted if there was a signal."""
        if number:
            raise Interrupted(f"stopped; {named(self.out)} holds {self.done:,} of {self.total:,} images in whole "
                              "shards; run the same command again to go on", number)  # fmt: skip
