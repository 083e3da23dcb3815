"""The images of many shards by row number, read at their places; what stands there is checked at each read."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from reslab.errors import ReslabError
from reslab.images.sources.encoded import HeaderTable
from reslab.images.sources.openfiles import OpenFiles
from reslab.images.sources.tars.headers import BLOCK
from reslab.images.sources.tars.index import Index
from reslab.images.sources.texts import Texts
from reslab.stored.files import named


@dataclass(eq=False)
class Members:
    """Row i is an image of shard `shards[bisect(firsts, i)]`, by the arrays (N,) of the shards' indexes."""

    shards: tuple[Path, ...]
    firsts: tuple[int, ...]  # row of the first image of each shard
    offsets: np.ndarray
    sizes: np.ndarray
    marks: np.ndarray  # CRC-32 of the members' headers
    states: tuple[tuple[int, int], ...]  # size and time of change of each shard when it was indexed
    names: Texts
    headers: HeaderTable
    files: OpenFiles

    @classmethod
    def of(cls, shards: Sequence[Path], indexes: Sequence[Index]) -> "Members":
        """The images of all shards, one shard after another."""
        arrays = {
            name: np.concatenate([index.arrays[name] for index in indexes]) for name in ("offset", "size", "mark")
        }
        firsts = np.cumsum([0, *map(len, indexes)])[:-1]
        return cls(tuple(shards), tuple(firsts.tolist()), arrays["offset"], arrays["size"], arrays["mark"],
                   tuple(index.state for index in indexes),
                   Texts.joined([index.names for index in indexes]), headers_of(indexes),
                   OpenFiles(shards))  # fmt: skip

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, row: int) -> bytes:
        """The encoded image. Raises ReslabError if its shard is not the one that was indexed.

        The shard's time of change is asked for after the bytes, so that a change before the reading is seen.
        """
        shard, offset, size = self.shard(row), int(self.offsets[row]), int(self.sizes[row])
        try:
            data = self.files.read(shard, offset - BLOCK, BLOCK + size)
            state = self.files.state(shard)
        except OSError as error:
            why = error.strerror or str(error)
            raise ReslabError(f"cannot read {named(self.shards[shard])}, which is in use ({why}); restore it, and run "
                              "the same command again") from error  # fmt: skip
        if len(data) != BLOCK + size or crc32(data[:BLOCK]) != int(self.marks[row]):
            raise ReslabError(f"{named(self.shards[shard])} changed while it was used: {named(self.names[row])} is "
                              "no longer where it was; run the command again with shards at rest")  # fmt: skip
        if state != self.states[shard]:
            raise ReslabError(f"{named(self.shards[shard])} changed while it was used: its size or time of change is "
                              "no longer what it was; run the command again with shards at rest")  # fmt: skip
        return data[BLOCK:]

    def name(self, row: int) -> str:
        return f"{self.shards[self.shard(row)].name} member {self.names[row]}"

    def key(self, row: int) -> str:
        return self.names[row]  # images may be packed into other shards

    def length(self, row: int) -> int:
        return int(self.sizes[row])

    def shard(self, row: int) -> int:
        """The number of the shard that holds a row."""
        return bisect_right(self.firsts, row) - 1


def headers_of(indexes: Sequence[Index]) -> HeaderTable:
    """What the headers of all images say, with one table of modes, kinds and reasons for all shards."""
    tables: dict[str, dict[str, int]] = {"mode": {}, "kind": {}, "reason": {}}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in tables}
    for index in indexes:
        for name, words in (("mode", index.modes), ("kind", index.kinds), ("reason", index.reasons)):
            table = tables[name]
            number = [table.setdefault(word, len(table)) for word in words]
            columns[name].append(np.array([*number, -1], np.int32)[index.arrays[name]])  # -1 is the last: none
    joined = {name: np.concatenate(each) for name, each in columns.items()}
    height, width, deep = (np.concatenate([i.arrays[name] for i in indexes]) for name in ("height", "width", "deep"))
    return HeaderTable(height=height, width=width, deep_color=deep > 0, mode=joined["mode"], kind=joined["kind"],
                       reason=joined["reason"], modes=tuple(tables["mode"]), kinds=tuple(tables["kind"]),
                       reasons=tuple(tables["reason"]))  # fmt: skip
