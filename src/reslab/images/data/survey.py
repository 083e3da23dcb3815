"""Read the headers of all images of a data set: sizes, modes, and how gray of more than 8 bits is scaled."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.data.decode import Header, header
from reslab.images.data.gray import GRAY_MODES, KINDS, Range, Ranges, checked, decide, extent
from reslab.images.data.opened import opened, too_many
from reslab.images.sources.encoded import Indexed, Sources
from reslab.train.workers import decoding_workers, in_order

CHUNK = 1024  # headers per step of a worker
MANY = 20  # headers are read about as fast as this many images are decoded
SAMPLE = 2000  # images of each kind of deep gray from which black and white are decided


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the headers of one part say: counts of images by size and mode, and the broken ones."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (height, width)
    modes: Counter[str] = field(default_factory=Counter)  # Pillow's names
    deep: dict[str, list[int]] = field(default_factory=dict)  # rows of each kind of gray of more than 8 bits
    deep_color: int = 0  # images of 16 bits per color
    broken: tuple[BrokenImage, ...] = ()

    @property
    def gray(self) -> int:
        """Number of gray images."""
        return sum(n for mode, n in self.modes.items() if mode in GRAY_MODES)

    @property
    def color(self) -> int:
        """Number of color images."""
        return self.modes.total() - self.gray


class Headers(Dataset[Any]):
    """Step k reads the headers of rows [k * CHUNK, (k+1) * CHUNK): (row, header or (name, reason)) pairs."""

    def __init__(self, sources: Sources, rows: torch.Tensor, limit: int | None) -> None:
        self.sources, self.rows, self.limit = sources, rows, limit

    def __len__(self) -> int:
        return -(-len(self.rows) // CHUNK)

    def __getitem__(self, k: int) -> list[tuple[int, Header | tuple[str, str]]]:
        found: list[tuple[int, Header | tuple[str, str]]] = []
        for row in self.rows[k * CHUNK : (k + 1) * CHUNK].tolist():
            try:
                found.append((row, header(self.sources[row], name=self.sources.name(row), limit=self.limit)))
            except BrokenImage as error:  # returned as a value: an exception from a worker loses its class
                found.append((row, (error.name, error.reason)))
        return found


def survey(sources: Sources, rows: torch.Tensor, *, limit: int | None = None) -> Survey:
    """The headers of `sources[row]` for each of `rows`."""
    if isinstance(sources, Indexed):
        return of_index(sources, rows.numpy(), limit)
    steps = Headers(sources, rows, limit)
    sizes, modes, deep = Counter[tuple[int, int]](), Counter[str](), dict[str, list[int]]()
    deep_color, broken = 0, list[BrokenImage]()
    for chunk in in_order(steps, range(len(steps)), workers=decoding_workers(len(rows) // MANY)):
        for row, found in chunk:
            if not isinstance(found, Header):
                broken.append(BrokenImage(*found))
                continue
            sizes[found.height, found.width] += 1
            modes[found.mode] += 1
            deep_color += found.deep_color
            if found.kind:
                deep.setdefault(found.kind, []).append(row)
    return Survey(sizes=sizes, modes=modes, deep=deep, deep_color=deep_color, broken=tuple(broken))


def of_index(sources: Indexed, rows: np.ndarray, limit: int | None) -> Survey:
    """The same from an index, without reading an image."""
    table, source = sources.headers, cast(Sources, sources)
    height, width, mode, kind, reason = (each[rows] for each in (table.height, table.width, table.mode, table.kind,
                                                                 table.reason))  # fmt: skip
    most = Image.MAX_IMAGE_PIXELS if limit is None else limit
    large = height.astype(np.int64) * width > (2**62 if most is None else most)
    good = (reason < 0) & ~large
    bad = [
        (int(rows[i]), table.reasons[reason[i]] if reason[i] >= 0 else too_many(most)) for i in np.flatnonzero(~good)
    ]
    sizes, times = np.unique(np.stack([height[good], width[good]]), axis=1, return_counts=True)
    return Survey(
        sizes=Counter({(h, w): n for (h, w), n in zip(sizes.T.tolist(), times.tolist(), strict=True)}),
        modes=Counter({name: n for name, n in zip(table.modes, np.bincount(mode[good], minlength=len(table.modes))
                                                  .tolist(), strict=True) if n}),
        deep={name: rows[good & (kind == k)].tolist() for k, name in enumerate(table.kinds)
              if (good & (kind == k)).any()},
        deep_color=int(table.deep_color[rows][good].sum()),
        broken=tuple(BrokenImage(source.name(row), why) for row, why in bad),
    )  # fmt: skip


def ranges(found: Iterable[tuple[Sources, Survey]], *, limit: int | None = None) -> dict[str, Range]:
    """Black and white of each kind of gray of more than 8 bits, from up to SAMPLE evenly spaced images per part."""
    extents: dict[str, list[Range]] = {}
    for sources, part in found:
        for kind, rows in part.deep.items():
            n = min(len(rows), SAMPLE)
            for row in (rows[k * len(rows) // n] for k in range(n)):
                try:
                    with opened(sources[row], limit=limit) as image:
                        image.load()
                        extents.setdefault(kind, []).append(extent(image))
                except Exception:  # a broken image: whoever decodes it reports it
                    continue
    return {kind: decide(kind, extents[kind]) for kind in KINDS if kind in extents}


def given_ranges(found: Iterable[Survey], white: float | Ranges) -> dict[str, Range]:
    """The black and white that a caller sets, for the kinds that the data set holds: `white` with black 0, or both."""
    kinds = {kind for part in found for kind in part.deep}
    if isinstance(white, int | float):
        return {kind: (0.0, float(white)) for kind in KINDS if kind in kinds}
    return {kind: checked(white[kind]) for kind in KINDS if kind in kinds and kind in white}
