"""Load WebDataset shards as a data set whose images stay where they are."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from reslab.errors import ReslabError, UsageError, tell
from reslab.images.data.images import ImageData
from reslab.images.sources import labels
from reslab.images.sources.assemble import Listing, Loading, assemble, counted
from reslab.images.sources.labels import Labels
from reslab.images.sources.numbered import warn_of_missing
from reslab.images.sources.scan import Ignored
from reslab.images.sources.tags import in_order as in_name_order
from reslab.images.sources.tars.index import Index, make, stored
from reslab.images.sources.tars.manifest import Manifest, class_names, read_manifest
from reslab.images.sources.tars.members import Members
from reslab.images.sources.tars.pattern import Shards
from reslab.images.sources.tars.samples import Value
from reslab.progress.row import duration
from reslab.stored.files import named
from reslab.train.cores import usable_cores
from reslab.train.workers import in_order

WORTH = 2**28  # bytes of shards to index from which processes are started for it
EVERY = 20.0  # seconds between lines on how far the indexing is


def load_tars(found: Shards, *, loading: Loading, cache: Callable[[], Path]) -> ImageData:
    """The shards as a data set: with their own parts, or a fixed fifth of each class held out.

    Each shard is indexed once (see index.py); what its images' headers say is in the index, so that loading reads no
    image again. Raises UsageError or ReslabError, naming shard and member, for shards that hold no labeled images.
    """
    loading.check()
    manifest = read_manifest(found.folder)
    if manifest is not None:
        manifest.check([*found.every, *found.unused], every=found.whole)
    if found.whole:
        warn_of_missing(found.every)
    indexes = indexed(found.every, cache, {} if manifest is None else manifest.digests)
    sources = Members.of(found.every, indexes)
    listings, classes = listed(found, indexes, sources, class_names(found.folder, manifest))
    about = f"Images of {counted(len(found.every), 'shard')} of {found.name}"
    if found.test:
        about += (
            ", with its train, validation and test shards" if found.validation else ", with its train and test shards"
        )
        train, test = listings[0], listings[-1]
    else:
        train, test = listings[0].split(classes)
        about += ", fixed 80/20 split within each class"
    split = not found.test
    if manifest is not None and manifest.split:
        about, split = f"{about}, the fixed 80/20 split of what they were prepared from", True
    return assemble(name=found.name, train=train, test=test, validation=listings[1] if found.validation else None,
                    classes=classes, loading=loading, about=about, ignored=ignored(found, indexes), split=split,
                    notes=notes(manifest))  # fmt: skip


def notes(manifest: Manifest | None) -> list[str]:
    """What to say of images that the shards were prepared without."""
    if manifest is None or not manifest.skipped:
        return []
    return [f"prepared without {counted(len(manifest.skipped), 'broken image')}"]


class Making(Dataset[Any]):
    """Step k indexes shard k unless another process has done so meanwhile; an error comes back as a value."""

    def __init__(self, shards: Sequence[Path], cache: Path, digests: Mapping[str, str]) -> None:
        self.shards, self.cache, self.digests = shards, cache, digests

    def __getitem__(self, k: int) -> ReslabError | None:
        shard, sha256 = self.shards[k], self.digests.get(self.shards[k].name)
        try:
            if stored(shard, self.cache, sha256=sha256) is None:
                make(shard, self.cache, sha256=sha256)
        except ReslabError as error:  # an exception from a worker loses its class
            return error
        return None


def indexed(shards: Sequence[Path], cache: Callable[[], Path], digests: Mapping[str, str]) -> list[Index]:
    """The indexes of the shards; those that are missing, or of a shard that changed, are made.

    `digests`: by the names of shards, what a manifest says of their content, compared when an index is made.
    """
    try:
        folder = cache()
    except UsageError:  # there is no home folder: the indexes can only lie beside the shards
        folder = shards[0].parent
    known = {shard: stored(shard, folder, sha256=digests.get(shard.name)) for shard in shards}
    missing = [shard for shard, index in known.items() if index is None]
    if missing:
        make_all(missing, folder, digests)
    found = [known[shard] or stored(shard, folder, sha256=digests.get(shard.name)) for shard in shards]
    if lost := [shard for shard, index in zip(shards, found, strict=True) if index is None]:
        raise ReslabError(f"{named(lost[0])} changed while it was indexed; wait until it is written, and run the "
                          "command again")  # fmt: skip
    return [index for index in found if index is not None]


def make_all(shards: Sequence[Path], cache: Path, digests: Mapping[str, str]) -> None:
    """Index the shards in several processes, saying how far it is if it takes long. What is done stays done."""
    total = sum(shard.stat().st_size for shard in shards)
    workers = min(usable_cores(), 8, len(shards)) if total >= WORTH else 0
    if workers:
        tell("indexing %s (%s GB) once", counted(len(shards), "shard"), f"{total / 1e9:,.1f}")
    first = os.getpid() % len(shards)  # several processes, as of one training, begin at different shards
    shards = [*shards[first:], *shards[:first]]
    began = told = time.perf_counter()
    done = 0
    for k, error in enumerate(in_order(Making(shards, cache, digests), range(len(shards)), workers=workers)):
        if error is not None:
            raise error
        done += shards[k].stat().st_size
        now = time.perf_counter()
        if now - told > EVERY and done < total:
            told = now
            tell("indexed %s of %s shards, about %s left", k + 1, len(shards),
                 duration((total - done) * (now - began) / max(1, done)))  # fmt: skip


def listed(
    found: Shards, indexes: Sequence[Index], sources: Members, names: tuple[str, ...] | None
) -> tuple[list[Listing], tuple[str, ...]]:
    """The images of each part, in the order of the shards, and the classes."""
    endings = {index.ending: shard for shard, index in zip(found.every, indexes, strict=True) if index.ending}
    if len(endings) > 1:
        (one, first), (other, second) = list(endings.items())[:2]
        raise UsageError(f"{named(first)} has its labels in .{one}, and {named(second)} in .{other}; write all shards "
                         "in one way")  # fmt: skip
    parts, place, row = [], 0, 0
    for shards in filter(None, (found.train, found.validation, found.test)):
        some = indexes[place : place + len(shards)]
        values = [index.labels[code] for index in some for code in index.arrays["label"].tolist()]
        if not values:
            others = " and the others of its part hold" if len(shards) > 1 else " holds"
            raise UsageError(f"{named(shards[0])}{others} no images with labels{unused(some)}")
        parts.append((values, row, shards[0].name))
        place, row = place + len(shards), row + len(values)
    made, classes = tensors(parts, sources, names)
    rows = [torch.arange(first, first + len(values)) for values, first, _ in parts]
    return [Listing(sources=sources, rows=r, labels=y) for r, y in zip(rows, made, strict=True)], classes


def unused(indexes: Sequence[Index]) -> str:
    """What was found instead, and how names are read."""
    left = [one for index in indexes for one in index.ignored if one.examples]
    if not left:
        return ""
    many, name = sum(one.files for one in left), left[0].examples[0]
    stem, _, rest = name.rpartition("/")[2].partition(".")
    how = f": its key is {stem!r} and its kind .{rest}, as a key ends at the first dot" if rest else ""
    return f", but {counted(many, 'other member')}, such as {name}{how}"


Part = tuple[list[Value], int, str]
"""The labels of a part, its first row, and the name of its first shard."""


def tensors(
    parts: Sequence[Part], sources: Members, names: tuple[str, ...] | None
) -> tuple[list[Tensor], tuple[str, ...]]:
    """The labels of each part, and the classes. Raises UsageError for an unknown label, naming shard and member."""
    lists = [isinstance(value, tuple) for values, _, _ in parts for value in values]
    if any(lists):
        if not all(lists):
            row = lists.index(not lists[0])
            one, other = ("several labels", "one") if lists[0] else ("one label", "a list")
            raise UsageError(f"{sources.name(0)} has {one}, and {sources.name(row)} {other}; write all in one way")
        return several(parts, sources, names)
    plain = [(Labels(where=where, values=values, names=names), first) for values, first, where in parts]
    classes, numbered = labels.classes_of([plain[0][0]]), labels.numbered([plain[0][0]])
    return [labels.labels_of(part, sources, classes, numbered=numbered, first_row=first)
            for part, first in plain], classes  # fmt: skip


def several(
    parts: Sequence[Part], sources: Members, names: tuple[str, ...] | None
) -> tuple[list[Tensor], tuple[str, ...]]:
    """The same for several labels an image: (N, K) of 0 and 1."""
    words = {value: word_of(value, names) for values, _, _ in parts for each in values
             for value in (each if isinstance(each, tuple) else ())}  # fmt: skip
    classes = names or in_name_order({word for word in words.values() if word is not None})
    number = {name: k for k, name in enumerate(classes)}
    made = []
    for values, first, _ in parts:
        found = torch.zeros(len(values), len(classes), dtype=torch.int64)
        for i, each in enumerate(values):
            for value in each if isinstance(each, tuple) else ():
                if (k := number.get(words[value] or "")) is None:
                    raise UsageError(f"{sources.name(first + i)} has label {value!r}, which is not one of the "
                                     f"{len(classes)} labels")  # fmt: skip
                found[i, k] = 1
        made.append(found)
    return made, classes


def word_of(value: int | str, names: tuple[str, ...] | None) -> str | None:
    """The name of a label; None for a number without one."""
    if isinstance(value, int) and names is not None:
        return names[value] if 0 <= value < len(names) else None
    return labels.spelled(value)


def ignored(found: Shards, indexes: Sequence[Index]) -> list[Ignored]:
    """What is not used of the shards, the members of all shards together."""
    counts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    for shard, index in zip(found.every, indexes, strict=True):
        for one in index.ignored:
            counts[one.reason] = counts.get(one.reason, 0) + one.files
            examples.setdefault(one.reason, []).extend(f"{shard.name}: {name}" for name in one.examples)
    every = [Ignored(reason=reason, files=n, examples=tuple(examples[reason][:5])) for reason, n in counts.items()]
    if found.unused:
        every.append(Ignored(reason="not a train or test shard", files=len(found.unused),
                             examples=tuple(path.name for path in found.unused[:5])))  # fmt: skip
    return every
