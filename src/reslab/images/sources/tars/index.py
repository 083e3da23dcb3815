"""The index of a shard: where each image lies and its label. Made once, kept beside the shards, checked at each use."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np

from reslab.errors import BrokenImage, ReslabError, UsageError
from reslab.images.data.decode import Header, header
from reslab.images.sources import unchanged
from reslab.images.sources.scan import Ignored, Scan
from reslab.images.sources.tars.headers import Member, opened_shard
from reslab.images.sources.tars.manifest import MANIFEST
from reslab.images.sources.tars.samples import Value, samples
from reslab.images.sources.tars.window import window
from reslab.images.sources.texts import Texts
from reslab.stored.digest import sealed_tensors
from reslab.stored.files import named
from reslab.stored.tensors import read_arrays, read_inside
from reslab.stored.write import write_aside

VERSION = 2  # 1: without the shard's digest; labels in .cls and .json were not compared
FOLDER, ENDING, KEY = ".reslab-index", ".index", "reslab.shard"
PIECE = 2**22  # bytes read at once
ANY = 2**40  # pixels: the limit is applied when the index is used
ARRAYS = {"offset": np.int64, "size": np.int64, "mark": np.uint32, "label": np.int32, "blob": np.uint8,
          "ends": np.int64, "height": np.int32, "width": np.int32, "mode": np.int16, "kind": np.int16,
          "deep": np.uint8, "reason": np.int32}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Index:
    """The examples of one shard, in order: arrays (N,), and the tables that their codes count in."""

    arrays: dict[str, np.ndarray]
    labels: tuple[Value, ...]  # of `label`
    ending: str  # the extension of the members with labels; "" of a shard without examples
    modes: tuple[str, ...]  # of `mode`: Pillow's
    kinds: tuple[str, ...]  # of `kind`: of gray of more than 8 bits; -1 is none
    reasons: tuple[str, ...]  # of `reason`: why an image's header cannot be read; -1: it can
    ignored: tuple[Ignored, ...]
    state: tuple[int, int]  # of the shard: its bytes, and its time of change in nanoseconds

    def __len__(self) -> int:
        return len(self.arrays["offset"])

    @property
    def names(self) -> Texts:
        """The images' names."""
        return Texts(self.arrays["blob"], self.arrays["ends"])


def places(shard: Path, cache: Path) -> tuple[Path, Path]:
    """Where the index of a shard may be: beside it, or in the cache, where its folder is known by a hash."""
    whole = hashlib.sha256(str(shard.resolve().parent).encode(errors="surrogateescape")).hexdigest()[:16]
    return shard.parent / FOLDER / f"{shard.name}{ENDING}", cache / "shards" / whole / f"{shard.name}{ENDING}"


def state(shard: Path) -> dict[str, Any]:
    """What shows that a shard changed. Raises ReslabError."""
    with opened_shard(shard) as file:
        return unchanged.state(shard, file)


def sha256_of(shard: Path) -> str:
    """The digest of a whole shard. Raises ReslabError."""
    digest = hashlib.sha256()
    with opened_shard(shard) as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def stored(shard: Path, cache: Path, *, sha256: str | None = None) -> Index | None:
    """The index of the shard as it is now; None if there is none, or one of another shard, or a damaged one.

    `sha256`: what a manifest says of the shard; an index that was made without comparing it is none.
    """
    now = state(shard)
    for path in places(shard, cache):
        try:
            about = read_inside(path, KEY) if path.is_file() else None
            if about is None or about["version"] != VERSION or about["state"] != now:
                continue
            if sha256 in (None, about["sha256"]):
                return built(read_arrays(path), about, now)
        except (ReslabError, OSError, KeyError, TypeError, ValueError):  # made again
            continue
    return None


def built(arrays: dict[str, np.ndarray], about: dict[str, Any], now: dict[str, Any]) -> Index:
    """The index in a file. Raises ValueError if its numbers do not fit together: it may be anybody's."""
    if {name: array.dtype for name, array in arrays.items()} != {k: np.dtype(v) for k, v in ARRAYS.items()}:
        raise ValueError("other arrays")
    tables = {"label": about["labels"], "mode": about["modes"], "kind": about["kinds"], "reason": about["reasons"]}
    n, last = len(arrays["offset"]), arrays["ends"][-1:].tolist()
    fits = all(array.ndim == 1 and (name == "blob" or len(array) == n) for name, array in arrays.items())
    fits = fits and (last or [0]) == [len(arrays["blob"])] and bool((np.diff(arrays["ends"], prepend=0) >= 0).all())
    fits = fits and all(arrays[k].max(initial=-1) < len(one) and arrays[k].min(initial=0) >= (0 if k == "label" else -1)
                        for k, one in tables.items())  # fmt: skip
    inside = (arrays["offset"] >= 512) & (arrays["size"] >= 0) & (arrays["size"] <= now["size"] - arrays["offset"])
    if not (fits and inside.all()):
        raise ValueError("numbers out of bounds")
    labels = tuple(tuple(one) if isinstance(one, list) else one for one in about["labels"])
    ignored = tuple(Ignored(reason=str(reason), files=int(files), examples=tuple(map(str, examples)))
                    for reason, files, examples in about["ignored"])  # fmt: skip
    return Index(arrays=arrays, labels=labels, ending=str(about["ending"]), modes=tuple(map(str, about["modes"])),
                 kinds=tuple(map(str, about["kinds"])), reasons=tuple(map(str, about["reasons"])),
                 ignored=ignored, state=(now["size"], now["changed"]))  # fmt: skip


def make(shard: Path, cache: Path, *, sha256: str | None = None) -> Path:
    """Read a shard once, without its pixels, and write its index; its path. Raises what `samples` does.

    `sha256`: what a manifest says of the shard. All of it is then read, and another content raises ReslabError.
    """
    before = state(shard)
    if sha256 is not None and sha256_of(shard) != sha256:
        raise ReslabError(f"{named(shard)} is not as it was prepared: its SHA-256 is not the one that {MANIFEST} "
                          "lists; copy it again, or run `reslab data prepare` again with the same options, which "
                          "writes it anew")  # fmt: skip
    with opened_shard(shard) as file:
        index = scanned(shard, file, before)
    if state(shard) != before:
        raise ReslabError(f"{named(shard)} changed while it was read; wait until it is written, and run the command "
                          "again")  # fmt: skip
    about = {"version": VERSION, "state": before, "sha256": sha256, "labels": index.labels,
             "ending": index.ending, "modes": index.modes,
             "kinds": index.kinds, "reasons": index.reasons,
             "ignored": [(one.reason, one.files, one.examples) for one in index.ignored]}  # fmt: skip
    from safetensors.numpy import save

    data = sealed_tensors(save(index.arrays, {KEY: json.dumps(about)}))
    beside, aside = places(shard, cache)
    try:
        return write_aside(beside, data)
    except ReslabError:  # a folder that others own
        return write_aside(aside, data)


def scanned(shard: Path, file: BinaryIO, now: dict[str, Any]) -> Index:
    """The examples of an open shard and what the headers of their images say."""
    scan, ending = Scan(shard.parent), ""
    label, mode, kind, reason = Codes(), Codes(), Codes(), Codes()
    columns: dict[str, list[int]] = {name: [] for name in ARRAYS if name not in ("blob", "ends")}
    names: list[str] = []
    with opened_shard(shard) as again:  # the walk and the images' headers each at their own place
        for sample in samples(shard, file, now["size"], scan):
            image = sample.image
            if ending not in ("", sample.ending):
                raise UsageError(f"{named(shard)}: the image {named(image.name)} has its label in .{sample.ending}, "
                                 f"and those before it have theirs in .{ending}; write all in one way")  # fmt: skip
            ending = sample.ending
            found = seen(again, image)
            row = {
                "offset": image.offset,
                "size": image.size,
                "mark": crc32(image.header),
                "label": label(sample.label),
            }
            if isinstance(found, Header):
                row |= {"height": found.height, "width": found.width, "mode": mode(found.mode), "reason": -1,
                        "kind": -1 if found.kind is None else kind(found.kind), "deep": found.deep_color}  # fmt: skip
            else:
                row |= {"height": 0, "width": 0, "mode": -1, "kind": -1, "deep": 0, "reason": reason(found)}
            for name, value in row.items():
                columns[name].append(value)
            names.append(image.name)
    texts = Texts.of(names)
    arrays = {name: np.array(values, ARRAYS[name]) for name, values in columns.items()}
    arrays |= {"blob": texts.blob, "ends": texts.ends}
    return Index(arrays=arrays, labels=tuple(label), ending=ending, modes=tuple(mode), kinds=tuple(kind),
                 reasons=tuple(reason), ignored=scan.account(), state=(now["size"], now["changed"]))  # fmt: skip


class Codes(dict[Any, int]):
    """Numbers for values, in the order in which they come."""

    def __call__(self, value: Any) -> int:
        return self.setdefault(value, len(self))


def seen(file: BinaryIO, image: Member) -> Header | str:
    """What an image's own header says, or why it cannot be read."""
    if image.size == 0:
        return "it is empty"
    try:
        return header(window(file, image.offset, image.size), name=image.name, limit=ANY)
    except BrokenImage as error:
        return error.reason
