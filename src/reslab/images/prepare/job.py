"""Write a data set as shards: resumable, in the order of its images, verified at the end."""

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from reslab.errors import BrokenImage, OtherSettings, ReslabError, UsageError, arg, tell
from reslab.images.data.images import ImageData
from reslab.images.prepare.encode import Form
from reslab.images.prepare.fill import Filling, write_manifest
from reslab.images.prepare.shard import sweep
from reslab.images.prepare.steps import written
from reslab.images.prepare.verify import faults, refuse_faults
from reslab.images.sources.tars.manifest import MANIFEST
from reslab.progress import Phase, Progress, silent
from reslab.progress.row import duration, in_bytes
from reslab.stored.files import named, present
from reslab.stored.read import read_json
from reslab.stored.shards import Shards
from reslab.train.signals import Stop

SAMPLE = 24  # images from which time and size are estimated
OVERHEAD = 2048  # bytes in a tar for each example: two headers, a label, and what fills the last blocks
SPARE = 1.1  # of the estimated bytes must be free


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a data set is to be prepared."""

    side: int = 288
    quality: int = 90
    shard_mb: int = 256
    shard_images: int | None = None
    workers: int | None = None  # None: one per core, up to 8

    def check(self) -> None:
        """Raise UsageError for an invalid value."""
        for name in ("side", "quality", "shard_mb", "shard_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be positive, got {value}")
        if self.quality > 100:
            raise UsageError(f"quality must be at most 100, got {self.quality}")
        if self.workers is not None and self.workers < 0:
            raise UsageError(f"workers must be zero or more, got {self.workers}")


def prepare(
    data: ImageData, out: Path, *, word: str, cache: Path, asked: Asked | None = None, progress: Progress = silent
) -> Shards:  # fmt: skip
    """Write the data set `data`, loaded with memory=0 from `word`, as shards into the folder `out`; their manifest.

    A folder in which this was begun is finished; one that is complete is verified, and faulty shards are written anew.
    Broken images are left out and listed in the manifest. Raises UsageError if the folder holds anything else,
    OtherSettings if it was begun with other settings, Interrupted after a signal; whole shards then stay.
    """
    asked = asked or Asked()
    asked.check()
    manifest = begun(data, out, word, asked)
    sweep(out)
    filling = Filling(data=data, out=out, manifest=manifest, workers=asked.workers, progress=progress)
    with Stop() as stop:
        filling.stopped = lambda: filling.refuse_signal(stop.asked)
        if not manifest.complete:
            announce(filling)
            progress(filling.done, filling.total, Phase("writing"))  # the rate counts from here
            for part in data.parts:
                filling.write_part(part)
        for again in (True, False):
            found = faults(out, filling.manifest, cache=cache, progress=progress, stopped=filling.stopped)
            if found and again:
                for part, k in found:
                    filling.rewrite(part, k)
        refuse_faults(out, found, filling.manifest)
        if not filling.manifest.complete:
            filling.keep(complete=True)
    return filling.manifest


def begun(data: ImageData, out: Path, word: str, asked: Asked) -> Shards:
    """The manifest in the folder, or a new one, written there. Raises UsageError or OtherSettings."""
    new = Shards(
        name=data.name, complete=False, source=word, fingerprint=data.fingerprint, classes=list(data.classes),
        several=data.several, split=data.split, side=asked.side, quality=asked.quality,
        limits=[asked.shard_mb, asked.shard_images or 0],
        images=cast(Any, {name: len(part) for name, part in data.parts.items()}),
        parts=cast(Any, {name: [] for name in data.parts}),
    )  # fmt: skip
    if present(out / MANIFEST):
        old: Shards = read_json(out / MANIFEST, Shards)
        if old.fingerprint != new.fingerprint:  # which stands for the classes and the lengths of the parts, too
            raise OtherSettings(f"{named(out)} was prepared from other images ({named(old.source)}, or files that "
                                "changed since); choose another ", arg("folder"))  # fmt: skip
        for key in ("side", "quality", "limits"):
            if getattr(old, key) != getattr(new, key):
                raise OtherSettings(f"{named(out)} was prepared with {settings(old)}, and {settings(new)} is asked "
                                    "for; choose another ", arg("folder"))  # fmt: skip
        return old
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{named(out)} is not empty and holds no prepared shards; choose another ", arg("folder"))
    write_manifest(out, new)
    return new


def settings(manifest: Shards) -> str:
    """`side 288, quality 90, shards of 256 MB`."""
    megabytes, images = manifest.limits
    most = f" or {images:,} images" if images else ""
    return f"side {manifest.side}, quality {manifest.quality}, shards of {megabytes} MB{most}"


def announce(filling: Filling) -> None:
    """Say what will be done and how long it will take. Raises ReslabError if the disk has no room for it."""
    manifest, left = filling.manifest, filling.total - filling.done
    seconds, size = estimate(filling.data, filling.form)
    lasts, needed = left * seconds / max(1, filling.processes), left * size
    again = f", {filling.done:,} of {filling.total:,} done before" if filling.done else ""
    tell("preparing %s images of %s%s: shorter side at most %s pixels, JPEG quality %s; about %s and %s",
         f"{left:,}", manifest.name, again, manifest.side, manifest.quality, in_bytes(needed),
         duration(lasts))  # fmt: skip
    free = shutil.disk_usage(filling.out).free
    if SPARE * needed > free:
        raise ReslabError(f"{named(filling.out)} needs about {in_bytes(needed)}, and {in_bytes(free)} are free; "
                          "choose another ", arg("folder"), " or a smaller ", arg("side"))  # fmt: skip


def estimate(data: ImageData, form: Form) -> tuple[float, float]:
    """Seconds and bytes of one image: the mean of some evenly spaced training images, without the first."""
    part, sizes = data.train, list[int]()
    n = min(len(part), SAMPLE)
    began = time.perf_counter()
    for k in range(n + 1):
        if k == 1:
            began = time.perf_counter()  # the first one loads libraries
        with contextlib.suppress(BrokenImage):
            sizes.append(len(written(part, max(0, k - 1) * len(part) // n, form).content) + OVERHEAD)
    return (time.perf_counter() - began) / n, sum(sizes) / max(1, len(sizes))
