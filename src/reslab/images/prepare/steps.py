"""The examples of a part, encoded in order by worker processes, and the names of their members."""

import json
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset

from reslab.errors import BrokenImage
from reslab.images.data.images import Encoded, Part
from reslab.images.prepare.encode import Form, Written
from reslab.images.sources.encoded import Rows
from reslab.images.sources.scan import EXTENSIONS

CHUNK = 16  # images per step of a worker
LONGEST = 120  # characters of a source's name that are kept

Example = list[tuple[str, bytes]] | str
"""The members of an example: (name, content); of a broken image, its name and the reason."""


class Steps(Dataset[Any]):
    """Step k: examples [start + k * CHUNK, start + (k+1) * CHUNK) of a part, below stop; how many were copied."""

    def __init__(self, part: Part, form: Form, classes: tuple[str, ...], rows: range) -> None:
        self.part, self.form, self.classes, self.rows = part, form, classes, rows

    def __len__(self) -> int:
        return -(-len(self.rows) // CHUNK)

    def __getitem__(self, k: int) -> list[tuple[Example, bool]]:
        found: list[tuple[Example, bool]] = []
        for i in self.rows[k * CHUNK : (k + 1) * CHUNK]:
            try:
                image = written(self.part, i, self.form)
                found.append((self.members(i, image), image.copied))
            except BrokenImage as error:  # returned as a value: an exception from a worker loses its class
                found.append((f"{error.name}: {error.reason}", False))
        return found

    def members(self, i: int, image: Written) -> list[tuple[str, bytes]]:
        """The image, and its label: the number of its class in .cls, or the names of its labels in .json."""
        key, label = key_of(self.part, i), self.part.labels[i]
        if label.dim() == 0:
            return [(f"{key}.{image.ending}", image.content), (f"{key}.cls", str(int(label)).encode())]
        names = [self.classes[k] for k in torch.nonzero(label).flatten().tolist()]
        return [(f"{key}.{image.ending}", image.content), (f"{key}.json", json.dumps({"labels": names}).encode())]


def written(part: Part, i: int, form: Form) -> Written:
    """Image i of a part. Raises BrokenImage."""
    if isinstance(part, Encoded):
        return form.written(part.sources[int(part.rows[i])], name=part.name(i))
    pixels = part.pixels[i].permute(1, 2, 0).numpy()
    return form.encoded(Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def key_of(part: Part, i: int) -> str:
    """The key of image i: its number, so that no two are equal, and the folder and the name that its file had.

    WebDataset ends a key at the first dot, so there is none in it; nor are spaces, or what leads out of a folder.
    """
    name = ""
    if isinstance(part, Encoded) and not isinstance(part.sources, Rows):  # a row of a table has only its number
        name = part.sources.key(int(part.rows[i]))
    stem = next((name[: -len(ending)] for ending in EXTENSIONS if name.lower().endswith(ending)), name)
    pieces = [kept(piece) for piece in stem.replace("\\", "/").split("/") if piece.strip(". ")]
    last = f"{i:08d}-{pieces[-1]}" if pieces else f"{i:08d}"
    return "/".join([*pieces[-2:-1], last])


def kept(piece: str) -> str:
    """A part of a path without what a key must not have."""
    clean = "".join(c if c.isprintable() and c not in ".\\/ " else "_" for c in piece.strip())
    return clean.encode("utf-8", errors="replace").decode()[:LONGEST]
