"""Whether prepared shards are still what was written: sizes, digests, and the examples in them."""

from collections.abc import Callable
from pathlib import Path

from reslab.errors import ReslabError, UsageError
from reslab.images.sources.tars.index import make, sha256_of, stored
from reslab.images.sources.tars.manifest import MANIFEST
from reslab.progress import Phase, Progress, silent
from reslab.stored.files import named, present
from reslab.stored.read import read_json
from reslab.stored.shards import Name, Shard, Shards


def manifest_in(folder: Path) -> Shards:
    """The manifest of prepared shards. Raises UsageError if there is none, ReslabError if it is damaged."""
    if not present(folder / MANIFEST):
        raise UsageError(f"{named(folder)} holds no prepared shards (no {MANIFEST}); `reslab data prepare` writes "
                         "some")  # fmt: skip
    found: Shards = read_json(folder / MANIFEST, Shards)
    return found


def faults(
    folder: Path, manifest: Shards, *, cache: Path, progress: Progress = silent,
    stopped: Callable[[], None] = lambda: None,
) -> dict[tuple[Name, int], str]:  # fmt: skip
    """What is wrong with each shard (part, number) that is not as it was written; {} if all are.

    Every byte is read; a shard of the right digest is then indexed, and its examples are counted.
    """
    found: dict[tuple[Name, int], str] = {}
    total, done = sum(shard.bytes for part in manifest.parts.values() for shard in part), 0
    for part, shards in manifest.parts.items():
        for k, shard in enumerate(shards):
            stopped()
            why = fault(folder / shard.file, shard, cache)
            if why:
                found[part, k] = why
            done += shard.bytes
            progress(done // 10**6, max(1, total // 10**6), Phase("verifying the shards, in MB"))
    return found


def fault(path: Path, shard: Shard, cache: Path) -> str:
    """What is wrong with a shard; "" if nothing is."""
    try:
        if not path.is_file():
            return "it is missing"
        if (size := path.stat().st_size) != shard.bytes:
            return f"it has {size:,} bytes, and had {shard.bytes:,} when it was prepared"
        if sha256_of(path) != shard.sha256:
            return "its content is not the one that was prepared (SHA-256)"
        index = stored(path, cache, sha256=shard.sha256)
        if index is None:
            make(path, cache, sha256=shard.sha256)
            index = stored(path, cache, sha256=shard.sha256)
    except (ReslabError, OSError) as error:
        return str(error)
    if index is None or len(index) != shard.images:
        return f"it holds {0 if index is None else len(index):,} examples, and {shard.images:,} were written"
    if index.reasons:
        return f"an image in it cannot be read ({index.reasons[0]})"
    return ""


def refuse_faults(folder: Path, found: dict[tuple[Name, int], str], manifest: Shards) -> None:
    """Raise ReslabError that names the first faulty shard."""
    for (part, k), why in found.items():
        shard = manifest.parts[part][k]
        more = f"; {len(found) - 1:,} more shards have faults" if len(found) > 1 else ""
        raise ReslabError(f"{named(folder / shard.file)}: {why}{more}; run `reslab data prepare` "
                          "again with the same options, which writes such shards anew")  # fmt: skip
