"""reslab-shards.json, the manifest of prepared shards: which images went where, and how they were written."""

from dataclasses import dataclass, field
from typing import Literal

from reslab.stored.numbers import Count

Name = Literal["test", "train", "validation"]
"""The name of a part of a data set."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One shard: images `start` to `stop` of its part, less the broken ones."""

    file: str
    start: Count
    stop: Count
    images: Count
    bytes: Count
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Shards:
    """The manifest: `complete` is false until the last shard is written and all are verified."""

    name: str
    complete: bool
    source: str  # the --data word
    fingerprint: str  # of the data that were prepared
    classes: list[str]
    several: bool  # labels per image
    split: bool  # the parts are reslab's own split
    side: Count  # of the shorter side, in pixels, at most
    quality: Count  # of JPEG
    parts: dict[Name, list[Shard]] = field(default_factory=dict)
    images: dict[Name, Count] = field(default_factory=dict)  # to prepare
    limits: list[Count] = field(default_factory=list)  # of a shard: bytes, images
    skipped: list[str] = field(default_factory=list)  # "file: reason" of each broken image
    copied: Count = 0  # images that were copied byte for byte
